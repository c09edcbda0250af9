/**
 * What an agent can notice beside the GPUs: names, units, and how one reading is judged. Each signal can be switched on
 * per instance; one that is off is shown and decides nothing.
 */
import * as z from "zod";

export const signalNames = ["traffic", "cpu", "terminal", "jupyter", "network", "disk"] as const;
export type SignalName = (typeof signalNames)[number];

/** Shown beside them and never judged: what holds memory of the GPUs. */
export const informationNames = ["gpu_memory"] as const;

export type SignalUnit = "requests" | "percent" | "seconds" | "kernels" | "bytes_per_second" | "megabytes";

export const signalUnits: Record<SignalName | (typeof informationNames)[number], SignalUnit> = {
  /** That came through the gate or were under way, open WebSockets among them; health checks and robots are not counted. */
  traffic: "requests",
  /** Of one core, by the processes of the workspace together. */
  cpu: "percent",
  /** Since the newest input to any terminal. The only one for which little means busy. */
  terminal: "seconds",
  jupyter: "kernels",
  /** In and out, the agent's own traffic taken off. */
  network: "bytes_per_second",
  /** Read and written by the processes of the workspace. */
  disk: "bytes_per_second",
  /** MiB. */
  gpu_memory: "megabytes",
};

export const signalReadingSchema = z.object({
  /** Of all readings of the interval the one that says most for "busy"; null is "not known", which is busy. */
  value: z.number().nullable(),
  /** There is nothing that could be measured, and that is known: no terminal is open. */
  none: z.literal(true).optional(),
  /** Who or what; or, where the value is null, why it is not known. For people. */
  detail: z.string().max(200).optional(),
});
export type SignalReading = z.infer<typeof signalReadingSchema>;

/** A name that is missing says nothing, so it counts as not known; a name that is new is dropped. */
export const signalReadingsSchema = z.object({
  traffic: signalReadingSchema.optional(),
  cpu: signalReadingSchema.optional(),
  terminal: signalReadingSchema.optional(),
  jupyter: signalReadingSchema.optional(),
  network: signalReadingSchema.optional(),
  disk: signalReadingSchema.optional(),
  gpu_memory: signalReadingSchema.optional(),
});
export type SignalReadings = z.infer<typeof signalReadingsSchema>;

const rule = (least: number, most: number) =>
  z.strictObject({ enabled: z.boolean(), threshold: z.number().min(least).max(most) });

export const signalRuleFields = {
  /** Requests within one report. */
  traffic: rule(1, 1_000_000),
  /** Percent of one core. */
  cpu: rule(0.1, 100_000),
  /** Seconds: input that is younger than this is activity. */
  terminal: rule(1, 86_400),
  /** Busy kernels. */
  jupyter: rule(1, 1_000),
  /** Bytes per second. */
  network: rule(1, 1e12),
  disk: rule(1, 1e12),
};
export const signalRulesSchema = z.strictObject(signalRuleFields);
export type SignalRules = z.infer<typeof signalRulesSchema>;

export const signalRulesPatchSchema = z
  .strictObject({
    traffic: signalRuleFields.traffic.partial(),
    cpu: signalRuleFields.cpu.partial(),
    terminal: signalRuleFields.terminal.partial(),
    jupyter: signalRuleFields.jupyter.partial(),
    network: signalRuleFields.network.partial(),
    disk: signalRuleFields.disk.partial(),
  })
  .partial();
export type SignalRulesPatch = z.infer<typeof signalRulesPatchSchema>;

/** The GPUs decide, and who uses a service. The thresholds of the others are what holds once one is switched on. */
export const defaultSignalRules: SignalRules = {
  traffic: { enabled: true, threshold: 1 },
  cpu: { enabled: false, threshold: 20 },
  terminal: { enabled: false, threshold: 300 },
  jupyter: { enabled: false, threshold: 1 },
  network: { enabled: false, threshold: 100_000 },
  disk: { enabled: false, threshold: 1_000_000 },
};

export function mergeSignalRules(rules: SignalRules, patch: SignalRulesPatch): SignalRules {
  return Object.fromEntries(signalNames.map((name) => [name, { ...rules[name], ...patch[name] }])) as SignalRules;
}

export type SignalState = "busy" | "quiet" | "unknown";

/**
 * I12: what is missing or no number is unknown, whatever else it says. Except traffic: an agent that has a gate always tells
 * of it, and through none there is no traffic.
 */
export function judgeSignal(name: SignalName, reading: SignalReading | undefined, threshold: number): SignalState {
  if (reading?.none === true || (name === "traffic" && reading === undefined)) return "quiet";
  const value = reading?.value ?? null;
  if (value === null || !Number.isFinite(value)) return "unknown";
  const isBusy = name === "terminal" ? value < threshold : value >= threshold;
  return isBusy ? "busy" : "quiet";
}

/** Of two readings the one that says more for "busy"; one that is unknown says most. */
export function worseReading(name: keyof SignalReadings, a: SignalReading, b: SignalReading): SignalReading {
  const isUnknown = (one: SignalReading) => one.none !== true && one.value === null;
  if (isUnknown(a) || isUnknown(b)) return isUnknown(a) ? a : b;
  if (a.none || b.none) return a.none ? b : a;
  const isA = name === "terminal" ? a.value! <= b.value! : a.value! >= b.value!;
  return isA ? a : b;
}
