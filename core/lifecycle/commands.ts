/**
 * What the agent should be doing: a function of the state, nothing stored. The answer to every heartbeat carries it, so
 * a command is off as soon as the state no longer wants it (docs/adr/0002).
 */
import type { Command } from "../protocol/wire.ts";
import { restoreOf } from "./machines.ts";
import type { Timings } from "./timings.ts";
import type { State } from "./types.ts";

export function commandsFor(state: State, epoch: number, timings: Pick<Timings, "sealHoldMs">): Command[] {
  const phase = state.now;
  switch (phase.status) {
    case "snapshotting":
      if (phase.machine.epoch !== epoch) return [];
      if (phase.sealId && phase.proved) {
        return [{ id: phase.sealId, kind: "seal", proved: phase.proved, seq: phase.seq, holdMs: timings.sealHoldMs }];
      }
      return phase.step === "taking"
        ? [{ id: snapshotCommandId(epoch, phase.seq), kind: "snapshot", seq: phase.seq }]
        : [];
    case "destroying":
      if (phase.epoch !== epoch || !phase.sealId || !phase.proof) return [];
      // The workspace stays still until the machine is gone.
      return [{ id: phase.sealId, kind: "seal", proved: phase.proof, seq: state.seq, holdMs: timings.sealHoldMs }];
    case "restoring":
      if (phase.machine.epoch !== epoch) return [];
      return restoring(state, restoreCommandId(epoch, phase.tries));
    default:
      return [];
  }
}

function restoring(state: State, id: string): Command[] {
  const wanted = restoreOf(state);
  return wanted ? [{ id, kind: "restore", snapshot: wanted.ref }] : [];
}

export function snapshotCommandId(epoch: number, seq: number): string {
  return `snapshot.${epoch}.${seq}`;
}

export function sealCommandId(epoch: number, seq: number): string {
  return `seal.${epoch}.${seq}`;
}

export function restoreCommandId(epoch: number, tries: number): string {
  return `restore.${epoch}.${tries}`;
}
