/** What could be rented, as a table. */
import type { AnswerOf } from "../core/protocol/api.ts";
import { formatBytes, formatGpu, formatMoney, formatPercent, formatRate, formatTable, formatTime } from "./format.ts";

export function showOffers({ offers, at }: AnswerOf<"listOffers">, now: number): string {
  if (offers.length === 0) return "Nothing fits now. Another GPU, region or disk may, or the same some time later.";
  const perGb = (micro: number | null) => (micro === null ? "unknown" : formatMoney(micro));
  const table = formatTable(
    ["GPU", "MEMORY", "REGION", "PRICE", "UP/GB", "DOWN/GB", "RELIABLE", ""],
    offers.map((one) => [
      formatGpu(one.gpu_type, one.gpu_count),
      formatBytes(one.gpu_ram_mb * 1_000_000),
      one.region,
      formatRate(one.micro_usd_per_hour),
      perGb(one.up_micro_usd_per_gb),
      perGb(one.down_micro_usd_per_gb),
      one.reliability === null ? "unknown" : formatPercent(one.reliability * 100),
      [one.is_usual && "as usual", one.is_over_price && "over its price", !one.verified && "not verified"]
        .filter(Boolean)
        .join(", "),
    ]),
    ["MEMORY", "PRICE", "UP/GB", "DOWN/GB", "RELIABLE"],
  );
  return `${table}\n\nAs of ${formatTime(at, now, { seconds: true })}; prices with the disk.`;
}
