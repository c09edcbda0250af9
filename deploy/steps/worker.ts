/** The worker: what it is built of, its deployment, its secrets. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readWranglerToml } from "../../tools/wrangler-toml.ts";
import { buildIdOf, type Target, workerConfig } from "../config.ts";
import { alreadyThere, type Context, done, permissions, type Result, wouldDo } from "../context.ts";
import { DeployError } from "../error.ts";
import { runWrangler } from "../wrangler.ts";

const scripts = { permission: permissions.scripts };

/** Writes `.deploy/NAME/wrangler.json`, and says by `found.buildId` what a deployment would consist of. */
export async function configure(context: Context): Promise<Result> {
  const { options, world, found } = context;
  const base = readWranglerToml(world.root);
  const target: Target = {
    name: options.name,
    databaseId: found.databaseId ?? "00000000-0000-0000-0000-000000000000",
    vars: found.vars,
    customDomain: found.customDomain,
    proxyZone: found.proxyZone,
    cpuMs: options.cpuMs ?? found.worker?.cpuMs ?? null,
  };
  found.buildId = buildIdOf(world.sourcesId(), workerConfig(base, target, ""));
  const file = join(world.workDir, "wrangler.json");
  if (found.worker) await noteCrons(context, base.triggers.crons);
  if (options.dryRun) return wouldDo(file);
  const vars = { ...target.vars, BUILD: found.buildId };
  mkdirSync(world.workDir, { recursive: true });
  writeFileSync(file, `${JSON.stringify(workerConfig(base, { ...target, vars }, world.root), null, 2)}\n`);
  return done(`${file}: build ${found.buildId}`);
}

/** A deployment that was cut off may have left a worker without them. */
async function noteCrons({ options, world, found }: Context, wanted: string[]): Promise<void> {
  const path = `/accounts/${found.account}/workers/scripts/${options.name}/schedules`;
  const answer = await world.cloudflare.get<{ schedules?: { cron: string }[] }>(path, { ...scripts, absent: [10007] });
  const crons = (answer?.schedules ?? []).map(({ cron }) => cron).sort();
  if (crons.join() !== [...wanted].sort().join()) found.drift.push("its cron triggers are others");
}

/** Errors: build. */
export async function buildOnce({ world, found }: Context): Promise<void> {
  if (found.isBuilt) return;
  try {
    await world.build();
  } catch (cause) {
    throw new DeployError("build", `The build failed: ${(cause as Error).message}`, "See `npm run build`.", { cause });
  }
  found.isBuilt = true;
}

export async function deployWorker(context: Context): Promise<Result> {
  const { options, world, found } = context;
  const isSame = found.worker?.vars.BUILD === found.buildId;
  if (isSame && found.drift.length === 0) return alreadyThere(`build ${found.buildId}`);
  const why = !found.worker ? "" : isSame ? ` (${found.drift.join(", ")})` : " (its code or settings differ)";
  if (options.dryRun) return wouldDo(`build and wrangler deploy${why}`);
  await buildOnce(context);
  const argv = ["deploy", "--config", join(world.workDir, "wrangler.json")];
  const permission =
    found.proxyZone === null ? permissions.scripts : `${permissions.scripts} and ${permissions.routes}`;
  await runWrangler(world.wrangler(found.account), argv, { permission, cwd: world.workDir });
  return done(`build ${found.buildId}${why}`);
}

export async function setSecrets({ options, world, found, tellSecrets }: Context): Promise<Result> {
  const names = found.wanted;
  if (names.length === 0) return alreadyThere("none is missing, none is changed");
  if (options.dryRun) return wouldDo(`wrangler secret bulk: ${names.join(", ")}`);
  // Before they are set: a run that is cut off here leaves values that are written down and opened nothing, never the other way round.
  const kept = ["ADMIN_TOKEN", "METRICS_TOKEN", "SECRETS_KEYS"].filter((name) => found.made.has(name));
  if (kept.length > 0) tellSecrets(Object.fromEntries(kept.map((name) => [name, found.secrets[name] ?? ""])));
  const argv = ["secret", "bulk", "--config", join(world.workDir, "wrangler.json")];
  await runWrangler(world.wrangler(found.account), argv, {
    ...scripts,
    cwd: world.workDir,
    input: JSON.stringify(found.secrets),
  });
  return done(names.join(", "));
}
