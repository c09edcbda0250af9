/** `soneca machines`: what is rented already and no instance manages. */
import type { AnswerOf } from "../../core/protocol/api.ts";
import { command } from "../command.ts";
import { formatAge, formatGpu, formatRate, formatTable } from "../format.ts";

export const machinesCommand = command({
  name: "machines",
  description: "Machines of the provider's account that nothing manages; each costs until somebody ends it",
  args: {},
  async run({ call, output, now }) {
    const answer = await call("listAdoptable");
    output.document(answer);
    output.print(showMachines(answer, now));
  },
});

function showMachines({ machines }: AnswerOf<"listAdoptable">, now: number): string {
  if (machines.length === 0) return "Every machine of the account is managed, or there is none.";
  const table = formatTable(
    ["MACHINE", "GPU", "REGION", "PRICE", "STATUS", "STARTED", "LABEL"],
    machines.map((one) => [
      String(one.vast_instance_id),
      formatGpu(one.gpu_type, one.gpu_count),
      one.region ?? "unknown",
      formatRate(one.micro_usd_per_hour),
      one.status ?? "unknown",
      one.started_at === null ? "unknown" : formatAge(one.started_at, now),
      one.label ?? "",
    ]),
    ["PRICE"],
  );
  return `${table}\n\nTo let one sleep: soneca instance adopt ${machines[0]!.vast_instance_id}`;
}
