/** What the API shows: an instance with its reasons, its snapshots, its events. Names, times and money as in api.ts. */
import * as z from "zod";
import { autoHibernationSchema } from "./config.ts";
import { pipeKinds } from "./gate.ts";
import { rentRulesSchema } from "./rent.ts";
import { informationNames, signalNames } from "./signals.ts";

export const time = z.iso.datetime();
export const microUsd = z.number().int().min(0);
const bytes = z.number().int().min(0);

export const instanceIdSchema = z.string().regex(/^i-[a-z2-7]{10}$/, "an instance id such as i-k3v7q2m4xa");

export const statusSchema = z.enum([
  "running",
  "idle",
  "hibernating",
  "hibernated",
  "waking",
  "deleted",
  "unreachable",
  "failed",
]);

export const actionSchema = z.enum(["wake", "hibernate", "keep_awake", "not_now", "configure", "discard"]);

const machineSchema = z.object({
  vast_instance_id: z.number().int().nullable(),
  label: z.string(),
  epoch: z.number().int(),
  gpu_type: z.string().nullable(),
  gpu_count: z.number().int().nullable(),
  region: z.string().nullable(),
  micro_usd_per_hour: microUsd.nullable(),
  rented_at: time,
  ssh: z.string().nullable(),
  adopted: z.boolean(),
});

const blockerSchema = z.object({
  signal: z.string(),
  code: z.string(),
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  detail: z.string().nullable(),
  /** When it ends by itself, where that is known. */
  until: time.optional(),
});

/** What one signal says, by what it is judged, and since when it has said so. */
const signalSchema = z.object({
  name: z.enum(["gpu", ...signalNames, ...informationNames]),
  /** Whether it decides. One that does not is shown only. */
  enabled: z.boolean(),
  state: z.enum(["busy", "quiet", "unknown"]),
  /** Null is "not known", or that there is nothing to be measured. */
  value: z.number().nullable(),
  threshold: z.number().nullable(),
  unit: z.enum(["requests", "percent", "seconds", "kernels", "bytes_per_second", "megabytes"]),
  since: time.nullable(),
  detail: z.string().nullable(),
});

const leaseSchema = z.object({
  id: z.string(),
  /** Who asked for it; `agent` for a command under `soneca-agent run`. */
  by: z.string(),
  by_name: z.string().nullable(),
  what: z.string().nullable(),
  since: time,
  until: time,
});

const usualTime = z.object({ p50_seconds: z.number(), p95_seconds: z.number() });

/** A wake under way. */
const wakeSchema = z.object({
  phase: z.enum(["renting", "booting", "restoring"]),
  phase_since: time,
  since: time,
  /** How many machines were asked for so far. */
  machines_asked: z.number().int(),
  /** What its own past wakes took, or those of its owner's instances; null while too few are known. */
  usual: z
    .object({
      of: z.enum(["instance", "account"]),
      wakes: z.number().int(),
      renting: usualTime,
      booting: usualTime,
      restoring: usualTime,
      total: usualTime,
    })
    .nullable(),
});

export const snapshotSchema = z.object({
  snapshot_id: z.string(),
  seq: z.number().int(),
  epoch: z.number().int(),
  digest: z.string(),
  created_at: time,
  plain_bytes: bytes.nullable(),
  stored_bytes: bytes.nullable(),
  entries: z.number().int().nullable(),
  parts: z.number().int().nullable(),
  proved_at: time.nullable(),
  /** Entries that changed while they were read, or could not be read. Above 0 it lets no machine be destroyed. */
  torn: z.number().int().nullable(),
  /** Taken for a sleep, while the machine ran, or copied from another instance. Null: never proved. */
  kind: z.enum(["sleep", "checkpoint", "copy"]).nullable(),
});

/** One of the history. Null is "not noted". */
export const pastSnapshotSchema = snapshotSchema.extend({
  /** The one that a plain wake brings back. */
  is_current: z.boolean(),
  files: z.number().int().nullable(),
  /** What it added to the store. */
  new_stored_bytes: bytes.nullable(),
  /** The newest proof: when, and what was found in the store; each part with its size and its SHA-256. */
  proof: z
    .object({
      at: time,
      digest: z.string(),
      parts: z.number().int().nullable(),
      bytes: bytes.nullable(),
      manifest_bytes: bytes.nullable(),
      manifest_sha256: z.string().nullable(),
      /** When the workspace, with every process stopped, had this digest; a machine goes on that alone. */
      sealed_at: time.nullable(),
      /** When the machine that went on it was gone. */
      machine_gone_at: time.nullable(),
    })
    .nullable(),
  /** Found damaged, and not proved since. */
  damaged: z.object({ at: time, message: z.string() }).nullable(),
});
export type SnapshotView = z.infer<typeof pastSnapshotSchema>;

/** The idle rule as it stands. Null is "not known" or "does not apply now". */
const sleepRuleSchema = z.object({
  pause_after_idle_minutes: autoHibernationSchema.shape.pause_after_idle_minutes,
  /** Under `auto`, of the idle time that goes on: after how much of it the machine goes, and why. */
  tau_seconds: z.number().nullable(),
  reason: z.string().nullable(),
  reason_code: z.string().nullable(),
  /** How long it must be quiet before anything happens. */
  floor_seconds: z.number(),
  /** A gap of this length costs the same awake and asleep. */
  break_even_seconds: z.number().nullable(),
  /** What one sleep and wake costs. */
  cycle_micro_usd: microUsd.nullable(),
  /** What may still be risked against the clairvoyant's cost; below zero only the break-even is left. */
  credit_micro_usd: z.number().int().nullable(),
  /** Which prices and measurements are missing for the break-even. */
  unknown: z.array(z.string()),
  gaps_known: z.number().int(),
  /** When the workspace of this idle time was stored: the first of the two stages. */
  uploaded_at: time.nullable(),
  sleeps: z.number().int(),
  false_sleeps: z.number().int(),
  /** Against leaving the machine on; below zero: lost. */
  saved_micro_usd: z.number().int(),
  last_sleep: z
    .object({
      slept_at: time,
      woken_at: time,
      saved_micro_usd: z.number().int().nullable(),
      was_false: z.boolean(),
    })
    .nullable(),
});

/** What sleeping will save if it goes on as in its last days (at most 14); null while too little is known of them. */
const forecastSchema = z.object({
  days: z.number(),
  uses_per_day: z.number(),
  /** Of what it would cost never to sleep; below zero: sleeping costs more. Null where a price is not known. */
  saved_share: z.number().nullable(),
  /** Below 70 %. */
  is_low: z.boolean().nullable(),
});

const progressSchema = z.object({
  phase: z.string(),
  done_bytes: bytes,
  plain_bytes: bytes,
  stored_bytes: bytes,
  sent_bytes: bytes,
  parts_done: z.number().int(),
  parts_total: z.number().int(),
});

const recoveryPointSchema = z.object({
  kind: z.enum(["snapshot", "checkpoint"]),
  snapshot_id: z.string(),
  /** The workspace as of this moment would come back. */
  at: time,
  age_seconds: z.number(),
  /** Entries that changed while they were read, and the first of their paths. */
  torn: z.number().int(),
  torn_paths: z.array(z.string()),
});

/** Snapshots of the machine while it runs. */
const checkpointsSchema = z.object({
  /** Null: none will begin by itself as things are, or one is under way. */
  next_at: time.nullable(),
  running_since: time.nullable(),
  progress: progressSchema.nullable(),
  failure: z.object({ code: z.string(), message: z.string(), at: time, tries: z.number().int() }).nullable(),
});

/** Its services, and how they are reached now. */
const proxySchema = z.object({
  url: z.string(),
  /** Null: no machine runs, or none that has a gate. */
  pipe: z.enum(pipeKinds).nullable(),
  /** Tried, and requests pass. */
  is_open: z.boolean(),
  /** Why not, for people. */
  trouble: z.string().nullable(),
});

const scheduleViewSchema = z.object({
  timezone: z.string(),
  /** The next three; empty: none is in sight. A wake begins earlier, by what this instance's own wakes take. */
  next: z.array(
    z.object({
      what: z.enum(["wake", "sleep"]),
      at: time,
      /** The same moment as a clock there shows it, with its offset. */
      local: z.string(),
    }),
  ),
  /** When the next wake begins; null where none is next. */
  wake_begins_at: time.nullable(),
  /** A sleep that was due at this time and waits for what holds it. */
  sleep_due_since: time.nullable(),
});

const stoppedMachineSchema = machineSchema.extend({
  /** Null: the provider does not say yet that it stands still. */
  stopped_at: time.nullable(),
  disk_micro_usd_per_hour: z.number().int().nullable(),
  /** Whether a snapshot has all that is on its disk. One without ends only after another snapshot, or by discard. */
  is_saved: z.boolean(),
});

export const instanceSchema = z.object({
  id: instanceIdSchema,
  name: z.string(),
  user_id: z.string(),
  /** The plan's word. */
  status: statusSchema,
  /** The exact state of the machine's life; see core/lifecycle/SPEC.md. */
  state: z.string(),
  state_since: time,
  actions: z.array(actionSchema),
  epoch: z.number().int(),
  gpu_type: z.string().nullable(),
  gpu_count: z.number().int(),
  region: z.string().nullable(),
  machine: machineSchema.nullable(),
  /** Started beside `machine` for the same wake because it took long; the first to come up stays. They cost, too. */
  rival_machines: z.array(machineSchema),
  proxy: proxySchema,
  /** What the clock does next; null where it does nothing (`wake_method` is not `scheduled`, or there is no schedule). */
  schedule: scheduleViewSchema.nullable(),
  /** It stands still while the instance sleeps (`pause_mode: stop`), and its disk costs. Null: there is none. */
  stopped_machine: stoppedMachineSchema.nullable(),
  /** Machines that are being given back and still cost. */
  retiring_machines: z.array(machineSchema),
  gpu_utilization: z.number().nullable(),
  last_activity: time.nullable(),
  last_report_at: time.nullable(),
  idle_since: time.nullable(),
  hibernated_at: time.nullable(),
  snapshot_id: z.string().nullable(),
  snapshot: snapshotSchema.nullable(),
  /** What would come back if the machine vanished now. Null: nothing would, or no machine runs. */
  recovery_point: recoveryPointSchema.nullable(),
  checkpoints: checkpointsSchema,
  /** What keeps it awake now; empty when nothing does. */
  awake_because: z.array(blockerSchema),
  /** Every signal, judging or shown only. Empty while no machine runs. */
  signals: z.array(signalSchema),
  /** What holds it awake on purpose, now. */
  leases: z.array(leaseSchema),
  /** `warned_at`: when a sleep was announced, once it was; it may still be put off. */
  next: z.object({ what: z.enum(["hibernate", "delete", "wake"]), at: time, warned_at: time.optional() }).nullable(),
  /** A sleep that was asked for and did not come off; it is tried again at `next_at`, null while it is under way. */
  sleep_request: z
    .object({
      by: z.string(),
      by_name: z.string().nullable(),
      asked_at: time,
      tries: z.number().int(),
      next_at: time.nullable(),
      code: z.string(),
      message: z.string(),
    })
    .nullable(),
  sleep_rule: sleepRuleSchema,
  forecast: forecastSchema.nullable(),
  /** Of the sleep or the wake that is under way. */
  progress: progressSchema.nullable(),
  wake: wakeSchema.nullable(),
  /** The snapshot of another instance that it is made from, until every part is here. `parts_total`: null before the first. */
  copying: z
    .object({
      from_snapshot_id: z.string(),
      since: time,
      parts_done: z.number().int(),
      parts_total: z.number().int().nullable(),
      /** Whether it wakes once all is here. */
      then_wakes: z.boolean(),
    })
    .nullable(),
  /** Whether a wake that ends without a machine is tried again; `next_at` is null while one is under way. */
  keep_trying: z.object({ until: time, tries: z.number().int(), next_at: time.nullable() }).nullable(),
  trouble: z.object({ code: z.string(), message: z.string(), at: time, kept: z.string().nullable() }).nullable(),
  cost: z.object({ paid_micro_usd: microUsd, paid_seconds: z.number(), unknown_price_seconds: z.number() }),
  /** All that is rented for it at this moment: its machine, those beside it, those on their way out, a disk that stands still. */
  burn: z.object({
    micro_usd_per_hour: microUsd,
    /** Machines whose price is not known; they are not in it. */
    unpriced: z.number().int(),
  }),
  /** What the store holds of it, and what that costs a month; null until the store was listed once. */
  storage: z.object({ bytes, micro_usd_per_month: microUsd, measured_at: time }).nullable(),
  /** What may be rented for it. */
  rent: rentRulesSchema.extend({ max_micro_usd_per_hour: microUsd.nullable() }),
  auto_hibernation: autoHibernationSchema,
  created_at: time,
});
export type InstanceView = z.infer<typeof instanceSchema>;

/** What a list shows beside the plan's own columns. */
const glanceSchema = instanceSchema
  .pick({
    state_since: true,
    actions: true,
    gpu_count: true,
    next: true,
    progress: true,
    wake: true,
    trouble: true,
    last_report_at: true,
    storage: true,
    burn: true,
  })
  .extend({
    created_by: z.enum(["rented", "adopted"]).nullable(),
    snapshot: snapshotSchema.pick({ created_at: true, plain_bytes: true, stored_bytes: true }).nullable(),
    /** What keeps it awake, the first that is found; null when nothing does. */
    awake_because: blockerSchema.nullable(),
    held_until: time.nullable(),
    /** Percent: of the last 15 minutes the highest reading of each, oldest first; null where there is none. */
    use: z.array(z.number().nullable()),
  });
export type Glance = z.infer<typeof glanceSchema>;

/** A row of the list: from the read model, so it may be a moment older than the instance itself. */
export const instanceSummarySchema = instanceSchema
  .pick({
    id: true,
    name: true,
    user_id: true,
    status: true,
    state: true,
    gpu_type: true,
    region: true,
    gpu_utilization: true,
    last_activity: true,
    idle_since: true,
    hibernated_at: true,
    snapshot_id: true,
    created_at: true,
  })
  .extend({
    vast_instance_id: z.number().int().nullable(),
    micro_usd_per_hour: microUsd.nullable(),
    recovery_point_at: time.nullable(),
    /** Null: written by an earlier version, and not changed since. */
    glance: glanceSchema.nullable(),
    updated_at: time,
  });
export type InstanceSummary = z.infer<typeof instanceSummarySchema>;

export const eventSchema = z.object({
  seq: z.number().int(),
  instance_id: instanceIdSchema,
  event_type: z.string(),
  timestamp: time,
  /** `user:<id>`, `proxy:<key>`, or which part of the product. */
  actor: z.string(),
  /** Of a person: what they were called when they last asked this instance for something. */
  actor_name: z.string().nullable(),
  gpu_utilization: z.number().nullable(),
  snapshot_id: z.string().nullable(),
  reason: z.string().nullable(),
  params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});
export type EventView = z.infer<typeof eventSchema>;
