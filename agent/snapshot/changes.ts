/** How much of a folder changed since the stat cache was written: one walk, and no file is read. */
import { mountsBelow } from "../fs/mounts.ts";
import { Breather } from "./breather.ts";
import { makeExcluder, readExcludes } from "./excludes.ts";
import { noKeys } from "./keyring.ts";
import { hasStamp, stampFields } from "./rows.ts";
import { sealedBy } from "./scan-folder.ts";
import { type Ground, openGround } from "./setup.ts";
import { StatCache, statCacheFile } from "./stat-cache.ts";
import { syncAll } from "./stillness.ts";
import { failureOf } from "./stop.ts";
import type { ChangesResult, ScanDigestOptions } from "./types.ts";
import { walk } from "./walk.ts";

/**
 * `bytes`: the whole size of each file that is new or differs. An entry that is gone counts as one, and so does one that
 * the cache leaves out because it had changed right before it was read. Errors: throws for bugs only.
 */
export async function findChanges(options: Omit<ScanDigestOptions, "dataKey" | "onProgress">): Promise<ChangesResult> {
  let ground: Ground | null = null;
  try {
    ground = openGround(options.root, options.stateDir, options.id, false);
    const cache = new StatCache(statCacheFile(ground.stateDir, noKeys.stateName(options.id), ground.root), ground.root);
    const mounts = mountsBelow(ground.root);
    // What was written through a mapping shows in the times only then.
    await syncAll(ground.root, mounts);
    const isExcluded = makeExcluder(readExcludes(ground.root, options.excludes ?? []), sealedBy(mounts));
    const breather = new Breather(options.signal);
    const walked = await walk(ground.folders, isExcluded, breather, () => {});
    const names = new Set<string>();
    let [known, changed, bytes] = [0, walked.unreadable.length, 0];
    for (let n = 0; n < walked.paths.length; n++) {
      if (breather.due) await breather.rest();
      const inode = walked.inodes.get(n);
      // A further name of an inode: with it the inode's own times changed.
      if (inode !== undefined && names.has(inode)) continue;
      if (inode !== undefined) names.add(inode);
      const row = cache.get(walked.paths[n]!);
      if (row) known++;
      if (row && hasStamp(row, walked.stamps, n * stampFields)) continue;
      changed++;
      if (walked.typeAt(n) === "f") bytes += walked.sizeAt(n);
    }
    return { ok: true, entries: changed + (cache.size - known), bytes };
  } catch (error) {
    return failureOf(error);
  } finally {
    ground?.close();
  }
}
