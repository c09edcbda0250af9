/** A folder as it is now: one round that sends nothing and reads only what the stat cache does not know. */

import { type Mount, mountsBelow } from "../fs/mounts.ts";
import { Breather } from "./breather.ts";
import { makeExcluder, readExcludes } from "./excludes.ts";
import { Keyring, noKeys } from "./keyring.ts";
import { releaseReader } from "./read.ts";
import { type Round, scanRound } from "./scan.ts";
import { type Ground, openGround, Reporter } from "./setup.ts";
import { StatCache, statCacheFile } from "./stat-cache.ts";
import { syncAll } from "./stillness.ts";
import { failureOf } from "./stop.ts";
import type { ScanDigestOptions, ScanDigestResult } from "./types.ts";

/** Errors: throws Stop and what the file system throws. */
export async function scanFolder(options: ScanDigestOptions): Promise<Round> {
  let ground: Ground | null = null;
  try {
    ground = openGround(options.root, options.stateDir, options.id, false);
    const keyring = options.dataKey ? new Keyring(options.dataKey) : noKeys;
    const file = statCacheFile(ground.stateDir, keyring.stateName(options.id), ground.root);
    const cache = new StatCache(file, ground.root);
    const mounts = mountsBelow(ground.root);
    const reporter = new Reporter(options.onProgress);
    reporter.phase("sync");
    const stillness = await syncAll(ground.root, mounts);
    reporter.phase("scan");
    const round = await scanRound({
      folders: ground.folders,
      isExcluded: makeExcluder(readExcludes(ground.root, options.excludes ?? []), sealedBy(mounts)),
      cache,
      stillness,
      keyring,
      isCacheStored: false,
      sink: null,
      breather: new Breather(options.signal),
      counts: reporter.progress,
      onStep: reporter.step,
    });
    cache.save();
    return round;
  } finally {
    ground?.close();
    releaseReader();
  }
}

/** Its digest. Errors: throws for bugs only. */
export async function scanDigest(options: ScanDigestOptions): Promise<ScanDigestResult> {
  try {
    const round = await scanFolder(options);
    return { ok: true, digest: round.digest, torn: round.torn.length + round.unreadable.length };
  } catch (error) {
    return failureOf(error);
  }
}

/** Where a walk does not go in: /proc and its like. */
export function sealedBy(mounts: Mount[]): string[] {
  return mounts.filter((mount) => mount.isPseudo).map((mount) => mount.path);
}
