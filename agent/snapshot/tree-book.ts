/**
 * What the last snapshot of this machine listed. Where the workspace is exactly as it was then, its tree, its segments and
 * its parts are the same: nothing has to be packed to find that out. Lost or damaged: they are made again.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import * as z from "zod";
import { type Manifest, manifestSchema } from "../../core/snapshot/manifest.ts";

const knownTreeSchema = z.strictObject({
  /** Of the stat cache: all that the tree is made of, what its digest leaves out as well. */
  cache: z.string(),
  digest: manifestSchema.shape.digest,
  root: manifestSchema.shape.root,
  segments: manifestSchema.shape.segments,
  parts: manifestSchema.shape.parts,
});
export type KnownTree = z.infer<typeof knownTreeSchema>;

/** `id`: names the key as well where there is one. */
export function treeBookFile(stateDir: string, id: string): string {
  return `${stateDir}/tree-${id}.json`;
}

/** The tree that was stored with this cache; its parts hold every chunk that the cache knows. Null: another was the last. */
export function readTreeBook(file: string, cache: string | null): KnownTree | null {
  if (cache === null) return null;
  try {
    const known = knownTreeSchema.parse(JSON.parse(readFileSync(file, "utf8")));
    return known.cache === cache ? known : null;
  } catch {
    return null;
  }
}

/** A book that cannot be written is no error: the next snapshot packs its tree. `cache`: null where none was saved. */
export function writeTreeBook(file: string, cache: string | null, manifest: Manifest): void {
  if (cache === null) return;
  const { digest, root, segments, parts } = manifest;
  try {
    const known: KnownTree = { cache, digest, root, segments, parts };
    writeFileSync(`${file}.new`, JSON.stringify(known), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch {
    rmSync(`${file}.new`, { force: true });
  }
}
