/** Writes what describes the data: the tree's chunks, its root, and the index segments; and reads them back. */
import { ByteReader, ByteWriter, fromHex, latin1FromBytes } from "../../core/snapshot/bytes.ts";
import type { ChunkRef } from "../../core/snapshot/chunk-list.ts";
import { findCut, treeChunker } from "../../core/snapshot/chunker.ts";
import { damaged } from "../../core/snapshot/error.ts";
import { limits } from "../../core/snapshot/limits.ts";
import { type Manifest, parseManifest } from "../../core/snapshot/manifest.ts";
import { openFrame } from "../../core/snapshot/open-frame.ts";
import { decodeHeader, decodePart } from "../../core/snapshot/part.ts";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import { decodeSegment, encodeSegment, type IndexedPart } from "../../core/snapshot/segment.ts";
import {
  type CallOptions,
  manifestObjectKey,
  partObjectKey,
  type SnapshotStore,
  StoreError,
} from "../../core/snapshot/store.ts";
import {
  decodeEntry,
  decodeTreeRoot,
  type Entry,
  encodeRecord,
  encodeTreeRoot,
  isInDigest,
  TreeChecker,
  type TreeChunk,
} from "../../core/snapshot/tree.ts";
import { Breather } from "./breather.ts";
import { partDamaged } from "./check-part.ts";
import { ChunkIndex } from "./chunk-index.ts";
import type { CoderPool } from "./coder-pool.ts";
import { forEachInFlight } from "./in-flight.ts";
import { type Keyring, openKeyring, type Unlock } from "./keyring.ts";
import { type Packer, zstdLevel } from "./packer.ts";
import { nodePrimitives, sha256Hex } from "./primitives.ts";
import type { RowList } from "./row-list.ts";
import { pathOf, type Row, streamOf } from "./rows.ts";
import type { KnownSegment } from "./segment-book.ts";
import { Stop } from "./stop.ts";
import { TreeEntries } from "./tree-entries.ts";

/** Adds the tree of these entries to `packer`. Returns the ids of its chunks, the root's last. */
export async function packTree(entries: RowList, packer: Packer, keyring: Keyring): Promise<string[]> {
  const cutter = new TreeCutter(packer, keyring);
  for (const entry of entries) await cutter.add(entry);
  const chunks = await cutter.finish();
  if (cutter.bytes > limits.treeBytes)
    throw new Stop(
      "workspace_too_large",
      `The tree needs ${cutter.bytes} bytes; the most is ${limits.treeBytes}.`,
      false,
    );
  const root = encodeTreeRoot({ entries: entries.length, chunks });
  if (root.length > limits.chunkBytes)
    throw new Stop("workspace_too_large", "The tree's root does not fit into one chunk.", false);
  const rootId = keyring.idOf(root);
  if (!packer.has(rootId)) await packer.add(rootId, root);
  return [...chunks.map((chunk) => chunk.id), rootId];
}

class TreeCutter {
  readonly #packer: Packer;
  readonly #keyring: Keyring;
  readonly #pending = new ByteWriter(2 * treeChunker.max);
  readonly #starts: { at: number; row: Row }[] = [];
  readonly #chunks: TreeChunk[] = [];
  /** Stream offset of the first pending byte. */
  #base = 0;

  constructor(packer: Packer, keyring: Keyring) {
    this.#packer = packer;
    this.#keyring = keyring;
  }

  async add(row: Row): Promise<void> {
    this.#starts.push({ at: this.#base + this.#pending.length, row });
    this.#pending.bytes(streamOf(row));
    if (this.#pending.length >= 4 * treeChunker.max) await this.#cut(false);
  }

  /** Of the whole stream, after `finish`. */
  get bytes(): number {
    return this.#base;
  }

  async finish(): Promise<TreeChunk[]> {
    await this.#cut(true);
    return this.#chunks;
  }

  async #cut(isLast: boolean): Promise<void> {
    // No copy: packTree is the only one who writes to it, and it waits.
    const bytes = this.#pending.view();
    let at = 0;
    for (;;) {
      const length = at < bytes.length ? findCut(bytes, at, bytes.length, isLast, treeChunker) : 0;
      if (length === 0) break;
      await this.#emit(bytes.subarray(at, at + length), this.#base + at);
      at += length;
    }
    this.#base += at;
    this.#pending.forget(at);
  }

  async #emit(bytes: Uint8Array, offset: number): Promise<void> {
    const end = offset + bytes.length;
    const first = this.#starts[0] && this.#starts[0].at < end ? this.#starts[0] : null;
    const id = this.#keyring.idOf(bytes);
    this.#chunks.push({
      id,
      plainBytes: bytes.length,
      skip: first ? first.at - offset : bytes.length,
      firstPath: first ? pathOf(first.row) : "",
    });
    const inNext = this.#starts.findIndex((start) => start.at >= end);
    this.#starts.splice(0, inNext < 0 ? this.#starts.length : inNext);
    if (!this.#packer.has(id)) await this.#packer.add(id, bytes);
  }
}

const segmentTargetBytes = 24 * 1024 * 1024;

/** A part that holds one segment. `describes`: keys of the parts in it. */
export interface SegmentPart {
  part: IndexedPart;
  bytes: Uint8Array;
  describes: string[];
}

/** The segment parts for these parts: few, each with as many parts as its size allows. */
export async function buildSegmentParts(
  parts: IndexedPart[],
  coders: CoderPool,
  keyring: Keyring,
): Promise<SegmentPart[]> {
  const groups: IndexedPart[][] = [[]];
  let size = 0;
  for (const part of parts) {
    const guess = part.frames.reduce((sum, frame) => sum + 12 + frame.chunks.length * 36, 48);
    if (size > 0 && size + guess > segmentTargetBytes) {
      groups.push([]);
      size = 0;
    }
    groups.at(-1)!.push(part);
    size += guess;
  }
  return Promise.all(groups.map((group) => buildSegmentPart(group, coders, keyring)));
}

async function buildSegmentPart(parts: IndexedPart[], coders: CoderPool, keyring: Keyring): Promise<SegmentPart> {
  const segment = encodeSegment(parts);
  const builder = new PartBuilder("meta", keyring.cipher);
  for (let at = 0; at < segment.length; at += limits.framePackBytes) {
    const piece = segment.subarray(at, at + limits.framePackBytes);
    const buffer = new SharedArrayBuffer(piece.length + 64);
    new Uint8Array(buffer).set(piece);
    const { storedBytes } = await coders.run({ kind: "encode", buffer, plainBytes: piece.length, level: zstdLevel });
    builder.add(new Uint8Array(buffer, 0, storedBytes), piece.length, [
      { id: keyring.idOf(piece), plainBytes: piece.length },
    ]);
  }
  const { bytes, table } = await builder.finish(nodePrimitives);
  return {
    bytes,
    describes: parts.map((part) => part.key),
    part: { key: sha256Hex(bytes), bytes: bytes.length, frames: table.frames },
  };
}

export interface LoadedSnapshot {
  manifest: Manifest;
  manifestSha256: string;
  /** Opens its parts and names its chunks. */
  keyring: Keyring;
  index: ChunkIndex;
  segments: KnownSegment[];
}

/** The manifest by itself. Errors: Stop `manifest_invalid`, `snapshot_format_unknown`. */
export async function readManifest(
  store: SnapshotStore,
  id: string,
  seq: number,
  epoch: number,
  signal?: AbortSignal,
): Promise<{ manifest: Manifest; manifestSha256: string }> {
  const bytes = await store.get(manifestObjectKey(id, seq, epoch), undefined, { signal });
  const parsed = bytes.length > limits.manifestBytes ? null : parseManifest(Buffer.from(bytes).toString("utf8"));
  if (!parsed) throw new Stop("manifest_invalid", "The manifest is too large.", false);
  if (!parsed.ok) throw new Stop(parsed.code, `${parsed.message}.`, false);
  const { manifest } = parsed;
  if (manifest.instance !== id || manifest.seq !== seq || manifest.epoch !== epoch) {
    throw new Stop("manifest_invalid", "The manifest is of another snapshot than its name says.", false);
  }
  return { manifest, manifestSha256: sha256Hex(bytes) };
}

/** Manifest and segments, checked against each other. Errors: also Stop `key_missing`, `key_wrong`, and what `unlock` throws. */
export async function loadSnapshot(
  store: SnapshotStore,
  id: string,
  seq: number,
  epoch: number,
  signal?: AbortSignal,
  unlock?: Unlock,
): Promise<LoadedSnapshot> {
  const { manifest, manifestSha256 } = await readManifest(store, id, seq, epoch, signal);
  const keyring = await openKeyring(manifest.encryption, unlock);
  const index = new ChunkIndex();
  const sizes = new Map(manifest.parts.map((part) => [part.key, part.bytes]));
  const segments: KnownSegment[] = [];
  for (const key of manifest.segments) {
    const bytes = sizes.get(key) ?? -1;
    const described = await loadSegment(store, id, key, bytes, keyring, signal);
    segments.push({ key, bytes, parts: described.map((part) => part.key) });
    for (const part of described) {
      // A part that the manifest does not list is no part of this snapshot.
      if (sizes.get(part.key) === part.bytes) index.add(part);
    }
  }
  return { manifest, manifestSha256, keyring, index, segments };
}

async function loadSegment(
  store: SnapshotStore,
  id: string,
  key: string,
  size: number,
  keyring: Keyring,
  signal?: AbortSignal,
): Promise<IndexedPart[]> {
  const bytes = await fetchPart(store, id, key, size, signal);
  const { primitives, cipher } = keyring;
  const { kind, table, open } = await decodePart(bytes, primitives, cipher);
  if (kind !== "meta") throw damaged("a segment lies in a part for data");
  const total = table.frames.reduce((sum, frame) => sum + frame.plainBytes, 0);
  if (total > limits.segmentBytes) throw damaged("a segment is too large");
  const pieces: Uint8Array[] = [];
  for (const [n, frame] of table.frames.entries()) {
    const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
    pieces.push(...(await openFrame(stored, frame, primitives, n, open)));
  }
  return decodeSegment(Buffer.concat(pieces));
}

/** A whole part with the SHA-256 of its name. Wrong bytes are asked for once more. Errors: Stop `part_missing`, `part_damaged`. */
async function fetchPart(
  store: SnapshotStore,
  id: string,
  key: string,
  size: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  for (let attempt = 1; ; attempt++) {
    const bytes = await getPart(store, id, key, signal);
    if (bytes.length === size && sha256Hex(bytes) === key) return bytes;
    if (attempt === 2) throw partDamaged(key);
  }
}

/** Unchecked. Errors: Stop `part_missing`. */
export async function getPart(
  store: SnapshotStore,
  id: string,
  key: string,
  signal?: AbortSignal,
  room?: CallOptions["room"],
): Promise<Uint8Array> {
  try {
    return await store.get(partObjectKey(id, key), undefined, { signal, room });
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "object_not_found") throw error;
    throw new Stop("part_missing", `The store has lost the part ${key}.`, false);
  }
}

/**
 * All entries, checked: ids by hash, order, paths, the digest, and that every chunk lies in a listed part, as long as its
 * file says. `onEntry` is told of each before the digest is known.
 */
export async function loadTree(
  store: SnapshotStore,
  snapshot: LoadedSnapshot,
  concurrency: number,
  signal: AbortSignal | undefined,
  onEntry: (entry: Entry) => void = () => {},
): Promise<TreeEntries> {
  const { index, manifest } = snapshot;
  const rootId = latin1FromBytes(fromHex(manifest.root.id));
  let root = { entries: 0, chunks: [] as TreeChunk[] };
  await fetchChunks(store, snapshot, [rootId], concurrency, signal, (_, bytes) => {
    root = decodeTreeRoot(bytes);
  });
  const stream = await fetchStream(store, snapshot, root.chunks, concurrency, signal);
  const breather = new Breather(signal);
  const hasher = nodePrimitives.newSha256();
  const writer = new ByteWriter(1 << 18);
  const reader = new ByteReader(stream, "tree");
  const entries = new TreeEntries(stream);
  const checker = new TreeChecker((path) => entries.typeOf(path));
  while (reader.left > 0) {
    if (breather.due) await breather.rest();
    const start = reader.at;
    const entry = decodeEntry(reader);
    checker.check(entry);
    entries.add(start);
    if (entry.type === "f") for (const chunk of entry.chunks) checkFound(chunk, index);
    onEntry(entry);
    if (!isInDigest(entry.type)) continue;
    encodeRecord(writer, entry);
    if (writer.length < 1 << 17) continue;
    hasher.update(writer.view());
    writer.clear();
  }
  hasher.update(writer.view());
  if (entries.length === 0) throw damaged("the tree is empty");
  if (entries.length !== root.entries) throw damaged("the tree does not have as many entries as its root says");
  if (Buffer.from(hasher.digest()).toString("hex") !== manifest.digest)
    throw damaged("the tree does not have the digest of its manifest");
  return entries;
}

function checkFound({ id, plainBytes }: ChunkRef, index: ChunkIndex): void {
  const found = index.plainBytesOf(id);
  if (found === undefined) throw damaged("a chunk of a file lies in no listed part");
  if (found !== plainBytes) throw damaged("a chunk of a file has another length in its part");
}

async function fetchStream(
  store: SnapshotStore,
  snapshot: LoadedSnapshot,
  chunks: TreeChunk[],
  concurrency: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const places = new Map<string, { at: number; plainBytes: number }[]>();
  let length = 0;
  for (const { id, plainBytes } of chunks) {
    const known = places.get(id);
    if (known) known.push({ at: length, plainBytes });
    else places.set(id, [{ at: length, plainBytes }]);
    length += plainBytes;
  }
  const stream = Buffer.allocUnsafeSlow(length);
  await fetchChunks(store, snapshot, places.keys(), concurrency, signal, (id, piece) => {
    for (const { at, plainBytes } of places.get(id)!) {
      if (piece.length !== plainBytes) throw damaged("the tree root has a wrong size for a chunk");
      stream.set(piece, at);
    }
  });
  return stream;
}

/** Every one of `ids` is given to `onChunk`, once or more often; its bytes are valid only during the call. */
async function fetchChunks(
  store: SnapshotStore,
  snapshot: LoadedSnapshot,
  ids: Iterable<string>,
  concurrency: number,
  signal: AbortSignal | undefined,
  onChunk: (id: string, bytes: Uint8Array) => void,
): Promise<void> {
  const { index, manifest, keyring } = snapshot;
  const wanted = new Set(ids);
  const parts = new Set<number>();
  for (const id of wanted) {
    const part = index.partOf(id);
    if (part === undefined) throw damaged("a chunk of the tree lies in no listed part");
    parts.add(part);
  }
  await forEachInFlight([...parts], concurrency, async (n) => {
    const part = index.parts[n]!;
    const bytes = await fetchPart(store, manifest.instance, part.key, part.bytes, signal);
    const { open } = decodeHeader(bytes, keyring.cipher);
    for (const [n, frame] of part.frames.entries()) {
      if (!frame.chunks.someId((id) => wanted.has(id))) continue;
      const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
      const chunks = await openFrame(stored, frame, keyring.primitives, n, open);
      for (const [i, chunk] of chunks.entries()) {
        const id = frame.chunks.idAt(i);
        if (wanted.has(id)) onChunk(id, chunk);
      }
    }
  });
}
