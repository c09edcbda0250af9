/** What the API shows of a wake: where it is, what it usually takes, whether it goes on trying. */
import { attemptsOf } from "../../core/lifecycle/attempts.ts";
import { retryAt } from "../../core/lifecycle/keep-trying.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { Percentiles } from "../../core/lifecycle/wake-times.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { KnownWake } from "./past-wakes.ts";

export function wakeView(state: State, known: KnownWake): InstanceView["wake"] {
  const phase = state.now;
  if (phase.status !== "provisioning" && phase.status !== "restoring") return null;
  const startedAt = state.lastWakeAt ?? phase.since;
  return {
    ...phaseOf(phase, startedAt),
    since: iso(startedAt),
    machines_asked: phase.attempt,
    usual: known && {
      of: known.of,
      wakes: known.usual.samples,
      renting: seconds(known.usual.rent),
      booting: seconds(known.usual.boot),
      restoring: seconds(known.usual.restore),
      total: seconds(known.usual.total),
    },
  };
}

function phaseOf(
  phase: Extract<State["now"], { status: "provisioning" | "restoring" }>,
  startedAt: number,
): Pick<NonNullable<InstanceView["wake"]>, "phase" | "phase_since"> {
  if (phase.status === "restoring") return { phase: "restoring", phase_since: iso(phase.since) };
  const [booting] = attemptsOf(phase).filter((one) => one.step === "booting");
  if (!booting) return { phase: "renting", phase_since: iso(startedAt) };
  return { phase: "booting", phase_since: iso(booting.bootingSince ?? booting.attemptSince) };
}

export function keepTryingView(state: State): InstanceView["keep_trying"] {
  const { now, retry } = state;
  const wake = "wake" in now ? now.wake : retry?.wake;
  if (!wake?.keepTrying) return null;
  const { until, tries } = wake.keepTrying;
  const nextAt = retryAt(state);
  return { until: iso(until), tries, next_at: nextAt === null ? null : iso(nextAt) };
}

function seconds({ p50Ms, p95Ms }: Percentiles) {
  return { p50_seconds: p50Ms / 1000, p95_seconds: p95Ms / 1000 };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
