/** `soneca-agent snapshot | restore | verify | list`: the engine on the command line. One JSON object a line, exit codes below. */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { instancePrefix, isInstanceName, parseObjectKey, type SnapshotStore } from "../core/snapshot/store.ts";
import { restoreSnapshot } from "./snapshot/restore.ts";
import { failureOf, Stop } from "./snapshot/stop.ts";
import { listInstances, openFolderStore } from "./snapshot/store-folder.ts";
import { openWorkerStore } from "./snapshot/store-worker.ts";
import { takeSnapshot } from "./snapshot/take.ts";
import type { OnProgress, SnapshotFailure } from "./snapshot/types.ts";
import { verifySnapshot } from "./snapshot/verify.ts";

export const snapshotUsage = `soneca-agent snapshot DIR --store STORE [--id ID] [--exclude GLOB]... [--state DIR] [--json]
soneca-agent restore ID[@SEQ] DIR --store STORE [--delete] [--no-owner] [--state DIR] [--json]
soneca-agent verify ID[@SEQ] --store STORE [DIR] [--state DIR] [--json]
soneca-agent list --store STORE [--id ID] [--json]
STORE is a folder, or the http(s):// address of a control plane (token in SONECA_TOKEN).`;

export const snapshotExit = {
  ok: 0,
  bug: 1,
  usage: 2,
  incomplete: 3,
  unreachable: 4,
  damaged: 5,
  noSpace: 6,
  refused: 7,
  notFound: 8,
  interrupted: 130,
} as const;

const exitOfCode: Record<string, number> = {
  aborted: snapshotExit.interrupted,
  usage: snapshotExit.usage,
  id_invalid: snapshotExit.usage,
  not_a_folder: snapshotExit.usage,
  state_inside_root: snapshotExit.usage,
  key_invalid: snapshotExit.usage,
  restore_conflict: snapshotExit.usage,
  store_unreachable: snapshotExit.unreachable,
  store_failed: snapshotExit.unreachable,
  snapshot_damaged: snapshotExit.damaged,
  snapshot_format_unknown: snapshotExit.damaged,
  snapshot_hostile: snapshotExit.damaged,
  manifest_invalid: snapshotExit.damaged,
  manifest_digest_differs: snapshotExit.damaged,
  restore_digest_mismatch: snapshotExit.damaged,
  restore_inexact: snapshotExit.incomplete,
  folder_differs: snapshotExit.damaged,
  part_missing: snapshotExit.damaged,
  part_damaged: snapshotExit.damaged,
  bytes_differ: snapshotExit.damaged,
  no_space: snapshotExit.noSpace,
  store_full: snapshotExit.noSpace,
  store_refused: snapshotExit.refused,
  store_fenced: snapshotExit.refused,
  manifest_exists: snapshotExit.refused,
  object_not_found: snapshotExit.notFound,
};

const optionTypes = {
  store: { type: "string" },
  id: { type: "string" },
  exclude: { type: "string", multiple: true },
  state: { type: "string" },
  epoch: { type: "string" },
  delete: { type: "boolean" },
  "no-owner": { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

interface Context {
  positionals: string[];
  store: string;
  options: {
    id?: string;
    exclude?: string[];
    state?: string;
    epoch?: string;
    delete?: boolean;
    json?: boolean;
    "no-owner"?: boolean;
  };
  print: (line: Record<string, unknown>) => void;
  onProgress: OnProgress;
  signal: AbortSignal;
}

/** `argv` begins with the command. Returns the exit code; the last line that it prints is the summary. */
export async function runSnapshotCommand(argv: string[]): Promise<number> {
  const [command, ...rest] = argv;
  const commands = { snapshot: runSnapshot, restore: runRestore, verify: runVerify, list: runList };
  const run = commands[command as keyof typeof commands];
  const abort = new AbortController();
  const onSignal = () => abort.abort();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  let print = (line: Record<string, unknown>) => console.log(JSON.stringify(line));
  try {
    const { values, positionals } = parseCommandLine(rest);
    if (values.help) {
      console.log(snapshotUsage);
      return snapshotExit.ok;
    }
    if (!run || !values.store) throw new Stop("usage", snapshotUsage, false);
    print = values.json ? print : printForPeople;
    const context: Context = {
      positionals,
      store: values.store,
      options: values,
      print,
      onProgress: progressLines(print),
      signal: abort.signal,
    };
    return await run(context);
  } catch (error) {
    const failure = failureOf(error);
    return fail(print, failure);
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

async function runSnapshot(context: Context): Promise<number> {
  const { positionals, options, print, onProgress, signal } = context;
  const [dir] = positionals;
  if (dir === undefined || positionals.length > 1) throw new Stop("usage", snapshotUsage, false);
  const root = resolve(dir);
  const id = options.id ?? process.env.SONECA_INSTANCE ?? basename(root);
  checkId(id);
  const store = openStore(context.store, id);
  const epoch = Number(options.epoch ?? process.env.SONECA_EPOCH ?? 1);
  if (!Number.isInteger(epoch) || epoch < 1) throw new Stop("usage", "--epoch wants a number from 1.", false);
  const newest = (await listSnapshots(store, id, signal)).at(-1);
  const seq = (newest?.seq ?? 0) + 1;
  const result = await takeSnapshot({
    root,
    id,
    epoch,
    seq,
    store,
    stateDir: stateDirOf(context, id),
    excludes: options.exclude ?? [],
    onProgress,
    signal,
    ...(newest ? { parentSeq: newest.seq } : {}),
  });
  if (!result.ok) return fail(print, result);
  for (const reason of result.stats.degraded) print({ type: "warning", reason });
  for (const { path, reason } of result.stats.skipped) print({ type: "warning", path, reason });
  const isWhole = result.stats.torn === 0;
  print({
    type: "summary",
    ok: isWhole,
    snapshotId: `${id}@${seq}`,
    epoch,
    digest: result.digest,
    manifestSha256: result.manifestSha256,
    ...result.stats,
  });
  return isWhole ? snapshotExit.ok : snapshotExit.incomplete;
}

async function runRestore(context: Context): Promise<number> {
  const { positionals, options, print, onProgress, signal } = context;
  const [name, dir] = positionals;
  if (name === undefined || dir === undefined || positionals.length > 2) throw new Stop("usage", snapshotUsage, false);
  const { store, id, seq, epoch } = await findSnapshot(context, name);
  const stateDir = stateDirOf(context, id);
  const deleteExtras = options.delete === true;
  const result = await restoreSnapshot({
    id,
    seq,
    epoch,
    root: resolve(dir),
    store,
    stateDir,
    deleteExtras,
    owner: options["no-owner"] !== true,
    onProgress,
    signal,
  });
  if (!result.ok) return fail(print, result);
  for (const reason of result.stats.degraded) print({ type: "warning", reason });
  for (const { path, reason } of result.stats.skipped) print({ type: "warning", path, reason });
  print({ type: "summary", ok: true, snapshotId: `${id}@${seq}`, epoch, digest: result.digest, ...result.stats });
  return snapshotExit.ok;
}

async function runVerify(context: Context): Promise<number> {
  const { positionals, print, onProgress, signal } = context;
  const [name, dir] = positionals;
  if (name === undefined || positionals.length > 2) throw new Stop("usage", snapshotUsage, false);
  const { store, id, seq, epoch } = await findSnapshot(context, name);
  const folder = dir === undefined ? {} : { root: resolve(dir), stateDir: stateDirOf(context, id) };
  const result = await verifySnapshot({ id, seq, epoch, store, onProgress, signal, ...folder });
  if (!result.ok) return fail(print, result);
  print({ type: "summary", snapshotId: `${id}@${seq}`, epoch, ...result });
  return snapshotExit.ok;
}

async function runList(context: Context): Promise<number> {
  const { options, print, signal } = context;
  const isRemote = /^https?:/.test(context.store);
  const given = options.id ?? (isRemote ? process.env.SONECA_INSTANCE : undefined);
  if (given === undefined && isRemote)
    throw new Stop("usage", "A control plane's store wants --id (or SONECA_INSTANCE).", false);
  const ids = given !== undefined ? [given] : (await listInstances(context.store)).filter(isInstanceName);
  let count = 0;
  for (const id of ids) {
    checkId(id);
    for (const { seq, epoch, bytes } of await listSnapshots(openStore(context.store, id), id, signal)) {
      print({ type: "snapshot", snapshotId: `${id}@${seq}`, epoch, manifestBytes: bytes });
      count++;
    }
  }
  print({ type: "summary", ok: true, snapshots: count });
  return snapshotExit.ok;
}

export function openStore(store: string, id: string): SnapshotStore {
  if (!/^https?:/.test(store)) return openFolderStore(resolve(store));
  const token = process.env.SONECA_TOKEN;
  if (!token) throw new Stop("usage", "SONECA_TOKEN is not set; the control plane wants the agent's token.", false);
  return openWorkerStore({ url: store, token: () => token, instance: id });
}

/** Sorted by sequence number, then epoch. */
async function listSnapshots(
  store: SnapshotStore,
  id: string,
  signal: AbortSignal,
): Promise<{ seq: number; epoch: number; bytes: number }[]> {
  const found: { seq: number; epoch: number; bytes: number }[] = [];
  for await (const { key, bytes } of store.list(`${instancePrefix(id)}manifests/`, { signal })) {
    const name = parseObjectKey(key);
    if (name?.kind === "manifest") found.push({ seq: name.seq, epoch: name.epoch, bytes });
  }
  return found.sort((a, b) => a.seq - b.seq || a.epoch - b.epoch);
}

async function findSnapshot(
  context: Context,
  name: string,
): Promise<{ store: SnapshotStore; id: string; seq: number; epoch: number }> {
  const match = /^([^@]+)(?:@(\d{1,8}))?$/.exec(name);
  if (!match?.[1]) throw new Stop("usage", `${name} is not ID or ID@SEQ.`, false);
  const id = match[1];
  checkId(id);
  const store = openStore(context.store, id);
  const all = await listSnapshots(store, id, context.signal);
  const newest = all.filter((snapshot) => match[2] === undefined || snapshot.seq === Number(match[2])).at(-1);
  if (!newest) throw new Stop("object_not_found", `There is no snapshot ${name} in the store.`, false);
  return { store, id, seq: newest.seq, epoch: newest.epoch };
}

/** Outside every workspace: one folder for each store and instance. */
function stateDirOf(context: Context, id: string): string {
  const given = context.options.state;
  const home =
    process.env.SONECA_HOME ?? join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "soneca");
  const store = /^https?:/.test(context.store) ? context.store : resolve(context.store);
  const dir = given
    ? resolve(given)
    : join(home, "snapshots", `${createHash("sha256").update(store).digest("hex").slice(0, 12)}-${id}`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return dir;
}

function checkId(id: string): void {
  if (!isInstanceName(id))
    throw new Stop(
      "id_invalid",
      `${JSON.stringify(id)} is not an ID: letters, digits, ".", "_", "-", at most 64. Use --id.`,
      false,
    );
}

function parseCommandLine(args: string[]) {
  try {
    return parseArgs({ args, options: optionTypes, allowPositionals: true });
  } catch (error) {
    throw new Stop("usage", `${(error as Error).message}\n${snapshotUsage}`, false);
  }
}

function fail(print: Context["print"], failure: SnapshotFailure): number {
  const exitCode = exitOfCode[failure.code] ?? snapshotExit.bug;
  print({ type: "summary", ...failure, exitCode });
  return exitCode;
}

function progressLines(print: Context["print"]): OnProgress {
  const startedAt = performance.now();
  return (progress) => {
    const elapsedMs = performance.now() - startedAt;
    const bytesPerSecond = Math.round((progress.doneBytes / Math.max(1, elapsedMs)) * 1000);
    const left = progress.plainBytes - progress.doneBytes;
    const etaMs = bytesPerSecond > 0 && left > 0 ? Math.round((left / bytesPerSecond) * 1000) : null;
    print({ type: "progress", ...progress, bytesPerSecond, etaMs });
  };
}

function printForPeople(line: Record<string, unknown>): void {
  const { type, ...rest } = line;
  if (type === "progress") {
    if (!process.stderr.isTTY) return;
    const { phase, doneBytes, plainBytes, partsDone, partsTotal } = rest as Record<string, number>;
    process.stderr.write(
      `\r\x1b[K${phase}: ${mib(doneBytes ?? 0)} of ${mib(plainBytes ?? 0)}, ${partsDone} of ${partsTotal} parts`,
    );
    return;
  }
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  if (type === "warning") {
    console.error(`warning: ${rest.path ?? ""} ${rest.reason}`);
    return;
  }
  if (rest.ok === false && typeof rest.message === "string") {
    console.error(`${rest.code}: ${rest.message}`);
    return;
  }
  console.log(
    Object.entries(rest)
      .map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
      .join("\n"),
  );
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
