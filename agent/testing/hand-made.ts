/** Snapshots made by hand, straight from entries: what no honest writer would write. */
import { ByteWriter, latin1ToBytes, toHex } from "../../core/snapshot/bytes.ts";
import type { ChunkRef } from "../../core/snapshot/chunk-list.ts";
import { cutAll, treeChunker } from "../../core/snapshot/chunker.ts";
import { encodeFrame } from "../../core/snapshot/codec.ts";
import { formatManifest, type Manifest } from "../../core/snapshot/manifest.ts";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import { encodeSegment, type IndexedPart } from "../../core/snapshot/segment.ts";
import { manifestObjectKey, partObjectKey, type SnapshotStore } from "../../core/snapshot/store.ts";
import {
  type Entry,
  encodeHoles,
  encodeRecord,
  encodeTreeRoot,
  type FileEntry,
  isInDigest,
} from "../../core/snapshot/tree.ts";
import { nodePrimitives, sha256Hex } from "../snapshot/primitives.ts";

const common = { mode: 0o755, uid: 0, gid: 0, mtimeNs: 1_600_000_000_000_000_000n, xattrs: [] };

export const folder = (path: string, more: object = {}): Entry => ({ path, type: "d", ...common, ...more }) as Entry;
export const link = (path: string, target: string): Entry => ({ path, type: "l", target, ...common, mode: 0o777 });
export const hardLink = (path: string, target: string): Entry => ({ path, type: "h", target });
export const node = (path: string, type: "p" | "s" | "c" | "b", more: object = {}): Entry =>
  ({ path, type, rdev: 0x103, ...common, mode: 0o644, ...more }) as Entry;
export const file = (path: string, text: string, more: Partial<FileEntry> = {}): Entry => ({
  path,
  type: "f",
  ...common,
  mode: 0o644,
  size: text.length,
  chunks: text === "" ? [] : [{ id: nodePrimitives.chunkId(Buffer.from(text)), plainBytes: text.length }],
  holes: [],
  ...more,
});

export interface HandMade {
  entries: Entry[];
  /** The contents that files of the entries name. */
  texts?: string[];
  /** Parts that are in the store already. */
  parts?: IndexedPart[];
  /** Instead of the records of the entries. */
  stream?: Uint8Array;
  manifest?: Partial<Manifest>;
  seq?: number;
}

/** Writes the snapshot `id@seq` of epoch 1 with everything consistent but what `made` says otherwise. */
export async function putHandMade(store: SnapshotStore, id: string, made: HandMade): Promise<void> {
  const { entries, texts = [], seq = 1 } = made;
  const stream = made.stream ?? encodeStream(entries);
  const pieces = piecesOf(stream);
  const root = encodeTreeRoot({
    entries: entries.length,
    chunks: pieces.map((piece) => ({ ...refOf(piece), skip: 0, firstPath: "" })),
  });
  const data =
    texts.length > 0
      ? [
          await putPart(
            store,
            id,
            "data",
            texts.map((text) => Buffer.from(text)),
          ),
        ]
      : [];
  const needed = [...data, ...(made.parts ?? []), await putPart(store, id, "meta", [...pieces, root])];
  const segment = await putPart(store, id, "meta", [encodeSegment(needed)]);
  const files = entries.filter((entry) => entry.type === "f");
  const manifest: Manifest = {
    v: 1,
    instance: id,
    epoch: 1,
    seq,
    createdAt: 1_600_000_000_000,
    agent: "by hand",
    chunker: 1,
    root: { id: toHex(latin1ToBytes(nodePrimitives.chunkId(root))) },
    digest: digestOf(entries),
    segments: [segment.key],
    parts: [...needed, segment].map(({ key, bytes }) => ({ key, bytes })),
    excludes: [],
    encryption: null,
    stats: {
      entries: entries.length,
      files: files.length,
      plainBytes: files.reduce((sum, entry) => sum + entry.size, 0),
      newPlainBytes: 0,
      storedBytes: [...needed, segment].reduce((sum, part) => sum + part.bytes, 0),
      newStoredBytes: 0,
      torn: 0,
      skipped: [],
    },
    parent: null,
    ...made.manifest,
  };
  const bytes = Buffer.from(formatManifest(manifest));
  await store.put(manifestObjectKey(id, seq, 1), bytes, sha256Hex(bytes), {});
}

export function encodeStream(entries: Entry[]): Uint8Array {
  const writer = new ByteWriter();
  for (const entry of entries) {
    encodeRecord(writer, entry);
    if (entry.type === "f") encodeHoles(writer, entry.holes);
  }
  return writer.finish();
}

function digestOf(entries: Entry[]): string {
  const writer = new ByteWriter();
  for (const entry of entries) if (isInDigest(entry.type)) encodeRecord(writer, entry);
  return sha256Hex(writer.view());
}

const refOf = (bytes: Uint8Array): ChunkRef => ({ id: nodePrimitives.chunkId(bytes), plainBytes: bytes.length });

function piecesOf(stream: Uint8Array): Uint8Array[] {
  let at = 0;
  return cutAll(stream, treeChunker).map((length) => {
    at += length;
    return stream.subarray(at - length, at);
  });
}

async function putPart(
  store: SnapshotStore,
  id: string,
  kind: "data" | "meta",
  chunks: Uint8Array[],
): Promise<IndexedPart> {
  const builder = new PartBuilder(kind);
  for (const chunk of chunks) builder.add(await encodeFrame(chunk, nodePrimitives, 3), chunk.length, [refOf(chunk)]);
  return putBuilt(store, id, builder);
}

/** The part that was built, in the store. */
export async function putBuilt(store: SnapshotStore, id: string, builder: PartBuilder): Promise<IndexedPart> {
  const { bytes, table } = await builder.finish(nodePrimitives);
  const key = sha256Hex(bytes);
  await store.put(partObjectKey(id, key), bytes, key, {});
  return { key, bytes: bytes.length, frames: table.frames };
}
