/** What takes the place of a snapshot that is found damaged: the stopped machine, or the newest other one that verifies. */
import type { Context, Effect, LifecycleEvent, Outcome } from "./events.ts";
import type { PhaseOf } from "./handler.ts";
import { andThen, enter, log, out, ruleActor, sameSnapshot, system } from "./machines.ts";
import { canRescue, isStill, isUnsaved, keepOnlyCopy, keptLog } from "./parked.ts";
import { rescue } from "./parked-events.ts";
import type { ProvedSnapshot } from "./snapshot-types.ts";
import { startWake } from "./starting.ts";
import type { State } from "./types.ts";

type Salvaged = Extract<LifecycleEvent, { type: "salvaged" }>;

/** Before the pause ends: what takes the damaged one's place, and the pause ends or the wake that waited begins. */
export function takeSalvaged(state: State, event: Salvaged, ctx: Context): Outcome {
  const phase = state.now;
  if (phase.status !== "hibernated" || !phase.damaged || !sameSnapshot(phase.damaged.ref, event.damaged)) {
    return out(state);
  }
  const { damaged } = phase;
  const { wake } = damaged;
  const known = doubtStopped(state, event.found, ctx);
  const { parked } = known.state;
  // It has more than what was found.
  const isAhead = parked !== undefined && canRescue({ ...known.state, snapshot: event.found }, parked);
  if (isAhead && wake) return andThen(known, (next) => startWake(next, wake, ctx));
  // A stop that is not confirmed yet is waited for: looked for again at the next try.
  if (isAhead) return isStill(parked) ? andThen(known, (next) => rescue(next, ctx)) : known;
  return andThen(known, (next) => replace(next, phase, damaged, event, ctx));
}

/** What is newer than the newest that verifies is damaged as well: also what the stopped machine was sealed with. */
function doubtStopped(state: State, found: ProvedSnapshot | null, ctx: Context): Outcome {
  const proof = state.parked?.machine.rest?.proof;
  return proof && (!found || found.ref.seq < proof.seq) ? keepOnlyCopy(state, proof, ctx) : out(state);
}

/** The newest that verifies, or the instance fails and says so. */
function replace(
  state: State,
  phase: PhaseOf<"hibernated">,
  { ref, message, wake }: NonNullable<PhaseOf<"hibernated">["damaged"]>,
  { found, tried }: Salvaged,
  ctx: Context,
): Outcome {
  if (!found) {
    const others = tried > 0 ? ` ${tried} other${tried === 1 ? " is" : "s are"} damaged as well.` : "";
    const words = `Snapshot ${ref.seq} is damaged: ${message}.${others} None in the store verifies.`;
    const kept = `Everything that the store still holds of snapshot ${ref.seq}; nothing was removed.`;
    return enter(
      { ...state, trouble: { code: "snapshot_damaged", message: words, at: ctx.now } },
      { status: "failed", machine: null, since: ctx.now, code: "snapshot_damaged", message: words, kept },
      log("failed", system, { code: "snapshot_damaged", snapshot_seq: ref.seq, message: words }),
    );
  }
  const when = new Date(found.provedAt).toISOString();
  const relation = found.ref.seq < ref.seq ? "What changed after it is not in the store." : "It is newer.";
  const words = `Snapshot ${ref.seq} is damaged: ${message}. Snapshot ${found.ref.seq}, proved ${when}, verifies and is the current one now. ${relation}`;
  const replaced = {
    ...state,
    snapshot: found,
    trouble: { code: "snapshot_replaced", message: words, at: ctx.now },
  };
  const { damaged: _, ...pause } = phase;
  const said: Effect[] = [
    log("snapshot_replaced", system, { snapshot_seq: found.ref.seq, damaged_seq: ref.seq, message: words }),
  ];
  if (wake) {
    return andThen(enter(replaced, { ...pause, verifyAt: null }, ...said), (next) => startWake(next, wake, ctx));
  }
  if (ctx.now < phase.deleteAt) return enter(replaced, { ...pause, verifyAt: null }, ...said);
  return enter(
    replaced,
    { status: "deleted", since: ctx.now },
    ...said,
    ...(state.parked && isUnsaved(state) ? [keptLog(state.parked.machine)] : []),
    log("deleted", ruleActor, { snapshot_seq: found.ref.seq }),
  );
}
