/**
 * npm run demo -- [--keep DIR] [--workspace PATH] [--json]
 *
 * The whole story, headless: rented, working, quiet, asleep, deleted, woken, identical. Exit status 0 only if all held.
 */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { LocalCloud } from "./cloud.ts";
import { compareFolders } from "./compare.ts";
import { sleep } from "./processes.ts";
import { writeSampleWorkspace } from "./sample.ts";
import { freePort } from "./secrets.ts";
import { ask, Story } from "./story.ts";
import { bytesText } from "./tell.ts";

const usage = `usage: npm run demo -- [--keep DIR] [--workspace PATH] [--json]

  --keep DIR        leaves the original in DIR/before and the restored workspace in DIR/after
  --workspace PATH  takes a copy of that folder instead of the small sample
  --json            events as NDJSON`;

interface Options {
  keep: string | null;
  workspace: string | null;
  json: boolean;
}

const execFileAsync = promisify(execFile);
const startedAt = Date.now();
const options = readOptions();
const base = mkdtempSync(join(tmpdir(), "soneca-demo-"));
const keep = options.keep ?? join(base, "kept");
let cloud: LocalCloud | null = null;
let ending: Promise<void> | null = null;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => void cleanUp().then(() => process.exit(130)));
}

let code = 1;
try {
  code = await tellStory();
} catch (error) {
  report({ event: "failed", message: String(error) }, `failed: ${(error as Error).message}`);
  code = 1;
} finally {
  await cleanUp();
}
process.exit(code);

async function tellStory(): Promise<number> {
  report({ event: "starting" }, "soneca demo: a machine falls asleep, is destroyed, and wakes with every byte");
  cloud = await LocalCloud.prepare({
    stateDir: join(base, "state"),
    port: await freePort(),
    bootMs: 1_500,
    onStep: (step) => report({ event: "step", step }, step),
  });
  await cloud.start();
  const created = await ask(cloud, "POST", "/api/instances", {
    name: "demo",
    gpu_type: "RTX 4090",
    auto_hibernation: { pause_after_idle_minutes: 0.1, delete_after_pause_minutes: 0.1, check_interval_seconds: 1 },
  });
  const story = new Story(cloud, created.id, report);

  const first = await story.machine();
  await cloud.vastLocal("PUT", `/local/machines/${first.id}/gpu`, { load: ["90"] });
  await fillWorkspace(join(first.path, "workspace"));
  await copyFolder(join(first.path, "workspace"), join(keep, "before"));
  await story.until("running");
  await sleep(3_000);
  await story.tellNews();
  report({ event: "gpu", load: 0 }, "the training ends, the GPU goes quiet");
  await cloud.vastLocal("PUT", `/local/machines/${first.id}/gpu`, { load: ["0"] });

  await story.until("hibernated");
  if (existsSync(first.path)) throw new Error(`the destroyed machine's folder is still there: ${first.path}`);
  const asleep = await story.until("deleted");
  await story.untilTold("deleted");
  await story.tellMoney(asleep);

  report({ event: "wake" }, "somebody wakes it");
  await ask(cloud, "POST", `/api/instances/${created.id}/wake`, { gpu_type: "RTX 3090", region: "EU" });
  const second = await story.machine();
  // The new machine works at once, so that it is not put to sleep while it is looked at.
  await cloud.vastLocal("PUT", `/local/machines/${second.id}/gpu`, { load: ["90"] });
  const awake = await story.until("running");
  await copyFolder(join(second.path, "workspace"), join(keep, "after"));
  await story.untilTold("woke_up");
  await story.tellMoney(awake);
  return compare();
}

function compare(): number {
  const comparison = compareFolders(join(keep, "before"), join(keep, "after"));
  const { entries, files, bytes, differences, differenceCount, xattrs } = comparison;
  const isEqual = differenceCount === 0;
  report(
    { event: "compared", equal: isEqual, ...comparison, seconds: (Date.now() - startedAt) / 1000 },
    isEqual
      ? `identical: ${entries} entries, ${files} files, ${bytesText(bytes)}: types, modes, owners, times, links, contents${xattrs === "compared" ? ", attributes" : ""}`
      : `NOT identical, ${differenceCount} differences:\n  ${differences.join("\n  ")}`,
  );
  if (options.keep)
    report(
      { event: "kept", before: join(keep, "before"), after: join(keep, "after") },
      `kept: ${join(keep, "before")} and ${join(keep, "after")}`,
    );
  return isEqual ? 0 : 1;
}

async function fillWorkspace(workspace: string): Promise<void> {
  if (options.workspace) await copyInto(options.workspace, workspace);
  else writeSampleWorkspace(workspace);
}

/** `cp -a` keeps everything that the comparison looks at; Node's own copy does not. */
async function copyFolder(from: string, to: string): Promise<void> {
  mkdirSync(to, { recursive: true });
  await copyInto(from, to);
}

async function copyInto(from: string, to: string): Promise<void> {
  await execFileAsync("cp", ["-a", "--", `${from}/.`, to]);
}

function report(event: Record<string, unknown>, text: string): void {
  const seconds = (Date.now() - startedAt) / 1000;
  console.log(options.json ? JSON.stringify({ seconds, ...event }) : `${seconds.toFixed(1).padStart(6)} s  ${text}`);
}

function cleanUp(): Promise<void> {
  ending ??= (async () => {
    await cloud?.stop();
    rmSync(base, { recursive: true, force: true });
  })();
  return ending;
}

function readOptions(): Options {
  const refuse = (message: string): never => {
    console.error(`${message}\n\n${usage}`);
    process.exit(2);
  };
  try {
    const { values } = parseArgs({
      options: {
        keep: { type: "string" },
        workspace: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const isFolder = (path: string) => statSync(path).isDirectory();
    const keep = values.keep === undefined ? null : resolve(values.keep);
    if (keep && existsSync(keep) && !isFolder(keep)) refuse(`${keep} is not a folder`);
    for (const name of ["before", "after"]) {
      const folder = keep && join(keep, name);
      if (folder && existsSync(folder) && readdirSync(folder).length > 0) refuse(`${folder} is not empty`);
    }
    const workspace = values.workspace === undefined ? null : realpathSync(values.workspace);
    if (workspace && !isFolder(workspace)) refuse(`${workspace} is not a folder`);
    if (workspace && !relative(workspace, realpathSync(tmpdir())).startsWith(".."))
      refuse(`${workspace} holds the folder for temporary files; take one inside it`);
    return { keep, workspace, json: values.json };
  } catch (error) {
    return refuse((error as Error).message);
  }
}
