/**
 * What the agent should be doing: a function of the state, nothing stored. The answer to every heartbeat carries it, so
 * a command is off as soon as the state no longer wants it (docs/adr/0002).
 */
import type { Command } from "../protocol/wire.ts";
import { afterWakeCommandId } from "./after-wake.ts";
import { afterWakeHook, beforeSleepHook } from "./hooks.ts";
import { restoreOf } from "./machines.ts";
import { recoveryPoint } from "./recovery.ts";
import type { Timings } from "./timings.ts";
import type { State } from "./types.ts";

export function commandsFor(state: State, epoch: number, timings: Pick<Timings, "sealHoldMs">): Command[] {
  const phase = state.now;
  switch (phase.status) {
    case "running": {
      const owed = state.afterWake;
      if (owed && owed.epoch === epoch && phase.machine.epoch === epoch) {
        const hook = { ...afterWakeHook(state), reason: owed.reason };
        return [{ id: afterWakeCommandId(owed), kind: "hook", hook }];
      }
      const work = state.checkpoint?.work;
      if (phase.machine.epoch !== epoch || state.checkpoint?.epoch !== epoch || !work || work.candidate) return [];
      const since = recoveryPoint(state)?.ref.digest ?? null;
      const minChangeBytes = Math.round(state.config.checkpoint.min_change_mb * 1_000_000);
      return [{ id: checkpointCommandId(epoch, work.seq), kind: "checkpoint", seq: work.seq, since, minChangeBytes }];
    }
    case "snapshotting":
      if (phase.machine.epoch !== epoch) return [];
      if (phase.sealId && phase.proved) {
        return [{ id: phase.sealId, kind: "seal", proved: phase.proved, seq: phase.seq, holdMs: timings.sealHoldMs }];
      }
      return phase.step === "taking"
        ? [
            {
              id: snapshotCommandId(epoch, phase.seq),
              kind: "snapshot",
              seq: phase.seq,
              ...(phase.hook === "due" && { hook: beforeSleepHook(state, phase.cause) }),
            },
          ]
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
  return wanted ? [{ id, kind: "restore", snapshot: wanted.ref, hook: afterWakeHook(state) }] : [];
}

export function snapshotCommandId(epoch: number, seq: number): string {
  return `snapshot.${epoch}.${seq}`;
}

export function checkpointCommandId(epoch: number, seq: number): string {
  return `checkpoint.${epoch}.${seq}`;
}

export function sealCommandId(epoch: number, seq: number): string {
  return `seal.${epoch}.${seq}`;
}

export function restoreCommandId(epoch: number, tries: number): string {
  return `restore.${epoch}.${tries}`;
}
