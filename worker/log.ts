/** The worker's one logger: each line goes to the console, which Workers Logs reads field by field. */
import { createLineLogger, type Logger, type LogLevel, logLevels } from "../core/protocol/log.ts";
import type { Env } from "./env.ts";

const order = (level: LogLevel) => logLevels.indexOf(level);
const consoles = { info: "log", warn: "warn", error: "error" } as const;
let least: LogLevel | null = null;

export const log: Logger = createLineLogger(
  (level, line) => {
    if (order(level) >= order(least ?? "info")) console[consoles[level]](line);
  },
  () => Date.now(),
);

const prepared = new WeakSet<Env>();

/** First in everything that this isolate is asked to do: the level, and the secrets of the deployment that no line may hold. */
export function prepareLog(env: Env): void {
  if (prepared.has(env)) return;
  prepared.add(env);
  if (least === null) setLogLevel(env.LOG_LEVEL);
  const { ADMIN_TOKEN, AGENT_JWT_SECRET, CF_ACCESS_CLIENT_SECRET, CLOUDFLARE_API_TOKEN, METRICS_TOKEN } = env;
  const secrets = [ADMIN_TOKEN, AGENT_JWT_SECRET, CF_ACCESS_CLIENT_SECRET, CLOUDFLARE_API_TOKEN, METRICS_TOKEN];
  const keys = (env.SECRETS_KEYS ?? "").split(",").map((one) => one.slice(one.indexOf(":") + 1).trim());
  for (const secret of [...secrets, env.VAST_API_KEY, ...keys]) if (secret) log.hide(secret);
}

/** `info` for what is none of the levels. */
export function setLogLevel(level: string | undefined): void {
  least = logLevels.find((one) => one === level) ?? "info";
}
