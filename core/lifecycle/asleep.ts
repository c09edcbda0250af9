/**
 * Being asleep: no machine, a snapshot in the store.
 *
 *   hibernated --pause over, snapshot verified once more--> deleted
 *       |  +--snapshot damaged--> an older one, or failed      |
 *       +--wake--> provisioning <--wake------------------------+
 */
import { copyIfDue, stayAsleep, wakeWhenCopied } from "./copying.ts";
import { ignore, type Row } from "./handler.ts";
import { endRetries, together } from "./keep-trying.ts";
import { andThen, enter, log, minutesMs, out, ruleActor, sameSnapshot, system } from "./machines.ts";
import { canRescue, discardParked, hasPauseEnd, isStill, isUnsaved, keptLog } from "./parked.ts";
import { rescue } from "./parked-events.ts";
import { provedEntry } from "./snapshots.ts";
import { startWake } from "./starting.ts";

export const hibernated: Row<"hibernated"> = {
  wake(state, phase, event, ctx) {
    if (state.copying) return wakeWhenCopied(state, event.wake, ctx);
    if (!phase.damaged) return startWake(state, event.wake, ctx);
    // What there is to wake is being found out (I4).
    const { damaged } = phase;
    const said = log(damaged.wake ? "wake_joined" : "wake_requested", event.wake.actor);
    const wake = damaged.wake ? together(damaged.wake, event.wake) : event.wake;
    return enter(state, { ...phase, damaged: { ...damaged, wake } }, said);
  },
  tick(state, phase, _event, ctx) {
    if (state.copying) return copyIfDue(state, ctx);
    if (!hasPauseEnd(state)) return out(state);
    const due = phase.verifyAt ?? phase.deleteAt;
    if (ctx.now < due) return out(state);
    if (!state.snapshot) {
      return enter(state, { status: "deleted", since: ctx.now }, log("deleted", ruleActor, { snapshot_seq: null }));
    }
    if (phase.damaged) {
      const verifyAt = ctx.now + ctx.timings.salvageEveryMs;
      return enter(state, { ...phase, verifyAt }, { kind: "salvage", damaged: phase.damaged.ref });
    }
    // Before the pause ends the snapshot is proved once more (RF3); until the answer comes it is asked again.
    const delay = ctx.timings.verifyEveryMs;
    return enter(
      state,
      { ...phase, verifyAt: ctx.now + delay, verifyTries: phase.verifyTries + 1 },
      // Of a checkpoint that was accepted it is known what is torn; no machine goes on this proof.
      { kind: "prove", ref: state.snapshot.ref, mayBeTorn: true },
    );
  },
  proved(state, phase, event, ctx) {
    if (!state.snapshot || phase.verifyAt === null || !sameSnapshot(event.ref, state.snapshot.ref)) return out(state);
    if (phase.damaged) return out(state);
    if (ctx.now < phase.deleteAt) return enter(state, { ...phase, verifyAt: null });
    const { parked } = state;
    // A stop that is not confirmed yet is waited for: asked again at the next try.
    if (parked && !isStill(parked)) return out(state);
    if (parked && canRescue(state, parked)) return rescue(state, ctx);
    return enter(
      state,
      { status: "deleted", since: ctx.now },
      // Work that no wake took along, on a machine that somebody else started: it is kept, and told.
      ...(parked && isUnsaved(state) ? [keptLog(parked.machine)] : []),
      provedEntry({ ...state.snapshot, provedAt: ctx.now }, event),
      log("snapshot_verified", system, { snapshot_seq: event.ref.seq }),
      log("deleted", ruleActor, { snapshot_seq: event.ref.seq }),
    );
  },
  proofFailed(state, phase, event, ctx) {
    if (!state.snapshot || phase.verifyAt === null || !sameSnapshot(event.ref, state.snapshot.ref)) return out(state);
    if (event.retryable) return out(state);
    if (phase.damaged) return out(state);
    // Never a silent `deleted`: an older one that verifies takes its place, or the instance fails (salvage.ts).
    const { ref, message } = event;
    const { parked } = state;
    if (parked && canRescue(state, parked)) {
      // A start must not meet a stop that is on its way.
      if (!isStill(parked)) return out(state);
      // The machine has what the store lost.
      const said = [
        log("snapshot_damaged", system, { snapshot_seq: ref.seq, message }),
        { kind: "history", entry: { op: "damaged", ref, at: ctx.now, message } } as const,
      ];
      return andThen(out(state, ...said), (next) => rescue(next, ctx));
    }
    return enter(
      state,
      { ...phase, verifyAt: ctx.now + ctx.timings.salvageEveryMs, damaged: { ref, message, wake: null } },
      log("snapshot_damaged", system, { snapshot_seq: ref.seq, message }),
      { kind: "history", entry: { op: "damaged", ref, at: ctx.now, message } },
      { kind: "salvage", damaged: ref },
    );
  },
  configure(state, phase, event) {
    const deleteAt = phase.since + minutesMs(event.config.delete_after_pause_minutes);
    return enter(state, { ...phase, deleteAt });
  },
  beat: ignore,
  hibernate(state, phase, event) {
    if (state.copying) return stayAsleep(state, event.actor);
    if (!phase.damaged?.wake) return endRetries(state, event.actor);
    return enter(state, { ...phase, damaged: { ...phase.damaged, wake: null } }, log("wake_cancelled", event.actor));
  },
  discard: (state, _phase, event, ctx) => (state.parked ? discardParked(state, state.parked, event, ctx) : out(state)),
  gone: ignore,
  seen: ignore,
  rented: ignore,
  rentFailed: ignore,
  rentUnknown: ignore,
  notFound: ignore,
  endTried: ignore,
  lookFailed: ignore,
};

export const deleted: Row<"deleted"> = {
  wake: (state, _phase, event, ctx) => startWake(state, event.wake, ctx),
  beat: ignore,
  tick: ignore,
  hibernate: (state, _phase, event) => endRetries(state, event.actor),
  discard: (state, _phase, event, ctx) => (state.parked ? discardParked(state, state.parked, event, ctx) : out(state)),
  configure: ignore,
  gone: ignore,
  seen: ignore,
  rented: ignore,
  rentFailed: ignore,
  rentUnknown: ignore,
  notFound: ignore,
  endTried: ignore,
  lookFailed: ignore,
  proved: ignore,
  proofFailed: ignore,
};
