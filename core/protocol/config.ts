/** The plan's `auto_hibernation` object: field by field its names and its defaults. */
import { z } from "zod";

const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "a time of day as HH:MM, 00:00 to 23:59");

const timeZone = z.string().refine(isTimeZone, "an IANA time zone such as America/Sao_Paulo");

const scheduleFields = {
  wake_time: clockTime,
  sleep_time: clockTime,
  timezone: timeZone,
};

const fields = {
  /** Whether the idle rule may put the instance to sleep at all. */
  enabled: z.boolean(),
  /** Minutes below the threshold before a sleep; fractions are allowed. `auto`: when sleeping pays, per idle time. */
  pause_after_idle_minutes: z.union([z.number().min(0.05).max(10_080), z.literal("auto")], {
    error: 'minutes from 0.05 to 10080, or "auto"',
  }),
  /** Minutes asleep before the instance becomes `deleted` (its snapshot stays); fractions are allowed. */
  delete_after_pause_minutes: z.number().min(0).max(525_600),
  /** Percent. A GPU is idle while its highest utilisation stays below this. */
  gpu_usage_threshold: z.number().min(0.1).max(100),
  /** Seconds between two reports of the agent; fractions are allowed. */
  check_interval_seconds: z.number().min(0.5).max(300),
  wake_method: z.enum(["manual", "auto", "scheduled"]),
  schedule: z.strictObject(scheduleFields).nullable(),
};

export const autoHibernationSchema = z.strictObject(fields);
export type AutoHibernation = z.infer<typeof autoHibernationSchema>;

/** A change: only what is named changes; `schedule` merges field by field, or is removed by null. */
export const autoHibernationPatchSchema = z
  .strictObject({
    ...fields,
    schedule: z.strictObject(scheduleFields).partial().nullable(),
  })
  .partial();
export type AutoHibernationPatch = z.infer<typeof autoHibernationPatchSchema>;

export const defaultAutoHibernation: AutoHibernation = {
  enabled: true,
  pause_after_idle_minutes: 3,
  delete_after_pause_minutes: 30,
  gpu_usage_threshold: 5,
  check_interval_seconds: 30,
  wake_method: "manual",
  schedule: { wake_time: "09:00", sleep_time: "18:00", timezone: "America/Sao_Paulo" },
};

/** Errors: throws ZodError when the result is not a whole configuration (a partial schedule over none). */
export function applyPatch(config: AutoHibernation, patch: AutoHibernationPatch): AutoHibernation {
  const { schedule, ...rest } = patch;
  const merged = { ...config, ...rest };
  if (schedule === undefined) return autoHibernationSchema.parse(merged);
  const next = schedule === null ? null : { ...(config.schedule ?? {}), ...schedule };
  return autoHibernationSchema.parse({ ...merged, schedule: next });
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return /^[A-Za-z]/.test(name);
  } catch {
    return false;
  }
}
