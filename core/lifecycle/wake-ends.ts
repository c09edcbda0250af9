/** How a wake ends: awake, or called off. Without a machine to be had: starting.ts. */
import { attemptsOf } from "./attempts.ts";
import { praiseHost } from "./avoid.ts";
import type { Context, Outcome } from "./events.ts";
import { noteAwake, noteStillAsleep } from "./gaps.ts";
import type { PhaseOf } from "./handler.ts";
import type { Usual } from "./ladder.ts";
import { andThen, enter, goBack, log, minutesMs, out, ruleActor, wakeful } from "./machines.ts";
import type { ProvedSnapshot } from "./snapshot-types.ts";
import type { StandingSleep } from "./standing-state.ts";
import { giveBack, giveUp } from "./starting.ts";
import type { Actor, Machine, State } from "./types.ts";
import { graceAfterWakeMs, readyUntil } from "./vetoes.ts";
import { noteWake } from "./wake-times.ts";

/** From here on the workspace on this machine is the only newest copy. */
export function finishWake(state: State, phase: PhaseOf<"provisioning"> | PhaseOf<"restoring">, ctx: Context): Outcome {
  // Grace: whoever asked for the machine gets to it before the idle window begins.
  const graceMs = phase.back === null ? minutesMs(state.config.grace_minutes) : graceAfterWakeMs(state.config);
  const praised = praiseHost(state, phase.machine.facts?.machineId, ctx);
  const { retry: _, ...rest } = noteAwake(praised, phase.machine, ctx.now);
  // Only what is there again becomes the current one: a wake that ended before changes nothing.
  const older = phase.status === "restoring" ? phase.wake.snapshot : undefined;
  const standing = phase.wake.toSleep ? { standing: unsavedSleep(ctx.now) } : {};
  const awake = enter(
    { ...rest, ...standing, trouble: null, ...usualOf(phase.machine), ...(older && { snapshot: older }) },
    {
      ...wakeful(phase.machine, ctx.now, ctx),
      restlessUntil: Math.max(ctx.now + graceMs, readyUntil(state, phase.wake)),
    },
    ...(older ? [rolledBack(phase.wake.actor, older, state.snapshot)] : []),
  );
  if (phase.back === null && !state.snapshot) return awake;
  const wakeMs = ctx.now - phase.wake.askedAt;
  const params = { epoch: phase.machine.epoch, wake_ms: wakeMs };
  if (phase.status !== "restoring" || !phase.took)
    return andThen(awake, (next) => out(next, log("woke_up", phase.wake.actor, params)));
  const { rentMs, bootMs } = phase.took;
  const restoreMs = ctx.now - phase.since;
  const times = { at: ctx.now, rentMs, bootMs, restoreMs, wakeMs: rentMs + bootMs + restoreMs };
  const said = log("woke_up", phase.wake.actor, { ...params, rent_ms: rentMs, boot_ms: bootMs, restore_ms: restoreMs });
  return andThen(awake, (next) => out(noteWake(next, times), said));
}

/** It was started for this alone. */
function unsavedSleep(at: number): StandingSleep {
  const why = { code: "machine_unsaved", message: "its stopped machine held what no snapshot has" };
  return { actor: ruleActor, ends: true, since: at, tries: 0, at, ...why };
}

function rolledBack(actor: Actor, to: ProvedSnapshot, from: ProvedSnapshot | null) {
  return log("rolled_back", actor, { snapshot_seq: to.ref.seq, from_seq: from?.ref.seq ?? null });
}

/** What this machine was, for the next wake to measure offers by. Without a price nothing is learned. */
function usualOf({ facts }: Machine): { usual?: Usual } {
  if (facts?.microUsdPerHour == null) return {};
  const { gpuType, gpuCount, gpuRamMb = null, microUsdPerHour } = facts;
  return { usual: { gpuType, gpuCount, gpuRamMb, microUsdPerHour } };
}

export function cancelWake(
  state: State,
  phase: PhaseOf<"provisioning"> | PhaseOf<"restoring">,
  actor: Actor,
  ctx: Context,
): Outcome {
  // Cancelling must never cost work: an adopted machine that has not reported yet keeps waiting for its agent.
  if (phase.machine.holdsWork && !phase.machine.rest) return out(state);
  const said = out(state, log("wake_cancelled", actor));
  const others = phase.status === "provisioning" ? attemptsOf(phase).slice(1) : [];
  const given = andThen(
    andThen({ ...said, state: noteStillAsleep(said.state) }, (next) => giveBack(next, others, "wake_cancelled", ctx)),
    (next) => giveUp(next, phase.machine, ctx),
  );
  if (phase.back === null) {
    return andThen(given, (next) =>
      enter(
        next,
        { status: "deleted", since: ctx.now },
        log("deleted", actor, { snapshot_seq: next.snapshot?.ref.seq ?? null }),
      ),
    );
  }
  const { back } = phase;
  return andThen(given, (next) =>
    enter(next, goBack(back, ctx.now, minutesMs(state.config.delete_after_pause_minutes))),
  );
}
