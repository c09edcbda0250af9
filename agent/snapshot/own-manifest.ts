/** The manifest that a run writes, and what it says of entries that no restore brings back. */
import { limits } from "../../core/snapshot/limits.ts";
import { formatManifest, type Manifest, maxSkipped, parseManifest } from "../../core/snapshot/manifest.ts";
import { manifestObjectKey, StoreError } from "../../core/snapshot/store.ts";
import type { Mount } from "../fs/mounts.ts";
import { textOfBytes } from "../fs/paths.ts";
import { sha256Hex } from "./primitives.ts";
import type { Round } from "./scan.ts";
import { Stop, throwIfAborted } from "./stop.ts";
import { type Torn, tornEntries } from "./torn.ts";
import type { SkippedPath, TakeOptions } from "./types.ts";

/** What a manifest lists. */
export type StoredTree = Pick<Manifest, "root" | "parts" | "segments">;

export interface Taken {
  round: Round;
  torn: Torn;
  stored: StoredTree;
  skipped: SkippedPath[];
  excludes: string[];
  newPlainBytes: number;
  /** Keys of the parts that this run sent. */
  sent: ReadonlySet<string>;
}

export function manifestOf(options: TakeOptions, taken: Taken): Manifest {
  const { id, epoch, seq, agentVersion, parentSeq, encryption } = options;
  const { round, torn, stored, skipped, sent } = taken;
  const { root, parts, segments } = stored;
  return {
    v: 1,
    instance: id,
    epoch,
    seq,
    createdAt: Date.now(),
    agent: agentVersion ?? "soneca-agent",
    chunker: 1,
    root,
    digest: round.digest,
    segments,
    parts,
    excludes: taken.excludes,
    encryption: encryption?.wrapped ?? null,
    stats: {
      entries: round.entries.length,
      files: round.files,
      plainBytes: round.plainBytes,
      newPlainBytes: taken.newPlainBytes,
      storedBytes: parts.reduce((sum, part) => sum + part.bytes, 0),
      newStoredBytes: parts.reduce((sum, part) => sum + (sent.has(part.key) ? part.bytes : 0), 0),
      torn: torn.count,
      skipped: encryption ? withoutPaths(skipped) : skipped,
    },
    parent: parentSeq ?? null,
  };
}

export function skippedOf(round: Round, torn: Torn, mounts: Mount[]): SkippedPath[] {
  const sealed = mounts.filter((mount) => mount.isPseudo);
  const skipped = [
    ...round.unreadable,
    ...tornEntries(torn),
    ...sealed.map(({ path, fileSystem }) => ({
      path: textOfBytes(path),
      reason: `all in it is made by ${fileSystem}`,
    })),
    ...round.sockets,
  ];
  return skipped.slice(0, maxSkipped);
}

/**
 * The manifest that is in the store then: its SHA-256 in hex, and the parts that it lists. A run that was killed after the manifest finds its own: with
 * the same digest it is this snapshot.
 */
export async function putManifest(
  manifest: Manifest,
  { store, signal }: TakeOptions,
): Promise<Pick<Manifest, "parts"> & { sha256: string }> {
  throwIfAborted(signal);
  const key = manifestObjectKey(manifest.instance, manifest.seq, manifest.epoch);
  const bytes = Buffer.from(formatManifest(manifest));
  if (bytes.length > limits.manifestBytes) throw new Stop("workspace_too_large", "The manifest is too large.", false);
  const sha256 = sha256Hex(bytes);
  try {
    await store.put(key, bytes, sha256, { signal });
    return { sha256, parts: manifest.parts };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "manifest_exists") throw error;
    const there = await store.get(key, undefined, { signal });
    const parsed = parseManifest(Buffer.from(there).toString("utf8"));
    if (!parsed.ok || !isSameSnapshot(parsed.manifest, manifest)) throw error;
    return { sha256: sha256Hex(there), parts: parsed.manifest.parts };
  }
}

function isSameSnapshot(there: Manifest, own: Manifest): boolean {
  return (
    there.digest === own.digest &&
    there.encryption?.keyId === own.encryption?.keyId &&
    there.stats.torn <= own.stats.torn
  );
}

/** Names are the owner's alone: what a manifest in clear says of an encrypted snapshot is how many, and why. */
function withoutPaths(skipped: SkippedPath[]): SkippedPath[] {
  const counts = new Map<string, number>();
  for (const { reason } of skipped) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].map(([reason, count]) => ({ path: "", reason: `${reason}: ${count}` }));
}
