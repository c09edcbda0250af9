/** What can happen to an instance, what it asks of the world, and what it tells. */
import type { AutoHibernation, AutoHibernationPatch } from "../protocol/config.ts";
import type { SignalName } from "../protocol/signals.ts";
import type { Held, Result, Seal, SnapshotRef, UpdateReport } from "../protocol/wire.ts";
import type { ClimbFacts, RungReport } from "./ladder.ts";
import type { PaidInterval } from "./ledger.ts";
import type { Policies } from "./policy.ts";
import type { Copying, HistoryEntry, Hold, ManifestName, ProvedSnapshot, StoredManifest } from "./snapshot-types.ts";
import type { Timings } from "./timings.ts";
import type { Actor, Basis, MachineSpec, RentedFacts, State, WakeRequest } from "./types.ts";

/** What the signals of the agent say at a beat; see idle.ts. */
export type Verdict =
  | { kind: "busy"; blockers: Blocker[] }
  /** Quiet since `since`; `ripe` when the whole window is covered by samples. */
  | { kind: "quiet"; since: number; ripe: boolean };

export interface Blocker {
  signal: "gpu" | SignalName | "lease" | "grace" | "hook";
  code:
    | "gpu_busy"
    | "gpu_unknown"
    | "sensor_failed"
    | "no_samples"
    | "samples_stale"
    | "signal_busy"
    | "signal_unknown"
    | "lease"
    | "grace"
    | "hook_veto";
  /** In the unit of the signal, where there is a number. */
  value: number | null;
  threshold: number | null;
  detail: string | null;
  /** When it ends by itself, where that is known. */
  until?: number;
}

export type LifecycleEvent =
  | {
      type: "beat";
      epoch: number;
      verdict: Verdict;
      results: Result[];
      seal: Seal | null;
      /** Whether the work of the present command moved since the last beat. */
      progressed: boolean;
      /** Commands that hold the machine; absent: nothing is said of them. */
      held?: Held[];
      /** Whether a process may hold GPU memory; absent: not known, so it may. */
      memoryHeld?: boolean;
      /** What became of a new agent; repeated until it is known to have arrived. */
      update?: UpdateReport;
    }
  | { type: "tick" }
  | { type: "wake"; wake: WakeRequest }
  | { type: "hibernate"; actor: Actor; force?: boolean }
  /** A lease until then, and no longer than the configured cap. `isNotNow`: a sleep is put off. */
  | { type: "keepAwake"; actor: Actor; until: number; what: string | null; isNotNow: boolean }
  /** Ends every lease. */
  | { type: "letSleep"; actor: Actor }
  /** `epoch`, where given, is that of the machine that was shown to whoever said so; of another it is ignored (I3). */
  | { type: "discard"; actor: Actor; epoch?: number }
  | { type: "rename"; actor: Actor; name: string }
  /** `own` and `policies`: what `config` was made of, where they change. */
  | {
      type: "configure";
      actor: Actor;
      config: AutoHibernation;
      own?: AutoHibernationPatch;
      policies?: Policies;
    }
  /** `twins`: other machines under the same label, from a create that was carried out twice. */
  | { type: "rented"; epoch: number; facts: RentedFacts; climb?: RungReport[]; twins?: RentedFacts[] }
  | {
      type: "rentFailed";
      epoch: number;
      code: string;
      message: string;
      tryNext: boolean;
      machineId: number | null;
      climb?: RungReport[];
    }
  /** The call may have had its effect; or, from `looked`, the label was not found by a list that succeeded. */
  | { type: "rentUnknown"; epoch: number }
  | { type: "notFound"; epoch: number }
  | {
      type: "seen";
      epoch: number;
      facts: RentedFacts;
      phase: "loading" | "running" | "stopped" | "queued" | "lost";
      fatal: "host" | "image" | null;
      message: string | null;
      twins?: RentedFacts[];
      /** Its label was lost: only its environment says that it is ours. */
      byEnv?: true;
    }
  /** The provider itself said that it does not know the machine. */
  | { type: "gone"; epoch: number; at: number }
  | { type: "endTried"; epoch: number; accepted: boolean; message: string | null; stillRuns?: true }
  | { type: "stopTried"; epoch: number; accepted: boolean; message: string | null }
  /** A machine that was stopped: the start was accepted, or its answer was lost. */
  | { type: "started"; epoch: number }
  /** It does not start now. One that would start, and cost, at some later time counts as such. */
  | { type: "startFailed"; epoch: number; code: string; message: string }
  /** The provider could not be asked: says nothing about any machine. */
  | { type: "lookFailed"; epoch: number; message: string }
  /** `parts` and `bytes`: what was found in the store. */
  | { type: "proved"; ref: SnapshotRef; parts?: number; bytes?: number; manifest?: StoredManifest }
  | { type: "proofFailed"; ref: SnapshotRef; retryable: boolean; message: string }
  /** The newest snapshot that verifies in place of a damaged one; null: none does. `tried`: how many do not. */
  | { type: "salvaged"; damaged: SnapshotRef; found: ProvedSnapshot | null; tried: number }
  /** Somebody needs a snapshot until then; a time that has passed ends it. */
  | { type: "hold"; hold: Hold }
  /** Of the snapshot that this instance is made from. */
  | { type: "copied"; parts: number; partsTotal: number; done: ProvedSnapshot | null }
  | { type: "copyFailed"; retryable: boolean; message: string }
  /** What went from the store. `nextAt`: when something else may; null: not before something changes. */
  | { type: "collected"; manifests: ManifestName[]; parts: number; bytes: number; nextAt: number | null }
  | { type: "collectFailed"; message: string };

export type EventType = LifecycleEvent["type"];

export type Effect =
  | { kind: "rent"; epoch: number; label: string; spec: MachineSpec; avoid: number[]; facts: ClimbFacts }
  /** Ask the provider about one machine: seen, gone, notFound or lookFailed. */
  | { kind: "look"; epoch: number; label: string; providerId: number | null; fresh?: true }
  /** Destroy, or confirm that a destroy took effect: gone, endTried or lookFailed. */
  | { kind: "end"; epoch: number; label: string; providerId: number | null; basis: Basis }
  /** Stop, or confirm that a stop took effect: seen, gone, stopTried or lookFailed. */
  | { kind: "stop"; epoch: number; label: string; providerId: number | null }
  /** started or startFailed. */
  | { kind: "start"; epoch: number; label: string; providerId: number | null }
  /** Check manifest and every part in the store: proved or proofFailed. With `mayBeTorn` it proves no destroy. */
  | { kind: "prove"; ref: SnapshotRef; mayBeTorn?: true }
  /** Find the newest snapshot that verifies: salvaged, or proofFailed when the store does not answer. */
  | { kind: "salvage"; damaged: SnapshotRef }
  /** Bring the parts of another instance's snapshot here, some at a time: copied or copyFailed. */
  | { kind: "copy"; from: Copying["from"]; to: ManifestName }
  /** Delete what retention no longer keeps: collected or collectFailed. */
  | { kind: "collect" }
  /** A line of the history of snapshots: proved, found damaged, or gone. */
  | { kind: "history"; entry: HistoryEntry }
  /** A closed interval of paid time. */
  | ({ kind: "charge" } & PaidInterval & { toAt: number })
  /** One line of the event log. */
  | { kind: "log"; type: LogType; actor: Actor; params: Record<string, string | number | boolean | null> };

/** Effects that are written with the state and ask nothing of the world. */
export type OwnEffect = Extract<Effect, { kind: "log" | "charge" | "history" }>;
export type WorldEffect = Exclude<Effect, OwnEffect>;

/** Event types; the first four are the plan's own words. */
export type LogType =
  | "idle_detected"
  | "hibernated"
  | "woke_up"
  | "deleted"
  | "created"
  | "adopted"
  | "active_again"
  | "hibernate_requested"
  | "hibernate_cancelled"
  | "hibernate_retry_planned"
  | "snapshot_started"
  | "snapshot_taken"
  | "snapshot_proved"
  | "snapshot_failed"
  | "hook_ran"
  | "hook_failed"
  | "sleep_vetoed"
  | "checkpoint_taken"
  | "checkpoint_failed"
  | "checkpoint_called_off"
  | "sealed"
  | "seal_expired"
  | "sleep_waits"
  | "destroy_accepted"
  | "destroy_failed"
  | "machine_gone"
  | "stop_accepted"
  | "stop_failed"
  | "machine_stopped"
  | "machine_started"
  | "start_failed"
  | "machine_kept"
  | "machine_lost"
  | "machine_rented"
  | "machine_up"
  | "machine_abandoned"
  | "rival_asked"
  | "rival_not_rented"
  | "wake_requested"
  | "wake_joined"
  | "wake_cancelled"
  | "wake_failed"
  | "wake_retry_planned"
  | "wake_retries_ended"
  | "restore_started"
  | "restore_failed"
  | "restored"
  | "unreachable"
  | "reachable"
  | "snapshot_verified"
  | "snapshot_damaged"
  | "snapshot_replaced"
  | "snapshots_removed"
  | "rolled_back"
  | "copy_started"
  | "copied"
  | "copy_failed"
  | "discarded"
  | "failed"
  | "config_changed"
  | "renamed"
  | "keep_awake"
  | "keep_awake_ended"
  | "sleep_soon"
  | "sleep_postponed"
  | "schedule_due"
  | "schedule_waits"
  | "agent_updated"
  | "agent_rolled_back"
  | "orphan_found";

export interface Context {
  now: number;
  timings: Timings;
}

export interface Outcome {
  state: State;
  effects: Effect[];
}
