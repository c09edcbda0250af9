/** How a sleep ends before the machine goes: called off, put off by the hook, failed, or in silence. */
import { hookVeto } from "../protocol/wire.ts";
import type { Context, Effect, Outcome } from "./events.ts";
import { dropGap, noteUploadStopped } from "./gaps.ts";
import type { PhaseOf } from "./handler.ts";
import { vetoed } from "./hooks.ts";
import { agentActor, enter, log, system, wakeful } from "./machines.ts";
import { dropStanding, isTold, plannedLog, type SleepFailure, stand } from "./standing.ts";
import type { Actor, State, WakeRequest } from "./types.ts";
import { readyUntil } from "./vetoes.ts";

export function cancelSleep(
  state: State,
  phase: PhaseOf<"snapshotting">,
  actor: Actor,
  params: Record<string, string | number | null>,
  wake: WakeRequest | null,
  ctx: Context,
): Outcome {
  const restlessUntil = Math.max(ctx.now, readyUntil(state, wake));
  const awake = { ...wakeful(phase.machine, phase.lastBeatAt, ctx), restlessUntil, wake };
  const stopped = dropStanding(phase.proved ? state : noteUploadStopped(state, phase.since, ctx));
  return enter(stopped, awake, log("hibernate_cancelled", actor, params));
}

/** The hook said no: the machine runs on, and it is asked again after a rest. */
export function vetoSleep(
  state: State,
  phase: PhaseOf<"snapshotting">,
  message: string,
  said: Effect[],
  ctx: Context,
): Outcome {
  const veto = vetoed(state, message, ctx);
  const why = { code: hookVeto, message, mayPass: true };
  const { cause } = phase;
  // Forced while the script ran: it had a right to object then, and has none any more.
  const at = cause.kind === "asked" && cause.force ? ctx.now : veto.until;
  const kept = cause.kind === "asked" ? stand(state, cause, why, ctx, at) : state;
  return enter(
    { ...kept, veto },
    { ...wakeful(phase.machine, phase.lastBeatAt, ctx), restlessUntil: veto.until },
    ...said,
    log("sleep_vetoed", agentActor, { message, until: veto.until, count: veto.count }),
  );
}

/**
 * The machine is kept and goes on costing; the log and `trouble` say so. One that was asked for is tried again, the rule's own
 * after a rest.
 */
export function failSleep(state: State, phase: PhaseOf<"snapshotting">, why: SleepFailure, ctx: Context): Outcome {
  const awake = wakeful(phase.machine, phase.lastBeatAt, ctx);
  const { code, message } = why;
  const { cause } = phase;
  const kept = cause.kind === "asked" ? stand(state, cause, why, ctx) : state;
  const { restAfterFailureMs, restAfterFailureMaxMs } = ctx.timings;
  const restMs = cause.kind === "asked" || why.mayPass ? restAfterFailureMs : restAfterFailureMaxMs;
  const said = isTold(state, cause, why)
    ? []
    : [log("snapshot_failed", system, { code, message, snapshot_seq: phase.seq }), ...plannedLog(kept)];
  return enter(
    { ...kept, trouble: { code, message, at: ctx.now } },
    { ...awake, restlessUntil: ctx.now + restMs },
    ...said,
  );
}

export function fallSilent(
  state: State,
  phase: PhaseOf<"running"> | PhaseOf<"snapshotting">,
  wake: WakeRequest | null,
  ctx: Context,
): Outcome {
  const { machine, lastBeatAt } = phase;
  const message = "the agent fell silent";
  const why = { code: "unreachable", message, mayPass: true };
  // Tried again as soon as it speaks.
  const kept =
    phase.status === "snapshotting" && phase.cause.kind === "asked"
      ? stand(state, phase.cause, why, ctx, ctx.now)
      : state;
  const rests = phase.status === "running" ? { restlessUntil: phase.restlessUntil } : {};
  return enter(
    dropGap(kept),
    { status: "unreachable", machine, since: ctx.now, lastBeatAt, ...rests, lookAt: ctx.now, wake },
    log("unreachable", system, { last_beat_at: lastBeatAt }),
  );
}
