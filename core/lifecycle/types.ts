/** The words of the lifecycle: what an instance is, in every phase. What happens to it is in events.ts. See SPEC.md. */
import type { AutoHibernation, AutoHibernationPatch } from "../protocol/config.ts";
import type { InstanceId, UserId } from "../protocol/ids.ts";
import type { Reach, RentRulesPatch } from "../protocol/rent.ts";
import type { SnapshotRef, SnapshotStats } from "../protocol/wire.ts";
import type { OwedHook } from "./after-wake.ts";
import type { AutoState } from "./auto-state.ts";
import type { CheckpointState } from "./checkpoint-state.ts";
import type { Usual } from "./ladder.ts";
import type { Parked, Rest } from "./parked-state.ts";
import type { Policies } from "./policy.ts";
import type { ScheduleState } from "./schedule-state.ts";
import type { Copying, Hold, ProvedSnapshot } from "./snapshot-types.ts";
import type { StandingSleep } from "./standing-state.ts";

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
  /** That it does not end stands in the log. */
  isTold?: true;
  /** It stands still: no seal is needed for its end. */
  isStopped?: true;
}

export type Actor =
  | { kind: "user"; id: UserId }
  | { kind: "rule" }
  | { kind: "schedule" }
  /** A request to a service, and whose. */
  | { kind: "proxy"; by: string }
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
  /** Of a schedule: for when it is to be ready. What comes up earlier is kept for it. */
  readyAt?: number;
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
      /** As it ran. Absent where it did not, and in states of before. */
      restlessUntil?: number;
      lookAt: number;
      /** Since when the provider shows it as stopped: a second look decides. */
      stoppedAt?: number;
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
  /** Wakes of the last hour that requests to its services began, oldest first. */
  knocked?: { at: number; by: string }[];
  /** `id` of the last report on a new agent: it is told once. */
  agentUpdate?: string;
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
