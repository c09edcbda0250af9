/** Why: what every signal says now, by what it is judged, and since when it has said so. Pure, from the samples. */
import type { AutoHibernation } from "../protocol/config.ts";
import { judgeSignal, type SignalName, type SignalState, signalNames } from "../protocol/signals.ts";
import { gpuBlockers, type Sample, staleAfterMs } from "./idle.ts";

export type WhyName = "gpu" | SignalName | "gpu_memory";

/** When a signal began to say what it says, epoch ms. Kept from beat to beat: the ring forgets what lies long ago. */
export type SignalSince = Partial<Record<WhyName, { state: SignalState; at: number }>>;

export interface SignalWord {
  name: WhyName;
  /** Whether it decides; `gpu` always does, `gpu_memory` never. */
  enabled: boolean;
  state: SignalState;
  value: number | null;
  threshold: number | null;
  /** Null before the first word. */
  since: number | null;
  detail: string | null;
}

/** What the newest sample says of each signal. One that is older than two reports says nothing any more (I12). */
export function explainSignals(
  newest: Sample | undefined,
  config: AutoHibernation,
  now: number,
  gpuCount: number | null,
  since: SignalSince = {},
): SignalWord[] {
  const isFresh = newest && Math.abs(now - newest.toAt) <= staleAfterMs(config.check_interval_seconds * 1000);
  const sample = isFresh ? newest : undefined;
  const words: Omit<SignalWord, "since">[] = [explainGpus(sample, config, gpuCount)];
  for (const name of signalNames) {
    const { enabled, threshold } = config.signals[name];
    const reading = sample?.signals?.[name];
    const state = sample ? judgeSignal(name, reading, threshold) : "unknown";
    const value = state === "unknown" ? null : (reading?.value ?? null);
    words.push({ name, enabled, state, value, threshold, detail: reading?.detail ?? null });
  }
  const memory = sample?.signals?.gpu_memory;
  const value = memory?.value ?? null;
  const memoryState = value === null ? "unknown" : value > 0 ? "busy" : "quiet";
  const detail = memory?.detail ?? null;
  words.push({ name: "gpu_memory", enabled: false, state: memoryState, value, threshold: null, detail });
  return words.map((word) => {
    const known = since[word.name];
    return { ...word, since: known?.state === word.state ? known.at : (sample?.fromAt ?? null) };
  });
}

function explainGpus(sample: Sample | undefined, config: AutoHibernation, gpuCount: number | null) {
  const threshold = config.gpu_usage_threshold;
  const blockers = sample ? gpuBlockers(sample, threshold, gpuCount) : [];
  const busy = blockers.filter((one) => one.code === "gpu_busy");
  const state: SignalState = busy.length > 0 ? "busy" : !sample || blockers.length > 0 ? "unknown" : "quiet";
  const highest = sample?.gpus.reduce<{ index: number; max: number } | null>(
    (most, { index, max }) => (max !== null && (most === null || max > most.max) ? { index, max } : most),
    null,
  );
  const detail = state === "unknown" ? (blockers[0]?.detail ?? null) : `GPU ${highest?.index ?? 0}`;
  return { name: "gpu" as const, enabled: true, state, value: highest?.max ?? null, threshold, detail };
}

/** Takes the newest words in: a signal that says the same as before has said so since then. */
export function trackSince(words: readonly SignalWord[], now: number): SignalSince {
  return Object.fromEntries(words.map(({ name, state, since }) => [name, { state, at: since ?? now }]));
}
