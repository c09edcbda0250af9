/** `soneca simulate`: what a trace of GPU use would have cost under several settings. Asks no control plane. */
import { readFileSync } from "node:fs";
import { breakEvenMs, cycleCost } from "../../core/lifecycle/auto.ts";
import { autoOf } from "../../core/lifecycle/auto-state.ts";
import { type Outcome, type Reference, referenceOf, simulate } from "../../core/lifecycle/simulation/simulate.ts";
import type { Trace } from "../../core/lifecycle/simulation/trace.ts";
import { costsOfWorld, type SimulatedWorld } from "../../core/lifecycle/simulation/world.ts";
import { localCommand } from "../command.ts";
import { exitCodes, Failure, usageFailure } from "../failure.ts";
import { formatDuration, formatFacts, formatMoney, formatTable } from "../format.ts";
import {
  defaultPolicies,
  type NamedPolicy,
  numberOptions,
  type OptionName,
  readPolicies,
  readWorld,
} from "../simulate/options.ts";
import { readTrace } from "../simulate/read-trace.ts";

type Played = NamedPolicy & { outcome: Outcome };

const numberArgs = Object.fromEntries(
  Object.entries(numberOptions).map(([name, { hint, description, byDefault }]) => [
    name,
    {
      type: "string" as const,
      valueHint: hint,
      description: byDefault === null ? description : `${description} (${byDefault})`,
    },
  ]),
) as Record<OptionName, { type: "string"; valueHint: string; description: string }>;

export const simulateCommand = localCommand({
  name: "simulate",
  description: "What a trace of GPU use would have cost under several settings; docs/SIMULATE.md",
  args: {
    trace: {
      type: "positional",
      required: true,
      description: "CSV with the columns t,util: seconds from the start and percent, each row holding until the next",
    },
    policy: {
      type: "string",
      valueHint: "auto|fixed:MIN|break-even|never",
      description: `May be repeated (${defaultPolicies.join(", ")})`,
    },
    ...numberArgs,
    "gpu-memory": {
      type: "string",
      valueHint: "held|free|unknown",
      description: "Whether a process holds GPU memory while idle (unknown: counts as held)",
    },
    cold: { type: "boolean", description: "Nothing is measured before the first sleep" },
  },
  async run({ output, all }, args) {
    const policies = readPolicies(all("policy"));
    const world = readWorld(args);
    const trace = loadTrace(args.trace);
    const reference = referenceOf(trace, world);
    const played = policies.map((one) => ({ ...one, outcome: simulate(trace, one.policy, world) }));
    output.document(documentOf(trace, world, reference, played));
    output.print(textOf(trace, world, reference, played));
  },
});

function loadTrace(path: string): Trace {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such file" : code === "EISDIR" ? "it is a folder" : String(code);
    throw new Failure("trace_unreadable", `${path} cannot be read: ${why}.`, "Give the path of a CSV file.", {
      exitCode: code === "ENOENT" ? exitCodes.notFound : exitCodes.failed,
      cause: error,
    });
  }
  const read = readTrace(text);
  if (read.ok) return read.trace;
  throw usageFailure(
    `${path}, line ${read.line}: ${read.message}.`,
    "See docs/SIMULATE.md for the columns of a trace.",
    {
      context: { line: read.line },
    },
  );
}

/** Money in integer micro-dollars, as everywhere. */
function documentOf(trace: Trace, world: SimulatedWorld, reference: Reference, played: Played[]) {
  const costs = costsOfWorld(world);
  const even = breakEvenMs(costs);
  return {
    trace: {
      seconds: trace.endMs / 1000,
      used_seconds: reference.usedMs / 1000,
      idle_times: reference.idleTimes,
    },
    cycle: {
      micro_usd: Math.round(cycleCost(costs)),
      upload_seconds: costs.uploadMs / 1000,
      wake_seconds: costs.wakeMs / 1000,
      traffic_micro_usd: Math.round(costs.trafficMicroUsd),
      break_even_seconds: even === null ? null : even / 1000,
    },
    always_on_micro_usd: Math.round(reference.alwaysOn),
    optimum_micro_usd: Math.round(reference.optimum),
    policies: played.map(({ name, outcome }) => ({
      policy: name,
      paid_micro_usd: Math.round(outcome.paid),
      machine_micro_usd: Math.round(outcome.machine),
      storage_micro_usd: Math.round(outcome.storage),
      traffic_micro_usd: Math.round(outcome.traffic),
      avoided_micro_usd: Math.round(reference.alwaysOn) - Math.round(outcome.paid),
      sleeps: outcome.sleeps,
      false_sleeps: outcome.falseSleeps,
      uploads_cancelled: outcome.uploadsCancelled,
      waited_seconds: outcome.waitedMs / 1000,
      regret_micro_usd: Math.round(outcome.paid) - Math.round(reference.optimum),
      idle_ratio: idleRatio(world, reference, outcome),
      credit_micro_usd: autoOf(outcome.state).creditMicroUsd,
    })),
  };
}

/** What was paid in idle times against the clairvoyant's; null where there were none. */
function idleRatio(world: SimulatedWorld, reference: Reference, outcome: Outcome): number | null {
  const used = (reference.usedMs / 3_600_000) * world.microUsdPerHour;
  return reference.idleOptimum > 0 ? (outcome.paid - used) / reference.idleOptimum : null;
}

function textOf(trace: Trace, world: SimulatedWorld, reference: Reference, played: Played[]): string {
  const costs = costsOfWorld(world);
  const even = breakEvenMs(costs);
  const facts = formatFacts([
    [
      "Trace",
      `${formatDuration(trace.endMs)}, in use for ${formatDuration(reference.usedMs)}, ${reference.idleTimes} idle times`,
    ],
    [
      "One cycle",
      `${formatMoney(Math.round(cycleCost(costs)))}: upload ${formatDuration(costs.uploadMs)}, boot and restore ${formatDuration(costs.wakeMs)}, traffic ${formatMoney(Math.round(costs.trafficMicroUsd))}`,
    ],
    ["Sleeping pays", even === null ? "never" : `after ${formatDuration(even)}`],
    ["Always on", formatMoney(Math.round(reference.alwaysOn))],
    ["Optimum", `${formatMoney(Math.round(reference.optimum))}, for who knows every idle time beforehand`],
  ]);
  const table = formatTable(
    ["POLICY", "PAID", "AVOIDED", "SLEEPS", "FALSE", "WAITED", "REGRET", "IDLE RATIO"],
    played.map(({ name, outcome }) => [
      name,
      formatMoney(Math.round(outcome.paid)),
      balance(reference.alwaysOn - outcome.paid),
      String(outcome.sleeps),
      String(outcome.falseSleeps),
      formatDuration(outcome.waitedMs),
      balance(outcome.paid - reference.optimum),
      idleRatio(world, reference, outcome)?.toFixed(2) ?? "-",
    ]),
    ["PAID", "AVOIDED", "SLEEPS", "FALSE", "WAITED", "REGRET", "IDLE RATIO"],
  );
  return `${facts}\n\n${table}`;
}

function balance(microUsd: number): string {
  const rounded = Math.round(microUsd);
  return rounded < 0 ? `-${formatMoney(-rounded)}` : formatMoney(rounded);
}
