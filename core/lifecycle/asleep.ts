/**
 * Being asleep: no machine, a snapshot in the store.
 *
 *   hibernated --pause over, snapshot verified once more--> deleted
 *       |  +--snapshot damaged--> failed                       |
 *       +--wake--> provisioning <--wake------------------------+
 */
import { ignore, type Row } from "./handler.ts";
import { endRetries } from "./keep-trying.ts";
import { enter, log, minutesMs, out, proofParams, ruleActor, sameSnapshot, system } from "./machines.ts";
import { startWake } from "./starting.ts";

export const hibernated: Row<"hibernated"> = {
  wake: (state, _phase, event, ctx) => startWake(state, event.wake, ctx),
  tick(state, phase, _event, ctx) {
    const due = phase.verifyAt ?? phase.deleteAt;
    if (ctx.now < due) return out(state);
    if (!state.snapshot) {
      return enter(state, { status: "deleted", since: ctx.now }, log("deleted", ruleActor, { snapshot_seq: null }));
    }
    // Before the pause ends the snapshot is proved once more (RF3); until the answer comes it is asked again.
    const delay = ctx.timings.verifyEveryMs;
    return enter(
      state,
      { ...phase, verifyAt: ctx.now + delay, verifyTries: phase.verifyTries + 1 },
      { kind: "prove", ref: state.snapshot.ref, ...(state.snapshot.checkpoint && { mayBeTorn: true as const }) },
    );
  },
  proved(state, phase, event, ctx) {
    if (!state.snapshot || phase.verifyAt === null || !sameSnapshot(event.ref, state.snapshot.ref)) return out(state);
    if (ctx.now < phase.deleteAt) return enter(state, { ...phase, verifyAt: null });
    return enter(
      state,
      { status: "deleted", since: ctx.now },
      log("snapshot_verified", system, proofParams(event.ref, event.facts)),
      log("deleted", ruleActor, { snapshot_seq: event.ref.seq }),
    );
  },
  proofFailed(state, phase, event, ctx) {
    if (!state.snapshot || phase.verifyAt === null || !sameSnapshot(event.ref, state.snapshot.ref)) return out(state);
    if (event.retryable) return out(state);
    return enter(
      { ...state, trouble: { code: "snapshot_damaged", message: event.message, at: ctx.now } },
      {
        status: "failed",
        machine: null,
        since: ctx.now,
        code: "snapshot_damaged",
        message: event.message,
        kept: `Everything that the store still holds of snapshot ${event.ref.seq}; nothing was removed.`,
      },
      log("snapshot_damaged", system, { snapshot_seq: event.ref.seq, message: event.message }),
    );
  },
  configure(state, phase, event) {
    const deleteAt = phase.since + minutesMs(event.config.delete_after_pause_minutes);
    return enter(state, { ...phase, deleteAt });
  },
  beat: ignore,
  hibernate: (state, _phase, event) => endRetries(state, event.actor),
  discard: ignore,
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
  discard: ignore,
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
