/** What the tests of browsing know of how a snapshot lies in the store. */
import { env } from "cloudflare:workers";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { fromHex, latin1FromBytes } from "../../core/snapshot/bytes.ts";
import { formatManifest, type Manifest, parseManifest } from "../../core/snapshot/manifest.ts";
import { decodeFooter, decodeTable, footerBytes } from "../../core/snapshot/part.ts";
import { instancePrefix, manifestObjectKey } from "../../core/snapshot/store.ts";
import { openFile } from "../browse/file.ts";
import { sha256, zstd } from "../browse/frames.ts";
import { openSnapshot } from "../browse/open.ts";
import { Requests } from "../browse/parts.ts";

export function openAs(instance: string, seq: number) {
  const known = { rows: [], current: null };
  return openSnapshot(env.SNAPSHOTS, instance as InstanceId, seq, known, new Requests());
}

/** Where the chunks of a file lie, and how many requests to the store its download takes. */
export async function inside(instance: string, seq: number, path: string) {
  const snapshot = await openAs(instance, seq);
  const { requests } = snapshot.parts;
  const entry = await snapshot.tree.find(path);
  if (entry?.type !== "f") throw new Error(`${path} is no file`);
  const manifest = await manifestOf(instance, seq);
  const rootId = latin1FromBytes(fromHex(manifest.root.id));
  const frames = await snapshot.segments.locate([rootId, ...entry.chunks.map((chunk) => chunk.id)]);
  let at = 0;
  const places = entry.chunks.map(({ id, plainBytes }) => {
    const { part, info } = frames.get(id)!;
    at += plainBytes;
    return { part, offset: info.offset, storedBytes: info.storedBytes, at: at - plainBytes };
  });
  const root = frames.get(rootId)!;
  const before = requests.left;
  const file = await openFile(snapshot, path);
  for await (const _ of file.chunks);
  return {
    places,
    parts: new Set(places.map((place) => place.part)).size,
    requests: before - requests.left,
    treePart: { key: root.part, offset: root.info.offset },
    segmentPart: manifest.segments[0]!,
  };
}

export async function manifestOf(instance: string, seq: number): Promise<Manifest> {
  const object = await env.SNAPSHOTS.get(manifestObjectKey(instance, seq, 1));
  const parsed = parseManifest(await object!.text());
  if (!parsed.ok) throw new Error(parsed.message);
  return parsed.manifest;
}

/** A copy of a manifest under another number. */
export async function changeManifest(
  instance: string,
  seq: number,
  to: number,
  change: Partial<Manifest>,
): Promise<void> {
  const manifest = { ...(await manifestOf(instance, seq)), ...change, seq: to };
  await env.SNAPSHOTS.put(manifestObjectKey(instance, to, 1), formatManifest(manifest));
}

/** How many frames of each codec an instance has in the store; those that are coded against others once more as `based`. */
export async function codecsOf(instance: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const add = (name: string) => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const { objects } = await env.SNAPSHOTS.list({ prefix: `${instancePrefix(instance)}parts/` });
  for (const { key } of objects) {
    const bytes = new Uint8Array(await (await env.SNAPSHOTS.get(key))!.arrayBuffer());
    const footer = decodeFooter(bytes.subarray(bytes.length - footerBytes), bytes.length);
    const table = bytes.subarray(footer.tableOffset, footer.tableOffset + footer.tableBytes);
    const digest = await sha256(table);
    const { frames } = await decodeTable(table, footer, { ...zstd, sha256: () => digest });
    for (const { offset, bases } of frames) {
      add(["raw", "zstd", "planes", "zero"][bytes[offset]!]!);
      if (bases.length > 0) add("based");
    }
  }
  return counts;
}
