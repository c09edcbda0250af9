/** The options that say what a wake may rent: each is one field of the contract's `rent`. */
import { type RentRulesPatch, rentRulesPatchSchema } from "../core/protocol/rent.ts";
import { usageFailure } from "./failure.ts";
import { checked, readDurationMs, readNumber } from "./settings.ts";

export const rentArgs = {
  reach: { type: "string", valueHint: "RUNG", description: "same, elsewhere, other_gpus or cap (cap)" },
  "min-reliability": { type: "string", valueHint: "0..1", description: "Least reliability of a host (0.9)" },
  "min-cuda": { type: "string", valueHint: "VERSION", description: "Least CUDA version; what the image says without" },
  "max-traffic": { type: "string", valueHint: "USD", description: "Most that a GB of traffic may cost, in US$" },
  unverified: { type: "string", valueHint: "on|off", description: "Whether hosts need no verification (off)" },
  parallel: { type: "string", valueHint: "N", description: "Machines that may be started side by side, 1 to 3 (2)" },
  "second-after": { type: "string", valueHint: "TIME", description: "Start another when one takes this long (5m)" },
} as const;

export type RentFlags = { [F in keyof typeof rentArgs]?: string | undefined };

/** Undefined when nothing was asked for. Errors: Failure `usage`, which names the option. */
export function readRent(flags: RentFlags): RentRulesPatch | undefined {
  const patch: Record<string, unknown> = {};
  const take = <F extends keyof RentFlags>(flag: F, field: keyof RentRulesPatch, read: (text: string) => unknown) => {
    const text = flags[flag];
    if (text !== undefined) patch[field] = read(text);
  };
  const number = (flag: string) => (text: string) => readNumber(`--${flag}`, text);
  take("reach", "reach", (text) => text);
  take("min-reliability", "min_reliability", number("min-reliability"));
  take("min-cuda", "min_cuda", number("min-cuda"));
  take("max-traffic", "max_traffic_micro_usd_per_gb", (text) =>
    Math.round(readNumber("--max-traffic", text.replace(/^(US)?\$ ?/, "")) * 1e6),
  );
  take("unverified", "verified_only", (text) => !readSwitch(text));
  take("parallel", "parallel", number("parallel"));
  take("second-after", "second_after_seconds", (text) =>
    text.trim() === "0" ? 0 : readDurationMs("--second-after", text) / 1000,
  );
  return Object.keys(patch).length === 0 ? undefined : checked(rentRulesPatchSchema, patch);
}

function readSwitch(text: string): boolean {
  if (text === "on" || text === "off") return text === "on";
  throw usageFailure(`--unverified takes on or off, not "${text}".`);
}
