/** Which agent this deployment serves, and whether a machine is to take it. */
import { version } from "../../core/protocol/version.ts";
import type { StatusReport, UpdateOrder } from "../../core/protocol/wire.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";

const askAgainMs = 60_000;
const timeoutMs = 2_000;

/** Of this isolate, which lives no longer than its deployment. */
let known: { build: string | null; until: number } | null = null;

/** Null where the agent is the one that is served, would not be started again, has work to do, or is not to be changed. */
export async function orderUpdate(
  env: Pick<Env, "ASSETS" | "AGENT_UPDATES">,
  { agent, seal }: Pick<StatusReport, "agent" | "seal">,
  { isAtRest }: { isAtRest: boolean },
): Promise<UpdateOrder | null> {
  if (!agent?.build || seal || !isAtRest || env.AGENT_UPDATES === "off") return null;
  const build = await servedBuild(env.ASSETS);
  return build !== null && build !== agent.build ? { version, build } : null;
}

/** A heartbeat does not fail for it: whoever cannot be asked is asked again a minute later. */
async function servedBuild(assets: Fetcher, now = Date.now()): Promise<string | null> {
  if (known && now < known.until) return known.build;
  known = { build: null, until: now + askAgainMs };
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    const answer = await assets.fetch("http://assets/agent/soneca-agent.mjs.sha256", { signal });
    const sum = answer.ok ? (await answer.text()).trim().split(/\s/)[0] : undefined;
    if (sum && /^[0-9a-f]{64}$/.test(sum)) known = { build: sum, until: Number.POSITIVE_INFINITY };
  } catch (error) {
    log.warn("agent_build_unknown", { error });
  }
  return known.build;
}

/** For tests: as in a new isolate. */
export function forgetServedBuild(): void {
  known = null;
}
