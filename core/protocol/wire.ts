/**
 * What the agent and the worker say to each other: one heartbeat and its answer.
 *
 * The exchange is level-triggered. Every answer carries all commands that hold *now*; a command that is no longer in
 * the answer is off, and the agent stops what it did for it. Every heartbeat carries everything that the worker has not
 * yet confirmed. So a lost, doubled or late message, a restarted agent and an evicted object all heal with the next beat.
 *
 * Times are epoch milliseconds of the *agent's* clock; `sentAt` lets the worker place them on its own.
 */
import * as z from "zod";
import { pipeKinds } from "./gate.ts";
import { signalReadingsSchema } from "./signals.ts";

const count = z.number().int().min(0);
export const maxTornPaths = 10;
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const percent = z.number().min(0).max(100);

/** One GPU over one interval. A null is "not known" and never counts as idle. */
export const gpuReadingSchema = z.object({
  index: count.max(1023),
  name: z.string().max(120).nullable(),
  /** Highest, mean (percent) and the share (0..1) of samples at or above the threshold. */
  max: percent.nullable(),
  mean: percent.nullable(),
  busyShare: z.number().min(0).max(1).nullable(),
  memoryUsedMb: z.number().min(0).nullable(),
  memoryTotalMb: z.number().min(0).nullable(),
});
export type GpuReading = z.infer<typeof gpuReadingSchema>;

/** What was sampled between two beats. */
export const intervalSchema = z.object({
  /** Grows by one within one `bootId`. */
  n: count,
  fromAt: z.number(),
  toAt: z.number(),
  /** How many samples the interval should hold and how many it does. */
  expected: count,
  taken: count,
  gpus: z.array(gpuReadingSchema).max(64),
  /** Why the sensor failed, in its own words; null when it did not. A failed sensor counts as busy. */
  sensorError: z.string().max(500).nullable(),
  /** What else was noticed; absent from an agent that does not look. */
  signals: signalReadingsSchema.optional(),
});
export type Interval = z.infer<typeof intervalSchema>;

export const progressSchema = z.object({
  phase: z.string().max(40),
  entries: count,
  files: count,
  plainBytes: count,
  doneBytes: count,
  reusedBytes: count,
  storedBytes: count,
  sentBytes: count,
  partsDone: count,
  partsTotal: count,
});
export type Progress = z.infer<typeof progressSchema>;

/** Names one snapshot exactly: where its manifest lies and what the tree's digest is. */
export const snapshotRefSchema = z.object({
  seq: count.min(1),
  epoch: count.min(1),
  digest: sha256Hex,
});
export type SnapshotRef = z.infer<typeof snapshotRefSchema>;

export const snapshotStatsSchema = z.object({
  entries: count,
  files: count,
  plainBytes: count,
  storedBytes: count,
  newStoredBytes: count,
});
export type SnapshotStats = z.infer<typeof snapshotStatsSchema>;

/** The commands, all idempotent. `id` is the same for as long as the same thing is wanted. */
export type Command =
  /** Take a snapshot with this sequence number until a quiet round, write the manifest. */
  | { id: string; kind: "snapshot"; seq: number; hook?: HookCommand }
  /**
   * The same beside work that must not become slower: nothing is stopped, and what keeps changing is told as torn.
   * Nothing is taken where less than `minChangeBytes` changed since the snapshot of digest `since`, or nothing at all.
   */
  | { id: string; kind: "checkpoint"; seq: number; since: string | null; minChangeBytes: number }
  /**
   * Stop every process that could write, scan once more. If the digest is still `proved`, report the seal with it;
   * otherwise take snapshot `seq` while sealed and report that. Keep the seal while this command is in the answers; end
   * it when the command is gone or no answer came for `holdMs`.
   */
  | { id: string; kind: "seal"; proved: SnapshotRef; seq: number; holdMs: number }
  /** Make the workspace equal to this snapshot. */
  | { id: string; kind: "restore"; snapshot: SnapshotRef; hook?: HookCommand }
  /** Run the hook after a wake, where nothing was restored. */
  | { id: string; kind: "hook"; hook: HookCommand };

/** To be run before the snapshot of a sleep, or after the restore of a wake. */
export interface HookCommand {
  /** A shell command; null: the workspace's own script, where there is one. */
  run: string | null;
  timeoutMs: number;
  /** For the script: who or what wants the sleep. `called_off`: run only if the one before a sleep was, since the last wake. */
  reason: "idle" | "asked" | "wake" | "called_off";
  /** Whether anything but a clean end keeps the machine awake: the command then fails with `hookVeto`. */
  mayVeto: boolean;
}

/** The code of a snapshot that failed because the hook before it said no. */
export const hookVeto = "hook_veto";

/** What came of a hook; `exit` is null for one that a signal ended or that could not be started. */
export const hookReportSchema = z.object({
  name: z.enum(["before_sleep", "after_wake"]),
  outcome: z.enum(["ok", "failed", "timed_out"]),
  exit: z.number().int().nullable(),
  ms: count,
  /** The end of its output. */
  tail: z.string().max(1000),
});
export type HookReport = z.infer<typeof hookReportSchema>;

export const resultSchema = z.discriminatedUnion("outcome", [
  z.object({
    commandId: z.string().max(80),
    outcome: z.literal("snapshot_taken"),
    snapshot: snapshotRefSchema,
    stats: snapshotStatsSchema,
    /** Entries that changed while they were read, or could not be read, and the first of their paths. */
    torn: count.optional(),
    tornPaths: z.array(z.string().max(4096)).max(maxTornPaths).optional(),
    hook: hookReportSchema.optional(),
  }),
  /** Of a checkpoint that was not worth it. With no changed entry the workspace still equals `since`. */
  z.object({
    commandId: z.string().max(80),
    outcome: z.literal("unchanged"),
    changedEntries: count,
    changedBytes: count,
  }),
  z.object({
    commandId: z.string().max(80),
    outcome: z.literal("restored"),
    digest: sha256Hex,
    stats: snapshotStatsSchema.partial().optional(),
    hook: hookReportSchema.optional(),
  }),
  /** Of the command `hook`; without a report there was nothing to be run. */
  z.object({
    commandId: z.string().max(80),
    outcome: z.literal("hook_ended"),
    hook: hookReportSchema.optional(),
  }),
  z.object({
    commandId: z.string().max(80),
    outcome: z.literal("failed"),
    code: z.string().max(80),
    message: z.string().max(1000),
    retryable: z.boolean(),
    hook: hookReportSchema.optional(),
  }),
]);
export type Result = z.infer<typeof resultSchema>;

/** The seal as it stands at `sentAt`. `snapshot` is what the sealed workspace equals. */
export const sealSchema = z.object({
  commandId: z.string().max(80),
  snapshot: snapshotRefSchema,
  stats: snapshotStatsSchema.nullable(),
  stoppedProcesses: count,
  /** For how long after `sentAt` the agent keeps the seal even if it never hears from the worker again. */
  holdsForMs: count,
});
export type Seal = z.infer<typeof sealSchema>;

/** A command that runs under `soneca-agent run -- COMMAND`. It holds the machine for as long as it is reported. */
export const heldSchema = z.object({
  id: z.string().min(1).max(64),
  /** The command, for people. */
  what: z.string().max(200),
});
export type Held = z.infer<typeof heldSchema>;

/** The gate of the machine (gate.ts), and the pipe that the agent keeps open to it. */
export const gateReportSchema = z.object({
  /** Where it listens on 127.0.0.1. */
  port: z.number().int().min(1).max(65_535),
  /** It has the key of this epoch. */
  keyed: z.boolean(),
  /** What it serves, and whether that is open; none while it was told of none. */
  pipe: z.enum(pipeKinds).nullable(),
  isOpen: z.boolean(),
  /** Why a pipe is not open, for people. */
  trouble: z.string().max(300).optional(),
});
export type GateReport = z.infer<typeof gateReportSchema>;

/** What became of a new agent. Reported until an answer confirms its `id`. */
export const updateReportSchema = z.object({
  id: z.string().min(1).max(80),
  outcome: z.enum(["updated", "rolled_back"]),
  /** The new one, by its SHA-256. */
  build: sha256Hex,
  version: z.string().max(40).nullable(),
  /** Why it did not stay, for people. */
  reason: z.string().max(300).nullable(),
});
export type UpdateReport = z.infer<typeof updateReportSchema>;

/**
 * `POST /api/agent/status`. The first four fields are the plan's own; a report with those alone is valid: it says what
 * one reading said at that moment.
 */
export const statusReportSchema = z.object({
  instance_id: z.string(),
  /** Highest utilisation over all GPUs in the newest interval, percent; null or absent when it is not known. */
  gpu_util: percent.nullable().optional(),
  /** ISO 8601, or epoch milliseconds or seconds. */
  timestamp: z.union([z.string().max(64), z.number()]).optional(),
  /** The agent's own word for what it saw, for people: "active", "idle" or "unknown". */
  status: z.string().max(20).optional(),

  sentAt: z.number().optional(),
  /** The same moment by a clock of this boot that nobody sets: it says which of two reports is the newer. */
  uptimeMs: z.number().min(0).optional(),
  agent: z
    .object({
      version: z.string().max(40),
      bootId: z.string().max(64),
      startedAt: z.number(),
      workspace: z.string().max(4096),
      /** The provider's number of the machine it runs on; absent where the machine does not say. */
      container: z.number().int().positive().optional(),
      /** SHA-256 of its program; absent where nothing would start another one in its place. */
      build: sha256Hex.optional(),
    })
    .optional(),
  update: updateReportSchema.optional(),
  intervals: z.array(intervalSchema).max(256).optional(),
  progress: progressSchema
    .extend({ commandId: z.string().max(80) })
    .nullable()
    .optional(),
  results: z.array(resultSchema).max(16).optional(),
  seal: sealSchema.nullable().optional(),
  /** All that hold the machine now; absent from an agent that knows none of this, which changes nothing. */
  held: z.array(heldSchema).max(16).optional(),
  /** Absent from an agent without a gate, and while it cannot listen. */
  gate: gateReportSchema.optional(),
});
export type StatusReport = z.infer<typeof statusReportSchema>;

export interface StatusAnswer {
  ok: true;
  /** The instance's state, for the agent's log. */
  status: string;
  nextBeatMs: number;
  gpuUsageThreshold: number;
  commands: Command[];
  /** Intervals of this boot up to this one are kept by the worker and need not be sent again; -1 for none. */
  intervalsKept: number;
  /** Results that arrived; the agent forgets them. */
  resultsKept: string[];
  /** A fresh token in place of one that nears its end. */
  token?: string;
  /** Where the report's gate lacks its key, or keeps another pipe than this. */
  gate?: GateOrder;
  /** Where the report's build is another than this deployment serves. */
  update?: UpdateOrder;
  /** `id` of the report's `update`, which arrived. */
  updateKept?: string;
}

/** The agent that is wanted: `/agent/soneca-agent.mjs` of the control plane. */
export interface UpdateOrder {
  version: string;
  /** SHA-256, 64 hex digits. */
  build: string;
}

/** What the agent's gate is to be. */
export interface GateOrder {
  /** Verifies the tokens of this instance and epoch; base64url. */
  key: string;
  pipe: PipeOrder;
}

export type PipeOrder =
  | { kind: "direct" }
  | { kind: "relay" }
  | {
      kind: "tunnel";
      token: string;
      protocol: "quic" | "http2";
      /** Where `cloudflared` is had where the machine has none. */
      binary: { url: string; sha256: string } | null;
    };

/** The environment that a rented machine's agent starts with. */
export const agentEnv = {
  url: "SONECA_URL",
  token: "SONECA_TOKEN",
  instance: "SONECA_INSTANCE",
  epoch: "SONECA_EPOCH",
  /** The workspace; vast.ai's own DATA_DIRECTORY is the fallback, then /workspace. */
  workspace: "SONECA_WORKSPACE",
  /** Where the agent keeps its own files, never inside the workspace. */
  home: "SONECA_HOME",
} as const;
