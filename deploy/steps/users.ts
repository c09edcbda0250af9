/** The deployed worker answers, and somebody may use it. */
import { alreadyThere, type Context, done, type Result, skipped, wouldDo } from "../context.ts";
import { DeployError } from "../error.ts";
import { queryDatabase } from "./stores.ts";

const everyMs = 3_000;
const callMs = 20_000;
/** A name on workers.dev is there within seconds; a domain's certificate can take minutes. */
const patienceMs = { workersDev: 180_000, domain: 600_000 };

/** Errors: no_answer. */
export async function waitForAnswer({ options, world, found }: Context): Promise<Result> {
  if (options.dryRun) return wouldDo("GET /api/health until it answers");
  const patience = found.customDomain === null ? patienceMs.workersDev : patienceMs.domain;
  let last = "";
  for (let waited = 0; waited <= patience; waited += everyMs) {
    try {
      const signal = AbortSignal.timeout(callMs);
      const response = await world.fetch(`${found.url}/api/health`, { signal });
      const body = (await response.json()) as { ok?: boolean; version?: string };
      if (response.ok && body.ok) return done(`${found.url} answers, version ${body.version}`);
      last = `it answers ${response.status}`;
    } catch (error) {
      last = `${((error as Error).cause as Error | undefined)?.message ?? (error as Error).message}`;
    }
    await world.sleep(everyMs);
  }
  const hint =
    "A new name or certificate can take some minutes: run it again then. `npx wrangler tail` shows what the worker says.";
  throw new DeployError("no_answer", `${found.url}/api/health: ${last}.`, hint);
}

/** Errors: secret_missing where nobody here knows the admin token. */
export async function makeFirstUser({ options, world, found, tellSecrets }: Context): Promise<Result> {
  const name = options.user ?? "first";
  if (found.databaseId === null || (options.dryRun && !(await hasTables(world.cloudflare, found))))
    return options.dryRun ? wouldDo(`the user "${name}", with a token`) : skipped("there is no database");
  const where = { account: found.account, database: found.databaseId };
  const which = options.user === null ? "" : " WHERE name = ?";
  const params = options.user === null ? [] : [options.user];
  const sql = `SELECT name FROM users${which} LIMIT 1`;
  const [there] = await queryDatabase<{ name: string }>(world.cloudflare, where, sql, params);
  if (there) return alreadyThere(`"${there.name}"; another one: --user NAME`);
  if (options.dryRun) return wouldDo(`the user "${name}", with a token`);
  const admin = found.secrets.ADMIN_TOKEN ?? world.env.ADMIN_TOKEN;
  if (!admin) {
    const hint = "Set ADMIN_TOKEN to the one that was shown, or make another with --rotate ADMIN_TOKEN.";
    throw new DeployError("secret_missing", "There is no user yet, and the admin token is not known here.", hint);
  }
  const token = await createUser(world, `${found.url}/api/users`, { admin, name });
  found.userToken = token;
  tellSecrets({ SONECA_TOKEN: token });
  return done(`the user "${name}", with the token above`);
}

async function hasTables(cloudflare: Context["world"]["cloudflare"], found: Context["found"]): Promise<boolean> {
  const where = { account: found.account, database: found.databaseId ?? "" };
  const sql = "SELECT name FROM sqlite_master WHERE name = 'users'";
  return (await queryDatabase(cloudflare, where, sql)).length > 0;
}

/** A refusal is repeated for a while: new secrets reach all of Cloudflare within seconds. An answer that is lost is not. */
async function createUser(
  { fetch, sleep }: Context["world"],
  url: string,
  { admin, name }: { admin: string; name: string },
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    let response: Response;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: { authorization: `Bearer ${admin}`, "content-type": "application/json" },
        body: JSON.stringify({ name }),
        signal: AbortSignal.timeout(callMs),
      });
    } catch (cause) {
      const hint =
        "It may have been made: where the next run finds it without its token, say --user NAME for another one.";
      throw new DeployError("no_answer", `${url}: no answer came.`, hint, { cause });
    }
    if (response.status === 201) return ((await response.json()) as { token: string }).token;
    if ((response.status !== 401 && response.status < 500) || attempt === 10) {
      const hint =
        response.status === 401
          ? "Set ADMIN_TOKEN to the worker's, or make another with --rotate ADMIN_TOKEN."
          : "Run it again.";
      throw new DeployError("no_answer", `${url} answers ${response.status}: ${await response.text()}`, hint);
    }
    await sleep(3_000);
  }
}
