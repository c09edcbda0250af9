/** What a watcher from outside asks: does it answer, and does its cron run. Answers also while the database does not. */
import type { AnswerOf } from "../../core/protocol/api.ts";
import { version } from "../../core/protocol/version.ts";
import { readCronRuns } from "../db/cron-runs.ts";
import { readClock } from "../db/meters.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";

type Health = AnswerOf<"health">;

/** Three times what wrangler.toml says. */
const lateAfterSeconds = { sweep: 3 * 60, provider: 3 * 300 };

export async function healthOf(env: Env): Promise<Health> {
  const now = Date.now();
  const seen = (at: string | null, duty: keyof typeof lateAfterSeconds) => {
    if (at === null) return null;
    const ageSeconds = Math.max(0, Math.round((now - Date.parse(at)) / 1000));
    return { at, age_seconds: ageSeconds, is_late: ageSeconds > lateAfterSeconds[duty] };
  };
  let cron: Health["cron"] = null;
  let clock: Health["clock"] = null;
  try {
    const [{ sweep, provider }, { late, nextDueAt, largestSkewMs }] = await Promise.all([
      readCronRuns(env.DB),
      readClock(env.DB, now),
    ]);
    clock = {
      late_instances: late,
      next_due_at: nextDueAt === null ? null : new Date(nextDueAt).toISOString(),
      largest_skew_seconds: largestSkewMs === null ? null : largestSkewMs / 1000,
    };
    cron = { sweep: seen(sweep, "sweep"), provider: seen(provider, "provider") };
  } catch (error) {
    log.warn("health_without_database", { error });
  }
  return { ok: true, version, time: new Date(now).toISOString(), cron, clock };
}
