/**
 * What the last snapshot of this machine listed. Where the workspace is exactly as it was then, its tree, its segments and
 * its parts are the same: nothing has to be packed to find that out. Lost or damaged: they are made again.
 */
import * as z from "zod";
import { type Manifest, manifestSchema } from "../../core/snapshot/manifest.ts";
import { readState, writeState } from "./state-file.ts";

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
  const known = cache === null ? null : readState(file, knownTreeSchema);
  return known?.cache === cache ? known : null;
}

/** `cache`: null where none was saved. */
export function writeTreeBook(file: string, cache: string | null, manifest: Manifest): void {
  if (cache === null) return;
  const { digest, root, segments, parts } = manifest;
  const known: KnownTree = { cache, digest, root, segments, parts };
  writeState(file, known);
}
