/** How long until an instance serves again: from what its own wakes took, and from where the present one is. Pure. */
import type { Progress } from "../protocol/wire.ts";
import { attemptsOf } from "./attempts.ts";
import type { State } from "./types.ts";
import type { Percentiles, UsualWake } from "./wake-times.ts";

export interface Wait {
  /** For people and programs: where the wake is. */
  phase: "falling_asleep" | "asleep" | "renting" | "booting" | "restoring" | "connecting" | "unreachable" | "failed";
  /** Since when, epoch ms. */
  since: number;
  /** When the wake that is under way was asked for. */
  askedAt?: number;
  /** Of a restore. */
  bytes?: { done: number; total: number };
  /** What half, and nearly all, of its wakes still took from here; null: too few are known. */
  left: Percentiles | null;
  /** When it is worth asking again. */
  retryAfterMs: number;
}

/** Where nothing is known of how long it takes. */
const askAgainMs = 10_000;
const leastMs = 1_000;

/** `progress`: what the agent tells of the restore; `isConnected`: traffic can reach the machine that runs. */
export function waitOf(state: State, usual: UsualWake | null, progress: Progress | null, now: number): Wait {
  const phase = state.now;
  switch (phase.status) {
    case "running":
    case "snapshotting":
      // A machine that cannot be reached for a minute will not be in the next second.
      return {
        ...{ phase: "connecting", since: phase.since, left: null },
        retryAfterMs: now - phase.since < 60_000 ? leastMs : askAgainMs,
      };
    case "destroying":
      return told("falling_asleep", phase.since, usual?.total, now, now);
    case "provisioning": {
      const startedAt = phase.wake.askedAt;
      const [booting] = attemptsOf(phase).filter((one) => one.step === "booting");
      if (!booting) {
        const whole = usual && sum(usual.rent, usual.boot, usual.restore);
        return { ...told("renting", startedAt, whole, startedAt, now), askedAt: startedAt };
      }
      const since = booting.bootingSince ?? booting.attemptSince;
      return { ...told("booting", since, usual && sum(usual.boot, usual.restore), since, now), askedAt: startedAt };
    }
    case "restoring":
      return {
        ...byProgress(told("restoring", phase.since, usual?.restore, phase.since, now), progress, now),
        askedAt: phase.wake.askedAt,
        ...(progress && { bytes: { done: progress.doneBytes, total: progress.plainBytes } }),
      };
    case "unreachable":
      return { phase: "unreachable", since: phase.since, left: null, retryAfterMs: askAgainMs };
    case "failed":
      return { phase: "failed", since: phase.since, left: null, retryAfterMs: 60_000 };
    case "hibernated":
    case "deleted":
      return told("asleep", phase.since, usual?.total, now, now);
  }
}

/** `whole`: what it takes from `begunAt` on. Past the one, the other is what is left; past both nothing is known again. */
function told(
  phase: Wait["phase"],
  since: number,
  whole: Percentiles | null | undefined,
  begunAt: number,
  now: number,
): Wait {
  const doneMs = now - begunAt;
  if (!whole || whole.p95Ms <= doneMs) return { phase, since, left: null, retryAfterMs: askAgainMs };
  const left = { p50Ms: Math.max(0, whole.p50Ms - doneMs), p95Ms: whole.p95Ms - doneMs };
  return { phase, since, left, retryAfterMs: Math.max(leastMs, left.p50Ms > 0 ? left.p50Ms : left.p95Ms) };
}

/** Once a tenth of the bytes is back, their rate says more than the wakes before. */
function byProgress(wait: Wait, progress: Progress | null, now: number): Wait {
  if (!progress || progress.plainBytes === 0) return wait;
  const share = progress.doneBytes / progress.plainBytes;
  if (share < 0.1 || share > 1) return wait;
  const leftMs = Math.round(((now - wait.since) * (1 - share)) / share);
  const left = { p50Ms: leftMs, p95Ms: Math.max(leftMs, wait.left?.p95Ms ?? 0) };
  return { ...wait, left, retryAfterMs: Math.max(leastMs, leftMs) };
}

/** The P95 of a sum is at most the sum of the P95: rather late than too early. */
function sum(...parts: Percentiles[]): Percentiles {
  return parts.reduce((a, b) => ({ p50Ms: a.p50Ms + b.p50Ms, p95Ms: a.p95Ms + b.p95Ms }));
}
