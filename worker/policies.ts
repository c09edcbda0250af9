/** Brings a change of policies to the instances that it concerns: at once to as many as a request may wait for, the rest by cron. */
import type { InstanceId } from "../core/protocol/ids.ts";
import { policiesOf, untoldInstances } from "./db/policies.ts";
import type { Env } from "./env.ts";
import { log } from "./log.ts";

const atOnce = 20;

/** How many instances were told, and how many could not be yet. `userId`: null for all users. */
export async function tellPolicies(
  env: Env,
  userId: string | null,
  limit: number,
): Promise<{ told: number; waiting: number }> {
  const behind = await untoldInstances(env.DB, userId, limit + 1);
  const now = behind.slice(0, limit);
  const known = new Map<string, ReturnType<typeof policiesOf>>();
  let told = 0;
  for (let i = 0; i < now.length; i += atOnce) {
    const results = await Promise.allSettled(
      now.slice(i, i + atOnce).map(async (one) => {
        if (!known.has(one.userId)) known.set(one.userId, policiesOf(env.DB, one.userId));
        await env.INSTANCE.getByName(one.id as InstanceId).takePolicies(await known.get(one.userId)!);
      }),
    );
    results.forEach((result, j) => {
      if (result.status === "fulfilled") told++;
      else log.warn("policy_not_told", { instance: now[i + j]!.id, error: result.reason });
    });
  }
  return { told, waiting: behind.length - told };
}
