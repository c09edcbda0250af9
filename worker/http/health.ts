/** What a watcher from outside asks: does it answer, and does its cron run. Answers also while the database does not. */
import type { AnswerOf } from "../../core/protocol/api.ts";
import { readCronRuns } from "../db/cron-runs.ts";
import type { Env } from "../env.ts";
import { version } from "./version.ts";

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
  try {
    const { sweep, provider } = await readCronRuns(env.DB);
    cron = { sweep: seen(sweep, "sweep"), provider: seen(provider, "provider") };
  } catch (error) {
    console.error(JSON.stringify({ event: "health_without_database", error: String(error).slice(0, 300) }));
  }
  return { ok: true, version, time: new Date(now).toISOString(), cron };
}
