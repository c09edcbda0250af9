/** The database, its migrations, and the bucket. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Cloudflare } from "../cloudflare.ts";
import { bucketOf } from "../config.ts";
import { alreadyThere, type Context, done, permissions, type Result, wouldDo } from "../context.ts";
import { DeployError } from "../error.ts";
import { runWrangler } from "../wrangler.ts";

const d1 = { permission: permissions.d1 };

/** Null: there is none of exactly this name. */
export async function findDatabase(cloudflare: Cloudflare, account: string, name: string): Promise<string | null> {
  const path = `/accounts/${account}/d1/database`;
  for await (const one of cloudflare.list<{ uuid: string; name: string }>(path, { ...d1, query: { name } })) {
    if (one.name === name) return one.uuid;
  }
  return null;
}

/** The rows of a statement that only reads. */
export async function queryDatabase<T>(
  cloudflare: Cloudflare,
  { account, database }: { account: string; database: string },
  sql: string,
  params: string[] = [],
): Promise<T[]> {
  const path = `/accounts/${account}/d1/database/${database}/query`;
  const call = { ...d1, body: { sql, params }, isSafe: true };
  const answer = await cloudflare.send<{ results?: T[] }[]>("POST", path, call);
  return answer?.[0]?.results ?? [];
}

export async function makeDatabase({ options, world, found }: Context): Promise<Result> {
  const { name, location } = options;
  const look = async () => {
    found.databaseId = await findDatabase(world.cloudflare, found.account, name);
    return found.databaseId !== null;
  };
  if (await look()) return alreadyThere(`${name} (${found.databaseId})`);
  if (options.dryRun) return wouldDo(`wrangler d1 create ${name}`);
  const argv = ["d1", "create", name, ...(location === null ? [] : ["--location", location])];
  await runWrangler(world.wrangler(found.account), argv, { ...d1, cwd: world.workDir, isDone: look });
  if (!(await look())) throw new DeployError("not_found", `The database ${name} was made and is not listed.`, again);
  return done(`${name} (${found.databaseId})`);
}

const again = "Run it again in a moment.";

export async function findBucket(cloudflare: Cloudflare, account: string, bucket: string): Promise<boolean> {
  const call = { permission: permissions.r2, absent: [10006] };
  return (await cloudflare.get(`/accounts/${account}/r2/buckets/${bucket}`, call)) !== null;
}

export async function makeBucket({ options, world, found }: Context): Promise<Result> {
  const bucket = bucketOf(options.name);
  const look = () => findBucket(world.cloudflare, found.account, bucket);
  if (await look()) return alreadyThere(bucket);
  if (options.dryRun) return wouldDo(`wrangler r2 bucket create ${bucket}`);
  const { location } = options;
  const argv = ["r2", "bucket", "create", bucket, ...(location === null ? [] : ["--location", location])];
  await runWrangler(world.wrangler(found.account), argv, {
    permission: permissions.r2,
    cwd: world.workDir,
    isDone: look,
  });
  return done(bucket);
}

/** Errors: name_taken where the database holds the tables of another program. */
export async function migrate({ options, world, found }: Context): Promise<Result> {
  const ours = readdirSync(join(world.root, "migrations"))
    .filter((name) => name.endsWith(".sql"))
    .sort();
  const applied = found.databaseId === null ? [] : await appliedMigrations(world.cloudflare, found, options.name);
  const pending = ours.filter((name) => !applied.includes(name));
  const newer = applied.filter((name) => !ours.includes(name)).length;
  const note = newer === 0 ? "" : `; it has ${newer} of a newer version as well`;
  if (pending.length === 0) return alreadyThere(`${applied.length} migrations${note}`);
  const words = `${pending.length} of ${ours.length} migrations: ${pending.join(", ")}${note}`;
  if (options.dryRun) return wouldDo(words);
  const argv = ["d1", "migrations", "apply", "DB", "--remote", "--config", join(world.workDir, "wrangler.json")];
  await runWrangler(world.wrangler(found.account), argv, { ...d1, cwd: world.workDir });
  return done(words);
}

async function appliedMigrations(
  cloudflare: Cloudflare,
  { account, databaseId }: { account: string; databaseId: string | null },
  name: string,
): Promise<string[]> {
  const where = { account, database: databaseId ?? "" };
  if ((await whoseDatabase(cloudflare, where, name)) === "empty") return [];
  const rows = await queryDatabase<{ name: string }>(cloudflare, where, "SELECT name FROM d1_migrations ORDER BY id");
  return rows.map((row) => row.name);
}

/**
 * `begun`: a list of migrations and nothing else, as a first run leaves it that was cut off. Errors: name_taken where the database
 * holds the tables of another program.
 */
export async function whoseDatabase(
  cloudflare: Cloudflare,
  where: { account: string; database: string },
  name: string,
): Promise<"empty" | "begun" | "ours"> {
  const sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
  const tables = await queryDatabase<{ name: string }>(cloudflare, where, sql);
  const own = tables.map((one) => one.name).filter((table) => !/^(sqlite|_cf)_/.test(table));
  if (own.length === 0) return "empty";
  if (own.includes("d1_migrations") && own.includes("instance_status")) return "ours";
  if (own.join() === "d1_migrations") return "begun";
  const hint = "Say --name for another name: this database is not touched.";
  throw new DeployError("name_taken", `The database "${name}" holds another program's tables.`, hint);
}
