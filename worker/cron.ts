/** Each minute: objects whose deadline has passed are poked. Each five minutes: the provider's list against the objects. */
import { parseMachineLabel } from "../core/protocol/ids.ts";
import type { LogFields } from "../core/protocol/log.ts";
import { accountNamed } from "./account/accounts.ts";
import { dropOldAudit } from "./db/audit.ts";
import { type CronDuty, noteCronRun } from "./db/cron-runs.ts";
import { allKeys, deleteKey, deploymentAccount } from "./db/provider-keys.ts";
import { instancesWithMachine, overdueInstances } from "./db/read-model.ts";
import type { Env } from "./env.ts";
import { seen } from "./instance/effects.ts";
import { labelOf } from "./instance/whose.ts";
import { log } from "./log.ts";
import { pokeLateNotices } from "./notices/queue.ts";
import { tellPolicies } from "./policies.ts";
import type { ProviderFailure, RentedMachine } from "./providers/provider.ts";
import { resealSecrets } from "./secrets.ts";
import { tunnelSettings } from "./tunnel/settings.ts";
import { createTunnels } from "./tunnel/tunnels.ts";

const overdueGraceMs = 30_000;
/** Longer than anything that was begun with a key may go on. */
const retiredForMs = 24 * 3_600_000;
/** In one run. */
const resealedAtOnce = 200;

/** What came of a duty, for the log. `skipped`: it could not be done, and counts as not done. */
type Done = LogFields & { outcome: "ok" | "skipped" };

export async function runCron(cron: string, env: Env): Promise<void> {
  // A read model that does not answer must not keep the bill from being looked at.
  if (await doDuty("sweep", () => pokeOverdue(env))) await note(env, "sweep");
  await doDuty("policies", () => tellOthers(env));
  await doDuty("notices", async () => {
    await pokeLateNotices(env);
    return { outcome: "ok" };
  });
  if (!cron.startsWith("*/5")) return;
  if (await doDuty("provider", () => reconcile(env))) await note(env, "provider");
  await doDuty("tunnels", () => sweepTunnels(env));
  await doDuty("audit", async () => ({ outcome: "ok", dropped: await dropOldAudit(env.DB, Date.now()) }));
  if (env.SECRETS_KEYS)
    await doDuty("secrets", async () => ({ outcome: "ok", resealed: await resealSecrets(env, resealedAtOnce) }));
}

/** One line of the log for each. False where it was not done. */
async function doDuty(duty: string, work: () => Promise<Done>): Promise<boolean> {
  const startedAt = Date.now();
  try {
    const done = await work();
    const fields = { duty, ms: Date.now() - startedAt, ...done };
    if (done.outcome === "ok") log.info("cron", fields);
    else log.warn("cron", fields);
    return done.outcome === "ok";
  } catch (error) {
    log.error("cron", { duty, ms: Date.now() - startedAt, outcome: "failed", error });
    return false;
  }
}

/** The duty was done, whatever becomes of the note: whoever watches is told of the note alone. */
async function note(env: Env, duty: CronDuty): Promise<void> {
  await noteCronRun(env.DB, duty).catch((error: unknown) => log.error("cron_not_noted", { duty, error }));
}

/** Instances that a change of policies has not reached. */
async function tellOthers(env: Env): Promise<Done> {
  const { told, waiting } = await tellPolicies(env, null, 200);
  return { outcome: "ok", told, waiting };
}

/** An alarm can be lost; a deadline must not be. */
async function pokeOverdue(env: Env): Promise<Done> {
  const ids = await overdueInstances(env.DB, Date.now(), overdueGraceMs, 500);
  const failed = await eachOf("sweep", ids, (id) => env.INSTANCE.getByName(id).poke());
  return { outcome: "ok", overdue: ids.length, failed };
}

/**
 * Every machine with our label is shown to its object, which decides what it is: its own, one on its way out, or an
 * orphan to be ended. Machines without our label are never touched; a list that failed says nothing, of its account alone.
 */
export async function reconcile(env: Env): Promise<Done> {
  // A read model that is down keeps no machine of the deployment's own account from being looked at.
  const keys = await allKeys(env.DB).catch((error: unknown) => {
    log.error("provider_keys_unknown", { error });
    return [];
  });
  const accounts = [...(env.VAST_API_KEY ? [deploymentAccount] : []), ...keys.map(({ account }) => account)];
  const lists = new Map<string, RentedMachine[]>();
  const failures = new Map<string, ProviderFailure>();
  let failed = await eachOf("provider", accounts, async (account) => {
    const list = await accountNamed(env, account).listMachines(0);
    if (list.ok) lists.set(account, list.machines);
    else failures.set(account, list);
  });
  // A team's key that is refused is that team's trouble, told with the key: the duty is done without it.
  for (const [account, { code, message }] of failures)
    if (account !== deploymentAccount) log.warn("reconcile_skipped", { account, code, error: message });
  for (const [account, machines] of lists) failed += await showMachines(env, account, machines);
  const missing = (await instancesWithMachine(env.DB)).filter(
    (one) => lists.has(one.account) && !lists.get(one.account)!.some((machine) => machine.id === one.vastInstanceId),
  );
  failed += await eachOf("provider", missing, (one) => env.INSTANCE.getByName(one.id).lookAgain());
  await dropRetiredKeys(env, keys, lists, failures);
  return {
    ...outcomeOf(env, failures.get(deploymentAccount) ?? null, lists),
    listed: countOf(lists),
    missing: missing.length,
    failed,
  };
}

function outcomeOf(env: Env, refused: ProviderFailure | null, lists: Map<string, RentedMachine[]>): Done {
  if (refused) return { outcome: "skipped", code: refused.code, error: refused.message };
  return { outcome: env.VAST_API_KEY && !lists.has(deploymentAccount) ? "skipped" : "ok" };
}

function countOf(lists: Map<string, RentedMachine[]>): number {
  return [...lists.values()].reduce((sum, machines) => sum + machines.length, 0);
}

/** How many could not be shown. */
function showMachines(env: Env, account: string, machines: RentedMachine[]): Promise<number> {
  return eachOf("provider", machines, async (machine) => {
    const ours = parseMachineLabel(labelOf(machine));
    if (!ours) return;
    const event = seen(ours.epoch, machine);
    const isKnown = await env.INSTANCE.getByName(ours.instance).observe(event, account);
    // Another deployment on the same account, or an adoption that was cut off: not ours to end.
    if (!isKnown) log.warn("unknown_label", { label: machine.label, machine: machine.id });
  });
}

/**
 * A key that was taken away is forgotten once no machine of ours is rented with it, or the provider takes it no more and
 * nobody can ask with it. A list that failed in another way says nothing of what is rented (I5).
 */
async function dropRetiredKeys(
  env: Env,
  keys: Awaited<ReturnType<typeof allKeys>>,
  lists: Map<string, RentedMachine[]>,
  failures: Map<string, ProviderFailure>,
): Promise<void> {
  const before = Date.now() - retiredForMs;
  const over = keys.filter(({ account, retiredAt }) => {
    if (retiredAt === null || Date.parse(retiredAt) > before) return false;
    const machines = lists.get(account);
    if (!machines) return failures.get(account)?.code === "provider_auth";
    return machines.every((machine) => labelOf(machine) === null);
  });
  await eachOf("provider", over, ({ account }) => deleteKey(env.DB, account));
}

/** Tunnels of machines that are gone, and of such as were never rented. */
async function sweepTunnels(env: Env): Promise<Done> {
  const settings = tunnelSettings(env);
  if (!settings) return { outcome: "ok", tunnels: "off" };
  const swept = await createTunnels(settings).sweepTunnels(({ instance, epoch }) =>
    env.INSTANCE.getByName(instance).hasMachine(epoch),
  );
  return swept.ok ? { outcome: "ok" } : { outcome: "skipped", code: swept.code, error: swept.message };
}

/** How many failed; one that does, does not keep the others from their turn. */
async function eachOf<T>(duty: string, items: T[], work: (item: T) => Promise<unknown>): Promise<number> {
  let failed = 0;
  for (let i = 0; i < items.length; i += 20) {
    const results = await Promise.allSettled(items.slice(i, i + 20).map(work));
    for (const result of results) {
      if (result.status === "fulfilled") continue;
      failed++;
      log.error("cron_item_failed", { duty, error: result.reason });
    }
  }
  return failed;
}
