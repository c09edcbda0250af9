/** From an outcome of the lifecycle to the rows of one transaction. */

import type { Effect } from "../../core/lifecycle/events.ts";
import type { Actor, Machine, State } from "../../core/lifecycle/types.ts";
import { mayBeTold } from "../notices/notice.ts";
import type { Commit, OutboxTask, Saved } from "./store.ts";

export function commitOf(saved: Saved, effects: Effect[], gpuUtil: number | null, doneRow?: number): Commit {
  const commit: Commit = {
    saved,
    logs: [],
    tasks: [{ kind: "mirrorStatus" }],
    charges: [],
    done: doneRow === undefined ? [] : [doneRow],
  };
  for (const effect of effects) {
    if (effect.kind === "log") {
      const seq = effect.params.snapshot_seq;
      commit.logs.push({
        at: saved.savedAt,
        type: effect.type,
        actor: actorText(effect.actor),
        gpuUtilization: gpuUtil,
        snapshotSeq: typeof seq === "number" ? seq : null,
        params: effect.params,
      });
    } else if (effect.kind === "history") {
      commit.history = [...(commit.history ?? []), effect.entry];
    } else if (effect.kind === "charge") {
      const { kind: _, ...interval } = effect;
      commit.charges.push(interval);
    } else {
      commit.tasks.push(effect satisfies OutboxTask);
    }
  }
  if (commit.logs.length > 0) commit.tasks.push({ kind: "mirrorEvents" });
  if (commit.logs.some(({ type }) => mayBeTold(type))) commit.tasks.push({ kind: "queueNotices" });
  return commit;
}

/** An ordinary heartbeat moves only the times of last contact; anything else is worth a row. */
export function changesMoreThanTheClock(before: State, after: State): boolean {
  return JSON.stringify(withoutClock(before)) !== JSON.stringify(withoutClock(after));
}

function withoutClock(state: State): unknown {
  const { now, checkpoint, ...rest } = state;
  const work = checkpoint?.work && { ...checkpoint.work, progressAt: 0 };
  const machine = "machine" in now && now.machine?.meter ? withoutLook(now.machine) : undefined;
  const still = { ...now, lastBeatAt: 0, progressAt: 0, ...(machine && { machine }) };
  return { ...rest, checkpoint: checkpoint && { ...checkpoint, work }, now: still };
}

/** When it was last seen to run: the next look says it again. */
function withoutLook(machine: Machine): Machine {
  return { ...machine, meter: { from: null, ...machine.meter, seenAt: 0 } };
}

export function actorText(actor: Actor): string {
  if (actor.kind === "user") return `user:${actor.id}`;
  return actor.kind === "proxy" ? `proxy:${actor.by}` : actor.kind;
}
