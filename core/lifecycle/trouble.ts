/**
 * Silence and failure.
 *
 *   running --no beat for long--> unreachable --beat--> running
 *                                      +--provider: gone--> hibernated (newest snapshot) or failed (none)
 *                                      +--provider: stopped--> hibernated, parked without a proof
 *   failed --wake--> provisioning (no machine) | --beat--> running (its machine spoke at last) | --discard--> destroying
 */
import { wakeWhenCopied } from "./copying.ts";
import { ignore, type Row } from "./handler.ts";
import { endRetries, together } from "./keep-trying.ts";
import { discardMachine, loseMachine } from "./losing.ts";
import { agentActor, andThen, enter, log, lookEffect, out, takeIn, wakeful } from "./machines.ts";
import { takeStopped } from "./parked-events.ts";
import { dropStanding } from "./standing.ts";
import { startWake } from "./starting.ts";
import { readyUntil } from "./vetoes.ts";

export const unreachable: Row<"unreachable"> = {
  beat: (state, phase, _event, ctx) =>
    enter(
      state,
      {
        ...wakeful(phase.machine, ctx.now, ctx),
        // A network that was away takes nothing of the time that it was left alone for.
        restlessUntil: Math.max(ctx.now, phase.restlessUntil ?? 0, readyUntil(state, phase.wake)),
      },
      log("reachable", agentActor, { silent_ms: ctx.now - phase.lastBeatAt }),
    ),
  tick(state, phase, _event, ctx) {
    if (ctx.now < phase.lookAt) return out(state);
    // The provider is asked first; nothing is judged idle or lost from silence alone.
    return enter(state, { ...phase, lookAt: ctx.now + ctx.timings.lookEveryMs * 3 }, lookEffect(phase.machine));
  },
  gone: (state, phase, event, ctx) => loseMachine(state, phase.machine, event.at, phase.wake, ctx),
  seen(state, { stoppedAt, ...phase }, event, ctx) {
    const known = { ...phase, machine: takeIn(phase.machine, event.facts) };
    // Of two that stand still one is settled first.
    if (event.phase !== "stopped" || state.parked) return enter(state, known);
    // A list may be old.
    if (stoppedAt === undefined || ctx.now < stoppedAt + ctx.timings.goneAgainMs) {
      const since = stoppedAt ?? ctx.now;
      return enter(state, { ...known, stoppedAt: since, lookAt: since + ctx.timings.goneAgainMs });
    }
    return takeStopped(state, known, ctx);
  },
  // Kept until it is clear what there is to wake: a beat answers it, a lost or a stopped machine starts it (I4).
  wake: (state, phase, event) =>
    phase.wake
      ? enter(state, { ...phase, wake: together(phase.wake, event.wake) }, log("wake_joined", event.wake.actor))
      : enter(dropStanding(state), { ...phase, wake: event.wake }, log("wake_requested", event.wake.actor)),
  hibernate: ignore,
  discard: (state, phase, event, ctx) => discardMachine(state, phase.machine, event.actor, ctx),
  configure: ignore,
  // The agent may speak before the provider's answer to the rental is in.
  rented: (state, phase, event) => enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }),
  rentFailed: ignore,
  rentUnknown: (state, phase) => out(state, lookEffect(phase.machine)),
  notFound: ignore,
  endTried: ignore,
  lookFailed: ignore,
  proved: ignore,
  proofFailed: ignore,
};

export const failed: Row<"failed"> = {
  beat(state, phase, _event, ctx) {
    if (!phase.machine) return out(state);
    return enter({ ...state, trouble: null }, wakeful(phase.machine, ctx.now, ctx), log("reachable", agentActor));
  },
  wake(state, phase, event, ctx) {
    if (state.copying) return wakeWhenCopied(state, event.wake, ctx);
    if (!phase.machine) return startWake(state, event.wake, ctx);
    // There is a machine; waking means waiting for its agent again.
    return enter(
      state,
      {
        status: "provisioning",
        machine: phase.machine,
        since: ctx.now,
        wake: event.wake,
        back: null,
        step: "booting",
        attempt: 1,
        attemptSince: ctx.now,
        checks: 0,
        lookAt: ctx.now,
      },
      log("wake_requested", event.wake.actor),
    );
  },
  discard(state, phase, event, ctx) {
    if (phase.machine) return discardMachine(state, phase.machine, event.actor, ctx);
    return andThen(endRetries(state, event.actor), (next) =>
      enter(next, { status: "deleted", since: ctx.now }, log("discarded", event.actor), log("deleted", event.actor)),
    );
  },
  gone: (state, phase, event, ctx) =>
    phase.machine ? loseMachine(state, phase.machine, event.at, null, ctx) : out(state),
  seen: (state, phase, event) =>
    phase.machine ? enter(state, { ...phase, machine: takeIn(phase.machine, event.facts) }) : out(state),
  tick: ignore,
  hibernate: (state, _phase, event) => endRetries(state, event.actor),
  configure: ignore,
  rented: ignore,
  rentFailed: ignore,
  rentUnknown: ignore,
  notFound: ignore,
  endTried: ignore,
  lookFailed: ignore,
  proved: ignore,
  proofFailed: ignore,
};
