/**
 * Proves a stored snapshot. Always: the store has every part that the manifest lists, with the size and the SHA-256 of
 * its name; each table is what the index says; the tree has its digest, and every chunk that a file names, and every base
 * of it, lies in a table, as long as the file says. With `data` also: every chunk decodes to the bytes of its id.
 */
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import { encodeFrames, type FrameInfo } from "../../core/snapshot/frame-table.ts";
import type { Manifest } from "../../core/snapshot/manifest.ts";
import { decodeHeader } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import type { Entry } from "../../core/snapshot/tree.ts";
import { BaseFrames } from "./base-frames.ts";
import { checkPart, partDamaged } from "./check-part.ts";
import { CoderPool } from "./coder-pool.ts";
import type { VerifyAnswer, VerifyTask } from "./coder-tasks.ts";
import { HeldFrames } from "./held-frames.ts";
import { forEachInFlight, partsInFlight } from "./in-flight.ts";
import type { Keyring, Unlock } from "./keyring.ts";
import { getPart, type LoadedSnapshot, loadSnapshot, loadTree } from "./meta.ts";
import { PartRooms } from "./part-rooms.ts";
import { scanDigest } from "./scan-folder.ts";
import { Reporter } from "./setup.ts";
import { failureOf, Stop, throwIfAborted } from "./stop.ts";
import type { OnProgress, SnapshotFailure } from "./types.ts";

const treeReads = 2;
/** A part this small is checked sooner than a thread starts, and in less time than a heartbeat notices. */
const smallPartBytes = 64 * 1024;

export interface VerifyOptions {
  id: string;
  seq: number;
  epoch: number;
  store: SnapshotStore;
  /** Also decodes every chunk and checks it by its id. */
  data?: boolean;
  concurrency?: number;
  /** Also: that this folder equals the snapshot. Needs `stateDir`. */
  root?: string;
  stateDir?: string;
  /** Asked for the data key of an encrypted snapshot; without it that ends in `key_missing`. */
  unlock?: Unlock;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

export interface VerifySuccess {
  ok: true;
  /** What was proved of the parts: that their bytes are those stored, or that each chunk has its own hash as well. */
  checked: "bytes" | "data";
  digest: string;
  entries: number;
  files: number;
  /** Chunks in the tables of the parts; with "data" each was decoded, but those whose bases the snapshot does not list. */
  chunks: number;
  parts: number;
  /** Of these parts: bytes that were read and hashed. */
  storedBytes: number;
  /** Of all files. */
  plainBytes: number;
  torn: number;
}

export type VerifyResult = VerifySuccess | SnapshotFailure;

/** Progress counts the plain bytes of what the parts hold: `plainBytes` of all, `doneBytes` of those proved. */
export async function verifySnapshot(options: VerifyOptions): Promise<VerifyResult> {
  const { id, seq, epoch, store, data = false, unlock, signal } = options;
  const reporter = new Reporter(options.onProgress);
  const coders = new CoderPool();
  try {
    reporter.phase("tree");
    const snapshot = await loadSnapshot(store, id, seq, epoch, signal, unlock);
    const { manifest, index, keyring } = snapshot;
    checkDescribed(snapshot);
    coders.dataKey = keyring.dataKey;
    reporter.phase(data ? "data" : "bytes");
    const counts = { entries: 0, files: 0, plainBytes: 0 };
    const onEntry = (entry: Entry) => {
      counts.entries = ++reporter.progress.entries;
      if (entry.type !== "f") return;
      counts.files = ++reporter.progress.files;
      counts.plainBytes += entry.size;
    };
    const parts = new PartsCheck(options, snapshot, coders, reporter);
    // The tree is looked at while the threads are busy with the parts; the first to fail ends both.
    const tree = async () => void (await loadTree(store, snapshot, treeReads, signal, onEntry));
    await Promise.all([tree(), parts.run()]);
    const { stats, digest } = manifest;
    const storedBytes = manifest.parts.reduce((sum, part) => sum + part.bytes, 0);
    const found = { ...counts, storedBytes };
    for (const [name, value] of Object.entries(found))
      if (stats[name as keyof typeof found] !== value) throw damagedManifest(`another number of ${name}`);
    await checkFolder(options, manifest, keyring);
    reporter.phase("done");
    const chunks = index.parts.reduce(
      (sum, { frames }) => frames.reduce((n, frame) => n + frame.chunks.length, sum),
      0,
    );
    const checked = data ? "data" : "bytes";
    return { ok: true, checked, digest, ...found, chunks, parts: manifest.parts.length, torn: stats.torn };
  } catch (error) {
    return failureOf(error);
  } finally {
    await coders.close();
  }
}

function damagedManifest(what: string): Stop {
  return new Stop("snapshot_damaged", `The manifest has ${what} than its tree and parts.`, false);
}

/** Segments were read whole already, each chunk checked; every other part must be described by one. */
function checkDescribed({ manifest, index }: LoadedSnapshot): void {
  const segments = new Set(manifest.segments);
  const lost = manifest.parts.find(({ key }) => !segments.has(key) && !index.hasPart(key));
  if (lost)
    throw new Stop("snapshot_damaged", `No segment describes the part ${lost.key} as the manifest lists it.`, false);
}

class PartsCheck {
  readonly #options: VerifyOptions;
  readonly #snapshot: LoadedSnapshot;
  readonly #coders: CoderPool;
  readonly #reporter: Reporter;
  readonly #held: HeldFrames | null;
  readonly #baseFrames: BaseFrames;
  readonly #rooms: PartRooms;
  /** Ends when the part's own frames are checked, and what others need of it is kept. */
  readonly #begun = new Map<IndexedPart, Promise<unknown>>();

  constructor(options: VerifyOptions, snapshot: LoadedSnapshot, coders: CoderPool, reporter: Reporter) {
    const { id, store, signal } = options;
    const { index, keyring } = snapshot;
    this.#options = options;
    this.#snapshot = snapshot;
    this.#coders = coders;
    this.#reporter = reporter;
    const largest = index.parts.reduce((most, part) => Math.max(most, part.bytes), 1);
    this.#rooms = new PartRooms(largest, coders.capacity);
    const held = options.data ? new HeldFrames(index) : null;
    this.#held = held;
    const onReceived = (bytes: number) => {
      reporter.progress.sentBytes += bytes;
    };
    const known = held ? { held: (frame: FrameInfo) => held.get(frame) } : {};
    this.#baseFrames = new BaseFrames({ store, id, index, keyring, signal, onReceived, ...known });
  }

  async run(): Promise<void> {
    const { manifest, index } = this.#snapshot;
    const { store, concurrency } = this.#options;
    const { progress } = this.#reporter;
    const read = manifest.parts.filter(({ key }) => !index.hasPart(key));
    const sumOf = (parts: { bytes: number }[]) => parts.reduce((sum, part) => sum + part.bytes, 0);
    Object.assign(progress, { partsTotal: manifest.parts.length, storedBytes: sumOf(manifest.parts) });
    Object.assign(progress, { partsDone: read.length, sentBytes: sumOf(read) });
    for (const part of index.parts) progress.plainBytes += plainBytesOf(part);
    const largest = Math.max(1, ...index.parts.map((part) => part.bytes));
    // Decoding keeps every thread busy with a part of its own; hashing is done before the next part is read.
    const inFlight = partsInFlight(store, concurrency, largest);
    const lanes = this.#held
      ? Math.max(inFlight, Math.min(concurrency ?? this.#coders.size, this.#coders.size))
      : inFlight;
    await forEachInFlight(this.#held?.order() ?? index.parts, lanes, async (part) => {
      const own = this.#checkOwn(part);
      this.#begun.set(part, own);
      const rest = await own;
      if (rest) {
        await this.#checkBased(part, rest);
        this.#rooms.give(rest);
      }
      progress.doneBytes += plainBytesOf(part);
      progress.partsDone++;
      this.#reporter.step();
    });
  }

  /** All but the frames with bases. Returns the part's bytes where there are any. Wrong bytes are asked for once more. */
  async #checkOwn(part: IndexedPart): Promise<Uint8Array | null> {
    const { store, id, signal, data: isDeep = false } = this.#options;
    const held = this.#held;
    const hasBases = isDeep && part.frames.some((frame) => frame.bases.length > 0);
    for (let attempt = 1; ; attempt++) {
      throwIfAborted(signal);
      const bytes = this.#rooms.own(await getPart(store, id, part.key, signal, this.#rooms.take));
      this.#reporter.progress.sentBytes += bytes.length;
      try {
        if (bytes.length !== part.bytes) throw partDamaged(part.key);
        const { rest } = await this.#check({ bytes, key: part.key, frames: framesOf(part), isDeep, isWanted: true });
        if (rest && held?.isNeeded(part)) held.hold(part, rest, decodeHeader(rest, this.#snapshot.keyring.cipher).open);
        if (hasBases) return rest;
        if (rest) this.#rooms.give(rest);
        return null;
      } catch (error) {
        if (attempt === 2 || !(error instanceof Stop) || error.code !== "part_damaged") throw error;
      }
    }
  }

  async #check(task: Omit<VerifyTask, "kind">): Promise<VerifyAnswer> {
    if (task.bytes.length > smallPartBytes) return this.#coders.run({ kind: "verify", ...task });
    const { primitives, cipher } = this.#snapshot.keyring;
    const room = (length: number) => new Uint8Array(length);
    return checkPart(task, { primitives, cipher, release: () => {}, keep: (bytes) => bytes, room });
  }

  async #checkBased(part: IndexedPart, bytes: Uint8Array): Promise<void> {
    const held = this.#held!;
    // What they keep is kept by the time it is wanted, and damage of theirs is said of them.
    await Promise.all([...held.partsFor(part)].map((other) => this.#begun.get(other)));
    const { open } = decodeHeader(bytes, this.#baseFrames.cipher);
    for (const [n, frame] of part.frames.entries()) {
      if (frame.bases.length === 0 || !held.isReadable(frame)) continue;
      const stored = open(n, bytes.subarray(frame.offset, frame.offset + frame.storedBytes));
      await this.#coders.run({ kind: "check", ...(await this.#baseFrames.join(frame, stored)) });
      held.done(frame);
    }
  }
}

const plainBytesOf = ({ frames }: IndexedPart) => frames.reduce((sum, frame) => sum + frame.plainBytes, 0);

function framesOf(part: IndexedPart): Uint8Array {
  const writer = new ByteWriter(4096);
  encodeFrames(writer, part.frames);
  return writer.finish();
}

async function checkFolder(
  options: VerifyOptions,
  { digest, excludes }: Manifest,
  { dataKey }: Keyring,
): Promise<void> {
  const { root, stateDir, id, signal } = options;
  if (root === undefined || stateDir === undefined) return;
  const scan = await scanDigest({ root, stateDir, id, excludes, signal, ...(dataKey ? { dataKey } : {}) });
  if (!scan.ok) throw new Stop(scan.code, scan.message, scan.retryable, scan.paths);
  if (scan.torn > 0)
    throw new Stop(
      "folder_differs",
      `${scan.torn} entries of the folder could not be read, or changed meanwhile: that it equals the snapshot is not proved.`,
      true,
    );
  if (scan.digest !== digest) throw new Stop("folder_differs", "The folder differs from the snapshot.", false);
}
