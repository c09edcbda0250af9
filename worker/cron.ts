/** Each minute: objects whose deadline has passed are poked. Each five minutes: the provider's list against the objects. */
import { parseMachineLabel } from "../core/protocol/ids.ts";
import { accountOf } from "./account/object.ts";
import { noteCronRun } from "./db/cron-runs.ts";
import { instancesWithMachine, overdueInstances } from "./db/read-model.ts";
import type { Env } from "./env.ts";
import { seen } from "./instance/effects.ts";
import { labelOf } from "./instance/whose.ts";
import { pokeLateNotices } from "./notices/queue.ts";
import { tellPolicies } from "./policies.ts";
import { tunnelSettings } from "./tunnel/settings.ts";
import { createTunnels } from "./tunnel/tunnels.ts";

const overdueGraceMs = 30_000;

export async function runCron(cron: string, env: Env): Promise<void> {
  // A read model that does not answer must not keep the bill from being looked at.
  await orLog(
    "poke_failed",
    pokeOverdue(env).then(() => noteCronRun(env.DB, "sweep")),
  );
  await orLog("policies_failed", tellOthers(env));
  await orLog("notices_failed", pokeLateNotices(env));
  if (!cron.startsWith("*/5")) return;
  await orLog("reconcile_failed", reconcile(env));
  await orLog("tunnels_failed", sweepTunnels(env));
}

async function orLog(event: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    console.error(JSON.stringify({ event, error: String(error).slice(0, 300) }));
  }
}

/** Instances that a change of policies has not reached. */
async function tellOthers(env: Env): Promise<void> {
  await tellPolicies(env, null, 200);
}

/** An alarm can be lost; a deadline must not be. */
async function pokeOverdue(env: Env): Promise<void> {
  const ids = await overdueInstances(env.DB, Date.now(), overdueGraceMs, 500);
  await eachOf(ids, (id) => env.INSTANCE.getByName(id).poke());
}

/**
 * Every machine with our label is shown to its object, which decides what it is: its own, one on its way out, or an
 * orphan to be ended. Machines without our label are never touched; a list that failed says nothing.
 */
export async function reconcile(env: Env): Promise<void> {
  const list = await accountOf(env).listMachines(0);
  if (!list.ok) {
    console.error(JSON.stringify({ event: "reconcile_skipped", code: list.code, message: list.message }));
    return;
  }
  await eachOf(list.machines, async (machine) => {
    const ours = parseMachineLabel(labelOf(machine));
    if (!ours) return;
    const event = seen(ours.epoch, machine);
    const isKnown = await env.INSTANCE.getByName(ours.instance).observe(event);
    // Another deployment on the same account, or an adoption that was cut off: not ours to end.
    if (!isKnown) console.warn(JSON.stringify({ event: "unknown_label", label: machine.label, machine: machine.id }));
  });
  const listed = new Set(list.machines.map((machine) => machine.id));
  const missing = (await instancesWithMachine(env.DB)).filter((one) => !listed.has(one.vastInstanceId));
  await eachOf(missing, (one) => env.INSTANCE.getByName(one.id).lookAgain());
  await noteCronRun(env.DB, "provider");
}

/** Tunnels of machines that are gone, and of such as were never rented. */
async function sweepTunnels(env: Env): Promise<void> {
  const settings = tunnelSettings(env);
  if (!settings) return;
  const swept = await createTunnels(settings).sweepTunnels(({ instance, epoch }) =>
    env.INSTANCE.getByName(instance).hasMachine(epoch),
  );
  if (!swept.ok)
    console.error(JSON.stringify({ event: "tunnels_not_swept", code: swept.code, message: swept.message }));
}

/** One that fails does not keep the others from their turn. */
async function eachOf<T>(items: T[], work: (item: T) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < items.length; i += 20) {
    const results = await Promise.allSettled(items.slice(i, i + 20).map(work));
    for (const result of results) {
      if (result.status === "rejected")
        console.error(JSON.stringify({ event: "cron_item_failed", error: String(result.reason) }));
    }
  }
}
