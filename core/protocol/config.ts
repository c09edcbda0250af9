/** The plan's `auto_hibernation` object: field by field its names and its defaults. */
import * as z from "zod";
import { defaultProxy, proxyFields, proxySchema } from "./proxy.ts";
import { scheduleFields, scheduleSchema } from "./schedule.ts";
import { defaultSignalRules, mergeSignalRules, signalRulesPatchSchema, signalRulesSchema } from "./signals.ts";

const checkpointFields = {
  /** Whether a running machine is snapshotted now and then, at low priority. */
  enabled: z.boolean(),
  /** Minutes between two; fractions are allowed. A host that dies loses what changed since the last one. */
  interval_minutes: z.number().min(0.05).max(10_080),
  /** Megabytes (1,000,000 bytes) of changed files below which none is taken; 0: any change is worth one. */
  min_change_mb: z.number().min(0).max(10_000_000),
};
const checkpointSchema = z.strictObject(checkpointFields);

const hook = z.string().trim().min(1).max(4_096).nullable();
const hookFields = {
  /** Shell commands on the machine; null: `.soneca/before-sleep` and `.soneca/after-wake` of the workspace, where they are. */
  before_sleep: hook,
  after_wake: hook,
  /** Each is ended after so long. Shorter than any limit on a step that does not move. */
  timeout_seconds: z.number().min(1).max(300),
};
const hooksSchema = z.strictObject(hookFields);

const retentionFields = {
  /** How many of the newest proved snapshots stay: of those of sleeps, and as many of those taken while it ran. */
  keep_newest: z.number().int().min(1).max(1000),
  /** Days for which every snapshot stays, whatever their number; fractions are allowed, null: the number alone counts. */
  keep_days: z.number().min(0).max(3_650).nullable(),
};

const fields = {
  /** Whether the idle rule may put the instance to sleep at all. */
  enabled: z.boolean(),
  /** Minutes below the threshold before a sleep; fractions are allowed. `auto`: when sleeping pays, per idle time. */
  pause_after_idle_minutes: z.union([z.number().min(0.05).max(10_080), z.literal("auto")], {
    error: 'minutes from 0.05 to 10080, or "auto"',
  }),
  /**
   * What becomes of the machine at a sleep. `destroy`: it ends, the snapshot remains. `stop`: it is snapshotted and proved
   * as well, and only stopped: its disk is paid for, and it starts again in seconds where its host still has the GPU.
   */
  pause_mode: z.enum(["destroy", "stop"]),
  /** Minutes asleep before the instance becomes `deleted` (its snapshot stays); fractions are allowed. */
  delete_after_pause_minutes: z.number().min(0).max(525_600),
  /** Percent. A GPU is idle while its highest utilisation stays below this. */
  gpu_usage_threshold: z.number().min(0.1).max(100),
  /** Seconds between two reports of the agent; fractions are allowed. */
  check_interval_seconds: z.number().min(0.5).max(300),
  /** What else may say "busy", beside the GPUs. */
  signals: signalRulesSchema,
  /** Minutes after a boot or a restore before the idle window begins; fractions are allowed. */
  grace_minutes: z.number().min(0).max(1_440),
  /** How long a "not now" holds a machine awake. */
  not_now_minutes: z.number().min(0.05).max(1_440),
  /** No lease holds longer than this, a command's neither. */
  keep_awake_max_hours: z.number().min(0.01).max(8_760),
  /** Snapshots of the running machine. */
  checkpoint: checkpointSchema,
  /** What is run before a sleep, which it may put off, and after a wake. */
  hooks: hooksSchema,
  /** Which snapshots stay in the store. The current one, and those that something uses, stay whatever it says. */
  retention: z.strictObject(retentionFields),
  /** auto: a request to one of its services wakes it. */
  wake_method: z.enum(["manual", "auto", "scheduled"]),
  /** Its services, and what requests to them may do. */
  proxy: proxySchema,
  /** Acts where `wake_method` is `scheduled`. */
  schedule: scheduleSchema.nullable(),
};

export const autoHibernationSchema = z.strictObject(fields);
export type AutoHibernation = z.infer<typeof autoHibernationSchema>;

/**
 * A change: only what is named changes; `signals`, `checkpoint`, `hooks`, `retention`, `proxy` and `schedule` merge field by
 * field, null removes the schedule.
 */
export const autoHibernationPatchSchema = z
  .strictObject({
    ...fields,
    signals: signalRulesPatchSchema,
    checkpoint: checkpointSchema.partial(),
    hooks: hooksSchema.partial(),
    retention: z.strictObject(retentionFields).partial(),
    proxy: z.strictObject(proxyFields).partial(),
    schedule: z.strictObject(scheduleFields).partial().nullable(),
  })
  .partial();
export type AutoHibernationPatch = z.infer<typeof autoHibernationPatchSchema>;

export const defaultAutoHibernation: AutoHibernation = {
  enabled: true,
  pause_after_idle_minutes: 3,
  pause_mode: "destroy",
  delete_after_pause_minutes: 30,
  gpu_usage_threshold: 5,
  check_interval_seconds: 30,
  signals: defaultSignalRules,
  grace_minutes: 3,
  not_now_minutes: 30,
  keep_awake_max_hours: 24,
  checkpoint: { enabled: true, interval_minutes: 30, min_change_mb: 0 },
  hooks: { before_sleep: null, after_wake: null, timeout_seconds: 60 },
  retention: { keep_newest: 10, keep_days: null },
  wake_method: "manual",
  proxy: defaultProxy,
  schedule: { wake_time: "09:00", sleep_time: "18:00", timezone: "America/Sao_Paulo" },
};

/** Errors: throws ZodError when the result is not a whole configuration (a partial schedule over none). */
export function applyPatch(config: AutoHibernation, patch: AutoHibernationPatch): AutoHibernation {
  const { schedule, signals, checkpoint, hooks, retention, proxy, ...rest } = patch;
  const merged = {
    ...config,
    ...rest,
    signals: mergeSignalRules(config.signals, signals ?? {}),
    checkpoint: { ...config.checkpoint, ...checkpoint },
    hooks: { ...config.hooks, ...hooks },
    retention: { ...config.retention, ...retention },
    proxy: { ...config.proxy, ...proxy },
  };
  if (schedule === undefined) return autoHibernationSchema.parse(merged);
  const next = schedule === null ? null : { ...(config.schedule ?? {}), ...schedule };
  return autoHibernationSchema.parse({ ...merged, schedule: next });
}

/** A configuration that was stored before a setting existed has its default. */
export function fillConfig(stored: Partial<AutoHibernation>): AutoHibernation {
  const signals = mergeSignalRules(defaultSignalRules, stored.signals ?? {});
  const checkpoint = { ...defaultAutoHibernation.checkpoint, ...stored.checkpoint };
  const hooks = { ...defaultAutoHibernation.hooks, ...stored.hooks };
  const proxy = { ...defaultProxy, ...stored.proxy };
  return { ...defaultAutoHibernation, ...stored, signals, checkpoint, hooks, proxy };
}
