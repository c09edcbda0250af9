/**
 * Takes a deployment away again, by Cloudflare's API alone: what wrangler deletes it finds by the configuration nearest to it (ADR 22). The
 * order is that of a person who leaves: first nobody gets in, then nothing acts, then the data goes.
 */
import type { Cloudflare } from "./cloudflare.ts";
import { bucketOf, projectOf, proxyPattern } from "./config.ts";
import { permissions, type WorkerFound } from "./context.ts";
import { DeployError } from "./error.ts";
import type { Report } from "./report.ts";
import { readWorker } from "./steps/account.ts";
import { findProject, isDeployed } from "./steps/pages.ts";
import { findBucket, findDatabase, queryDatabase, whoseDatabase } from "./steps/stores.ts";

export interface UndeployOptions {
  name: string;
  /** The name once more, where nobody is to be asked. */
  yes: string | null;
  leaveMachines: boolean;
  deleteSnapshots: boolean;
  dryRun: boolean;
}

export interface UndeployWorld {
  cloudflare: Cloudflare;
  account: string;
  ask: ((question: string) => Promise<string>) | null;
}

/** What is there and is Soneca's. What only has the name is left where it is. */
interface Left {
  worker: WorkerFound | null;
  database: string | null;
  /** `unknown`: it could not be read. */
  tables: "empty" | "begun" | "ours" | "unknown";
  hasBucket: boolean;
  hasObjects: boolean;
  hasProject: boolean;
}

interface Undeployment {
  options: UndeployOptions;
  world: UndeployWorld;
  left: Left;
  report: Report;
}

/** The exit code. */
export async function undeploy(options: UndeployOptions, world: UndeployWorld, report: Report): Promise<number> {
  let step = "look";
  try {
    const left = await look(options, world, report);
    const undeployment = { options, world, left, report };
    const nothingLeft = !left.worker && !left.database && !left.hasBucket && !left.hasProject;
    if (nothingLeft) {
      report.end({ event: "gone" }, `Nothing of "${options.name}" is in the account.`);
      return 0;
    }
    step = "machines";
    const lost = await mustHaveNoMachines(undeployment);
    step = "confirm";
    await mustBeMeant(undeployment, lost);
    for (const [name, act] of Object.entries(acts)) {
      step = name;
      await act(undeployment);
    }
  } catch (error) {
    if (!(error instanceof DeployError)) throw error;
    report.fail(step, error);
    return 1;
  }
  const words = options.dryRun ? "Nothing was changed." : `"${options.name}" is gone from the account.`;
  report.end({ event: options.dryRun ? "dry_run" : "gone" }, `\n${words}`);
  return 0;
}

/** Errors: name_taken where worker or database are another program's. */
async function look(options: UndeployOptions, world: UndeployWorld, report: Report): Promise<Left> {
  const { cloudflare, account } = world;
  const { name, deleteSnapshots } = options;
  const worker = await readWorker(cloudflare, account, name);
  const database = await findDatabase(cloudflare, account, name);
  const tables = database === null ? "empty" : await readTables({ account, database }, world, options);
  const project = await findProject(cloudflare, account, projectOf(name));
  const isOurs = worker !== null || tables === "ours" || isDeployed(project);
  if (tables === "unknown" && !worker) {
    const hint = "Run it again in a moment.";
    throw new DeployError("unreachable", `Whose the database "${name}" is could not be read.`, hint);
  }
  const bucket = await readBucket(cloudflare, account, bucketOf(name));
  // Where worker and database are gone, the bucket that was kept says by its objects whose it is, and empty says nothing.
  const isOurBucket = isOurs || (bucket?.hasObjects ? bucket.isOurs : deleteSnapshots);
  const notOurs = [project && !isOurs ? projectOf(name) : null, bucket && !isOurBucket ? bucketOf(name) : null];
  for (const one of notOurs)
    if (one !== null) report.step("look", "skipped", `${one} stays: nothing says that it is Soneca's`);
  const hasBucket = bucket !== null && isOurBucket;
  const hasObjects = hasBucket && bucket.hasObjects;
  return { worker, database, tables, hasBucket, hasObjects, hasProject: project !== null && isOurs };
}

/** Errors: name_taken. */
async function readTables(
  where: { account: string; database: string },
  { cloudflare }: UndeployWorld,
  { name }: UndeployOptions,
): Promise<Left["tables"]> {
  try {
    return await whoseDatabase(cloudflare, where, name);
  } catch (error) {
    if (!(error instanceof DeployError) || error.code === "name_taken") throw error;
    return "unknown";
  }
}

/** How many keys are looked at, to know whose a bucket is. */
const keysLookedAt = 1000;

async function readBucket(
  cloudflare: Cloudflare,
  account: string,
  bucket: string,
): Promise<{ hasObjects: boolean; isOurs: boolean } | null> {
  if (!(await findBucket(cloudflare, account, bucket))) return null;
  let count = 0;
  let isOurs = true;
  for await (const { key } of objectsOf(cloudflare, account, bucket)) {
    count++;
    isOurs &&= /^i\/[^/]+\//.test(key);
    if (!isOurs || count === keysLookedAt) break;
  }
  return { hasObjects: count > 0, isOurs };
}

function objectsOf(cloudflare: Cloudflare, account: string, bucket: string): AsyncGenerator<{ key: string }> {
  const call = { permission: permissions.r2, query: { per_page: "1000" } };
  return cloudflare.list(`/accounts/${account}/r2/buckets/${bucket}/objects`, call);
}

/** What would be lost, in words. Errors: machines_run; a database that cannot be read is not one without machines. */
async function mustHaveNoMachines({ options, world, left, report }: Undeployment): Promise<string> {
  if (left.database === null) return "no database";
  if (left.tables === "empty" || left.tables === "begun") return "an empty database";
  const where = { account: world.account, database: left.database };
  // `burn` counts every machine there is: those on their way out too, and such as are only stopped.
  const sql = `SELECT name, vast_instance_id AS machine, status, (vast_instance_id IS NOT NULL OR status = 'provisioning'
    OR coalesce(json_extract(glance, '$.burn.micro_usd_per_hour'), 0) > 0
    OR coalesce(json_extract(glance, '$.burn.unpriced'), 0) > 0) AS costs FROM instance_status LIMIT 10000`;
  let rows: { name: string; machine: number | null; status: string; costs: number }[] | null = null;
  try {
    rows = await queryDatabase(world.cloudflare, where, sql);
  } catch (error) {
    if (!options.leaveMachines) throw unknownMachines(error);
  }
  const machines = (rows ?? []).filter((row) => row.costs === 1);
  if (machines.length > 0 && !options.leaveMachines) {
    const list = machines
      .map(({ name, machine, status }) => `${name} (${machine ? `vast.ai ${machine}` : status})`)
      .join(", ");
    const hint =
      "Put them to sleep or discard them first (`soneca instance hibernate ID`). With --leave-machines they stay rented, and nobody but you ends them.";
    throw new DeployError("machines_run", `Machines are rented by ${machines.length} instances: ${list}.`, hint);
  }
  if (machines.length > 0) {
    const list = machines.map(({ name, machine }) => machine ?? `of ${name}`).join(", ");
    report.step("machines", "skipped", `they stay rented and cost money until you end them at vast.ai: ${list}`);
  }
  return rows === null ? "instances that could not be counted" : `${rows.length} instances with their history`;
}

function unknownMachines(cause: unknown): DeployError {
  const hint = "See what vast.ai lists. If nothing runs, or it may stay, say --leave-machines.";
  const why = (cause as Error).message;
  return new DeployError("machines_run", `Whether machines are rented could not be read: ${why}`, hint, { cause });
}

/** Errors: not_confirmed. */
async function mustBeMeant({ options, world, left, report }: Undeployment, lost: string): Promise<void> {
  const { name } = options;
  const gone = [
    left.worker ? `the worker ${name}: every instance's state, log and ledger, and its secrets` : null,
    left.database ? `the database ${name}: users, tokens, policies; ${lost}` : null,
    left.hasProject ? `the dashboard ${projectOf(name)}` : null,
    left.hasObjects && options.deleteSnapshots ? `every snapshot in ${bucketOf(name)}` : null,
  ].filter((one) => one !== null);
  report.step("look", "will do", `lost for good: ${gone.join("; ")}`);
  if (left.hasObjects && !options.deleteSnapshots)
    report.step("look", "skipped", `${bucketOf(name)} holds snapshots and stays (--delete-snapshots)`);
  if (options.dryRun || options.yes === name) return;
  const hint = `Type the name, or say --yes ${name}.`;
  if (options.yes !== null)
    throw new DeployError("not_confirmed", `--yes names "${options.yes}", not "${name}".`, hint);
  const typed = await world.ask?.(`Type ${name} to take it away: `);
  if (typed?.trim() !== name)
    throw new DeployError("not_confirmed", "It was not confirmed. Nothing was changed.", hint);
}

const acts: Record<string, (undeployment: Undeployment) => Promise<void>> = {
  dashboard: async (one) => {
    const project = projectOf(one.options.name);
    if (one.left.hasProject)
      await take(one, "dashboard", project, `pages/projects/${project}`, permissions.pages, [8000007]);
  },
  domains: async (one) => {
    if (one.left.worker) await takeDomains(one, one.left.worker);
  },
  worker: async (one) => {
    const { name } = one.options;
    if (one.left.worker)
      await take(one, "worker", name, `workers/scripts/${name}`, permissions.scripts, [10007], { force: "true" });
  },
  bucket: takeBucket,
  // Last: of a run that is cut off it says that the rest is Soneca's.
  database: async (one) => {
    const { database } = one.left;
    if (database) await take(one, "database", one.options.name, `d1/database/${database}`, permissions.d1, [7404]);
  },
};

async function take(
  { options, world, report }: Undeployment,
  step: string,
  words: string,
  path: string,
  permission: string,
  absent: number[],
  query: Record<string, string> = {},
): Promise<void> {
  if (options.dryRun) return report.step(step, "would do", `delete ${words}`);
  await world.cloudflare.send("DELETE", `/accounts/${world.account}/${path}`, {
    permission,
    absent,
    query,
    isSafe: true,
  });
  report.step(step, "done", `${words} is deleted`);
}

interface Route {
  id: string;
  pattern: string;
  script?: string;
}

/** A worker that goes leaves its names behind. */
async function takeDomains(one: Undeployment, worker: WorkerFound): Promise<void> {
  const { options, world, report } = one;
  const scripts = { permission: permissions.scripts };
  const path = `/accounts/${world.account}/workers/domains`;
  const domains =
    (await world.cloudflare.get<{ id: string; hostname: string; service: string }[]>(path, scripts)) ?? [];
  for (const { id, hostname } of domains.filter(({ service }) => service === options.name))
    await take(one, "domains", hostname, `workers/domains/${id}`, permissions.scripts, []);
  const zone = worker.vars.PROXY_ZONE;
  if (!zone) return;
  const call = { permission: permissions.zone, query: { name: zone } };
  for await (const { id } of world.cloudflare.list<{ id: string }>("/zones", call)) {
    const routes = `/zones/${id}/workers/routes`;
    const permission = permissions.routes;
    const rows = (await world.cloudflare.get<Route[]>(routes, { permission })) ?? [];
    // Another worker may have the pattern by now.
    const row = rows.find(({ pattern, script }) => pattern === proxyPattern(zone) && script === options.name);
    if (!row) continue;
    if (options.dryRun) report.step("domains", "would do", `delete the route ${row.pattern}`);
    else {
      await world.cloudflare.send("DELETE", `${routes}/${row.id}`, { permission, isSafe: true });
      report.step("domains", "done", `the route ${row.pattern} is deleted`);
    }
  }
}

/** How many objects are deleted side by side: Cloudflare allows 1,200 calls in five minutes. */
const atOnce = 4;

async function takeBucket(one: Undeployment): Promise<void> {
  const { options, left, report } = one;
  const bucket = bucketOf(options.name);
  if (!left.hasBucket) return;
  if (left.hasObjects && !options.deleteSnapshots)
    return report.step("bucket", "skipped", `${bucket} stays, with what is in it`);
  if (left.hasObjects && options.dryRun) report.step("bucket", "would do", `delete every object of ${bucket}`);
  else if (left.hasObjects) report.step("bucket", "done", `${await emptyBucket(one, bucket)} objects are deleted`);
  await take(one, "bucket", bucket, `r2/buckets/${bucket}`, permissions.r2, [10006]);
}

async function emptyBucket({ world }: Undeployment, bucket: string): Promise<number> {
  const { cloudflare, account } = world;
  let count = 0;
  const remove = async (key: string) => {
    const path = `/accounts/${account}/r2/buckets/${bucket}/objects/${key.split("/").map(encodeURIComponent).join("/")}`;
    await cloudflare.send("DELETE", path, { permission: permissions.r2, isSafe: true, absent: [10007] });
    count++;
  };
  let batch: string[] = [];
  for await (const { key } of objectsOf(cloudflare, account, bucket)) {
    batch.push(key);
    if (batch.length < atOnce) continue;
    await Promise.all(batch.map(remove));
    batch = [];
  }
  await Promise.all(batch.map(remove));
  return count;
}
