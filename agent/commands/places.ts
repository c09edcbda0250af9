/** From the words of a command line to stores, snapshots and folders. */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { instancePrefix, isInstanceName, parseObjectKey, type SnapshotStore } from "../../core/snapshot/store.ts";
import { readS3Settings, type S3Settings } from "../snapshot/s3-settings.ts";
import { Stop } from "../snapshot/stop.ts";
import { listInstances, openFolderStore } from "../snapshot/store-folder.ts";
import { openS3Store } from "../snapshot/store-s3.ts";
import { openWorkerStore } from "../snapshot/store-worker.ts";

export type Place =
  | { kind: "folder"; name: string; path: string }
  | { kind: "s3"; name: string; settings: S3Settings }
  | { kind: "worker"; name: string; url: string };

export interface OpenOptions {
  tries?: number;
  idleTimeoutMs?: number;
}

/** `name` of the place is the same for the same store. Errors: Stop `usage`, `store_invalid`; StoreError `settings_invalid`. */
export function parsePlace(text: string): Place {
  if (text.startsWith("s3:")) {
    const settings = readS3Settings(text, process.env);
    return { kind: "s3", name: `${settings.endpoint}/${settings.bucket}/${settings.prefix}`, settings };
  }
  if (/^https?:/.test(text)) {
    if (!URL.canParse(text) || !/^https?:\/\//.test(text)) throw new Stop("usage", `${text} is not an address.`, false);
    return { kind: "worker", name: text, url: text };
  }
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text))
    throw new Stop("usage", `${text} is no store: it is a folder, s3://BUCKET/PREFIX or an http(s):// address.`, false);
  const path = resolve(text);
  const kind = kindOf(path);
  if (kind === "other") throw new Stop("store_invalid", `The store ${text} is not a folder.`, false);
  return { kind: "folder", name: path, path };
}

/** For commands that only read: a folder that is not there is an error of its own. */
export function mustExist(place: Place): Place {
  if (place.kind === "folder" && kindOf(place.path) === "nothing")
    throw new Stop("store_not_found", `There is no store at ${place.path}.`, false);
  return place;
}

function kindOf(path: string): "folder" | "other" | "nothing" {
  try {
    return statSync(path).isDirectory() ? "folder" : "other";
  } catch (error) {
    // A file where a folder of the path should be.
    return (error as NodeJS.ErrnoException).code === "ENOTDIR" ? "other" : "nothing";
  }
}

export function openPlace(place: Place, id: string, options: OpenOptions = {}): SnapshotStore {
  if (place.kind === "folder") return openFolderStore(place.path);
  if (place.kind === "s3") return openS3Store(place.settings, options);
  const token = process.env.SONECA_TOKEN;
  if (!token) throw new Stop("usage", "SONECA_TOKEN is not set; the control plane wants the agent's token.", false);
  return openWorkerStore({ url: place.url, token: () => token, instance: id, ...options });
}

/** The IDs that have something in the store; a control plane shows its token's own alone. */
export async function findIds(place: Place, signal: AbortSignal): Promise<string[]> {
  if (place.kind === "folder") return (await listInstances(place.path)).filter(isInstanceName);
  if (place.kind === "s3") return (await openS3Store(place.settings).listInstances({ signal })).filter(isInstanceName);
  const own = process.env.SONECA_INSTANCE;
  if (own === undefined) throw new Stop("usage", "A control plane's store wants --id (or SONECA_INSTANCE).", false);
  return [own];
}

export interface SnapshotName {
  seq: number;
  epoch: number;
  bytes: number;
}

/** Sorted by sequence number, then epoch. */
export async function listSnapshots(store: SnapshotStore, id: string, signal: AbortSignal): Promise<SnapshotName[]> {
  const found: SnapshotName[] = [];
  for await (const { key, bytes } of store.list(`${instancePrefix(id)}manifests/`, { signal })) {
    const name = parseObjectKey(key);
    if (name?.kind === "manifest") found.push({ seq: name.seq, epoch: name.epoch, bytes });
  }
  return found.sort((a, b) => a.seq - b.seq || a.epoch - b.epoch);
}

export interface FoundSnapshot {
  store: SnapshotStore;
  id: string;
  seq: number;
  epoch: number;
}

/** `name`: ID (the newest) or ID@SEQ. Errors: Stop `usage`, `id_invalid`, `snapshot_not_found`. */
export async function findSnapshot(place: Place, name: string, signal: AbortSignal): Promise<FoundSnapshot> {
  const { id, seq } = parseName(name);
  mustExist(place);
  const store = openPlace(place, id);
  const all = await listSnapshots(store, id, signal);
  const newest = all.filter((snapshot) => seq === null || snapshot.seq === seq).at(-1);
  if (!newest) {
    const others = all.length > 0 ? ` The newest of ${id} is ${id}@${all.at(-1)!.seq}.` : "";
    throw new Stop("snapshot_not_found", `There is no snapshot ${name} in the store.${others}`, false);
  }
  return { store, id, seq: newest.seq, epoch: newest.epoch };
}

/** Errors: Stop `usage`, `id_invalid`. */
function parseName(name: string): { id: string; seq: number | null } {
  const at = name.indexOf("@");
  const id = at < 0 ? name : name.slice(0, at);
  checkId(id);
  if (at < 0) return { id, seq: null };
  const text = name.slice(at + 1);
  if (!/^\d{1,8}$/.test(text) || Number(text) < 1)
    throw new Stop("usage", `${name} is not ID or ID@SEQ: SEQ is a number from 1.`, false);
  return { id, seq: Number(text) };
}

export function checkId(id: string): void {
  if (!isInstanceName(id))
    throw new Stop(
      "id_invalid",
      `${JSON.stringify(id)} is not an ID: letters, digits, ".", "_", "-", at most 64, a letter or digit first.`,
      false,
    );
}

/** Outside every workspace: one folder for each store and instance. The engine makes it. */
export function stateDirOf(given: string | undefined, place: Place, id: string): string {
  const home =
    process.env.SONECA_HOME ?? join(process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state"), "soneca");
  if (given) return resolve(given);
  return join(home, "snapshots", `${createHash("sha256").update(place.name).digest("hex").slice(0, 12)}-${id}`);
}
