/** The words of the lifecycle: what an instance is, what can happen to it, what it asks of the world. See SPEC.md. */
import type { AutoHibernation, AutoHibernationPatch } from "../protocol/config.ts";
import type { InstanceId, UserId } from "../protocol/ids.ts";
import type { Reach, RentRulesPatch } from "../protocol/rent.ts";
import type { SignalName } from "../protocol/signals.ts";
import type { Held, Result, Seal, SnapshotRef, SnapshotStats } from "../protocol/wire.ts";
import type { OwedHook } from "./after-wake.ts";
import type { AutoState } from "./auto-state.ts";
import type { CheckpointState } from "./checkpoint-state.ts";
import type { ClimbFacts, RungReport, Usual } from "./ladder.ts";
import type { PaidInterval } from "./ledger.ts";
import type { Parked, Rest } from "./parked-state.ts";
import type { Policies } from "./policy.ts";
import type { ScheduleState } from "./schedule-state.ts";
import type { Copying, HistoryEntry, Hold, ManifestName, ProvedSnapshot, StoredManifest } from "./snapshot-types.ts";
import type { StandingSleep } from "./standing-state.ts";
import type { Timings } from "./timings.ts";

/** What to rent. */
export interface MachineSpec {
  gpuType: string | null;
  gpuCount: number;
  region: string | null;
  diskGb: number;
  image: string;
  /** No machine dearer than this is ever rented, or kept when its price turns out to be higher; null for no cap. */
  maxMicroUsdPerHour: number | null;
  /** Changes to defaultRentRules. */
  rent?: RentRulesPatch;
}

/** What the provider told of a machine it rents to us. */
export interface RentedFacts {
  providerId: number;
  machineId: number | null;
  gpuType: string | null;
  gpuCount: number | null;
  /** Memory of one GPU. */
  gpuRamMb?: number | null;
  region: string | null;
  /** Micro-dollars per hour, disk included; null is "unknown" and is never guessed. */
  microUsdPerHour: number | null;
  /** The part of it that is the disk's. */
  diskMicroUsdPerHour?: number | null;
  /** Micro-dollars per GB of traffic. */
  upMicroUsdPerGb?: number | null;
  downMicroUsdPerGb?: number | null;
  sshHost: string | null;
  sshPort: number | null;
  /** Since when it runs by the provider's word, epoch ms; null while it does not. Of one reading, not kept. */
  runningSince?: number | null;
}

export interface Machine {
  epoch: number;
  label: string;
  /** Null while the rental was asked for and its outcome is not known. */
  facts: RentedFacts | null;
  adopted: boolean;
  /** True once a workspace lives on it that exists nowhere else. Such a machine ends only by proof or by discard (I1). */
  holdsWork: boolean;
  /** When the rental was asked for: no bill of it can begin earlier. */
  rentedAt: number;
  /** It was stopped, and its disk is as it was then. */
  rest?: Rest;
  /** Absent in states of before: paid since it was asked for. */
  meter?: Meter;
}

/** The time that its GPUs are paid for; see meter.ts. */
export interface Meter {
  /** Since when, of the time that goes on; null while it does not run. */
  from: number | null;
  /** When it was last seen to run, or not to. */
  seenAt: number;
  /** Since when only its disk is paid, up to `from`; null where it is not, absent where nobody counted it. */
  diskFrom?: number | null | undefined;
  /** The interval before, which is charged already: it may prove to have gone on. */
  last?: { from: number; to: number };
}

/** Why a machine may be destroyed (I1). */
export type Basis =
  /** The workspace was sealed with exactly this digest and the snapshot of it is proved. */
  | { kind: "proof"; snapshot: SnapshotRef }
  /** Nothing of the user was ever on it: a boot or a restore that did not end well. */
  | { kind: "neverHeldWork" }
  /** The user said so, having been told what is lost. */
  | { kind: "discard"; actor: Actor };

/** A machine on its way out. It stays here, and on the bill, until the provider says that it is gone (I5). */
export interface Retiring {
  machine: Machine;
  basis: Basis;
  since: number;
  /** When a destroy was accepted by the provider; null while none was. */
  acceptedAt: number | null;
  /** When the destroy was accepted that ended it: the first one, or a later one if it still ran after that. */
  offAt?: number;
  tries: number;
  nextTryAt: number;
  /** It stands still: no seal is needed for its end. */
  isStopped?: true;
}

export type Actor =
  | { kind: "user"; id: UserId }
  | { kind: "rule" }
  | { kind: "schedule" }
  | { kind: "agent" }
  | { kind: "provider" }
  | { kind: "reconcile" }
  | { kind: "system" };

export interface WakeRequest {
  actor: Actor;
  gpuType: string | null;
  region: string | null;
  askedAt: number;
  /** How far it may climb; the spec's own reach without. */
  reach?: Reach;
  /** Changes of the spec, which hold from this wake on. */
  maxMicroUsdPerHour?: number | null;
  rent?: RentRulesPatch;
  /** An older snapshot to go back to: it becomes the current one when it is restored. */
  snapshot?: ProvedSnapshot;
  /** Only to take the snapshot that lacks, of a machine that is stopped: it sleeps again, for good, as soon as it runs. */
  toSleep?: true;
  /** Until when it is tried again should it end without a machine, and how often it was. */
  keepTrying?: { until: number; tries: number };
}

/** One machine that is being started. */
export interface Attempt {
  machine: Machine;
  /**
   * renting: asked · checking: the answer was lost, looking for the label · starting: one that was stopped, asked ·
   * booting: rented or started, waiting for the agent.
   */
  step: "renting" | "checking" | "starting" | "booting";
  attemptSince: number;
  checks: number;
  lookAt: number | null;
  /** When the provider confirmed the rental. */
  bootingSince: number | null;
  /** When the provider first said that it runs. */
  upSince: number | null;
}

export interface AvoidedHost {
  machineId: number;
  until: number;
  /** Failures, less successes since. */
  fails?: number;
}

/** What one wake took: until the machine was rented, until its agent spoke, until every byte was back. */
export interface WakeTimes {
  at: number;
  rentMs: number;
  bootMs: number;
  restoreMs: number;
  wakeMs: number;
}

/** Where a wake that ends without a machine goes back to; null for an instance that never ran. */
export type Back =
  | { status: "hibernated"; since: number; deleteAt: number }
  | { status: "deleted"; since: number }
  | null;

/** `force`: the hook before the sleep is run, and may not object. `ends`: the machine is destroyed, whatever the pause mode. */
export type SleepCause =
  | { kind: "idle"; idleSince: number }
  | { kind: "asked"; actor: Actor; force?: boolean; ends?: true };

export type Phase =
  | {
      status: "running";
      machine: Machine;
      since: number;
      /** Since when every signal is quiet; null while anything is busy or unknown. */
      idleSince: number | null;
      lastBeatAt: number;
      /** No sleep by the idle rule before this: grace after a wake, pause after a failed sleep. */
      restlessUntil: number;
      /** A wake that no beat has answered yet: should the machine prove to be gone, it still holds (I4). */
      wake: WakeRequest | null;
    }
  | {
      status: "snapshotting";
      machine: Machine;
      since: number;
      cause: SleepCause;
      step: "taking" | "proving" | "sealing";
      /** Sequence number of the snapshot that is wanted now. */
      seq: number;
      /** What the agent took and the store must prove. */
      candidate: { ref: SnapshotRef; stats: SnapshotStats | null } | null;
      /** The newest proof of this sleep; it is what the seal is asked to equal. */
      proved: SnapshotRef | null;
      /** Set from the first seal command on: its id stays the same until the sleep ends. */
      sealId: string | null;
      /** `due`: the snapshot that is being taken begins with the hook; absent: it was not run for this sleep. */
      hook?: "due" | "done";
      proveAt: number | null;
      progressAt: number;
      lastBeatAt: number;
    }
  | {
      status: "destroying";
      epoch: number;
      since: number;
      cause: SleepCause;
      proof: SnapshotRef | null;
      sealId: string | null;
      /** A first destroy is sent before this moment or not at all; the agent holds its seal for some seconds longer. */
      sealedUntil: number;
      wakeAfter: WakeRequest | null;
    }
  | {
      status: "hibernated";
      since: number;
      deleteAt: number;
      verifyAt: number | null;
      verifyTries: number;
      /** The snapshot was found damaged: an older one that verifies is looked for, and a wake waits for it. */
      damaged?: { ref: SnapshotRef; message: string; wake: WakeRequest | null };
    }
  | { status: "deleted"; since: number }
  | {
      status: "provisioning";
      machine: Machine;
      since: number;
      wake: WakeRequest;
      back: Back;
      /** The oldest attempt, field by field (Attempt); those beside it are in `rivals`. */
      step: Attempt["step"];
      /** How many machines were asked for. */
      attempt: number;
      attemptSince: number;
      checks: number;
      lookAt: number | null;
      bootingSince?: number | null;
      upSince?: number | null;
      /** Started beside the first because it took long. The first whose agent speaks wins. */
      rivals?: Attempt[];
      noRivalBefore?: number;
    }
  | {
      status: "restoring";
      machine: Machine;
      since: number;
      wake: WakeRequest;
      back: Back;
      attempt: number;
      /** What the phases before took. */
      took?: { rentMs: number; bootMs: number };
      /** Counts the restores of this machine; part of the command's id. */
      tries: number;
      progressAt: number;
      lastBeatAt: number;
    }
  | {
      status: "unreachable";
      machine: Machine;
      since: number;
      lastBeatAt: number;
      lookAt: number;
      wake: WakeRequest | null;
    }
  | {
      status: "failed";
      machine: Machine | null;
      since: number;
      code: FailureCode;
      message: string;
      /** What is safe, in words for people (I9). */
      kept: string;
    };

export type Status = Phase["status"];
export const statuses = [
  "running",
  "snapshotting",
  "destroying",
  "hibernated",
  "deleted",
  "provisioning",
  "restoring",
  "unreachable",
  "failed",
] as const satisfies readonly Status[];

export type FailureCode = "wake_failed" | "machine_lost" | "snapshot_damaged" | "agent_never_reported" | "copy_failed";

/** The last thing that went wrong, kept until the next success of its kind. */
export interface Trouble {
  code: string;
  message: string;
  at: number;
}

export interface State {
  v: 1;
  instance: InstanceId;
  owner: UserId;
  name: string;
  /** What holds: made of its own settings and its owner's policies; see policy.ts. */
  config: AutoHibernation;
  /** What was set on the instance itself. Absent in states of before: what differs from the defaults. */
  own?: AutoHibernationPatch;
  policies?: Policies;
  spec: MachineSpec;
  createdAt: number;
  /** Epoch of the newest machine ever asked for (I3). */
  epoch: number;
  /** Highest sequence number ever given to a snapshot. */
  seq: number;
  snapshot: ProvedSnapshot | null;
  retiring: Retiring[];
  /** The machine that stands still while the instance sleeps, or goes once another one runs. */
  parked?: Parked;
  /** Machines with work on them that the provider said are gone. Should one turn up again, it is no stray (I1). */
  lost: Machine[];
  /** Epochs whose rental never got an answer and that no label was found of, newest last. */
  unanswered?: number[];
  /** Hosts that failed lately and until when they are avoided. */
  avoid: AvoidedHost[];
  lastWakeAt: number | null;
  trouble: Trouble | null;
  /** What keeps it awake on purpose; see awake.ts. Absent in states of before: nothing does. */
  awake?: AwakeState;
  /** The last machine that came up: what "the same" and "dear" mean to a wake. */
  usual?: Usual;
  /** The newest wakes, oldest first. */
  wakes?: WakeTimes[];
  /** A wake that ended without a machine and is tried again at this time. */
  retry?: { at: number; wake: WakeRequest };
  /** Snapshots of the running machine. */
  checkpoint?: CheckpointState;
  /** The hook before the last sleep said no; see hooks.ts. */
  veto?: Veto;
  /** The hook after a wake is to be run on the machine that runs; see after-wake.ts. */
  afterWake?: OwedHook;
  /** A sleep that was asked for and is tried again. */
  standing?: StandingSleep;
  /** Where it wakes and sleeps by the clock. */
  schedule?: ScheduleState;
  /** Idle gaps, what was measured, what sleeps saved. Absent in states of before: nothing is known yet. */
  auto?: AutoState;
  /** When the store is looked through for what may go (null: nothing is known to), and since when an answer is awaited. */
  collect?: { wantedAt: number | null; askedAt: number | null; lastAt: number | null };
  holds?: Hold[];
  copying?: Copying;
  now: Phase;
}

export interface Veto {
  at: number;
  /** It holds until then, and is asked again. */
  until: number;
  /** Vetoes in a row. */
  count: number;
  message: string;
}

export interface AwakeState {
  leases: Lease[];
  /** When the sleep that is next was announced; null while none is in sight. */
  warnedAt: number | null;
}

/** Holds a machine awake. */
export interface Lease {
  id: string;
  actor: Actor;
  /** What for, or the command; for people. */
  what: string | null;
  since: number;
  /** It holds no longer than this, whatever is reported. */
  until: number;
  /** Ended while the agent still reports it. */
  endedAt: number | null;
}

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
  | "keep_awake"
  | "keep_awake_ended"
  | "sleep_soon"
  | "sleep_postponed"
  | "schedule_due"
  | "schedule_waits"
  | "orphan_found";

export interface Context {
  now: number;
  timings: Timings;
}

export interface Outcome {
  state: State;
  effects: Effect[];
}
