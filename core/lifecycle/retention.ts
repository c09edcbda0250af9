/** Which snapshots retention lets go. Pure: the shell lists the store and deletes what is named here. */
import type { AutoHibernation } from "../protocol/config.ts";
import type { ManifestName, SnapshotKind } from "./snapshot-types.ts";

/** A manifest in the store. */
export interface StoredSnapshot extends ManifestName {
  /** When it was written, the store's clock, epoch ms. */
  at: number;
  /** Null for one that was never proved: of a sleep that was called off, or one that is under way. */
  kind: SnapshotKind | null;
}

export interface RetentionVerdict {
  gone: StoredSnapshot[];
  /** When age alone lets the next one go; null for never. */
  nextAt: number | null;
}

const dayMs = 24 * 3_600_000;

/**
 * A snapshot stays while any of these holds: something uses it; it is the newest proved one; it is among the newest
 * `keep_newest` of its kind (checkpoints are counted by themselves, so that many of them push no sleep's out); it is younger
 * than `keep_days`; it was never proved and is younger than `graceMs`, so its proof may be under way.
 */
export function judgeRetention(
  stored: readonly StoredSnapshot[],
  rules: AutoHibernation["retention"],
  inUse: readonly ManifestName[],
  graceMs: number,
  now: number,
): RetentionVerdict {
  const newestFirst = [...stored].sort((a, b) => b.seq - a.seq || b.epoch - a.epoch);
  const newestProved = newestFirst.find((one) => one.kind !== null);
  const counts = { checkpoint: 0, other: 0 };
  const daysMs = (rules.keep_days ?? 0) * dayMs;
  const verdict: RetentionVerdict = { gone: [], nextAt: null };
  for (const one of newestFirst) {
    if (one.kind !== null) {
      const rank = ++counts[one.kind === "checkpoint" ? "checkpoint" : "other"];
      if (one === newestProved || rank <= rules.keep_newest) continue;
    }
    if (inUse.some((used) => used.seq === one.seq && used.epoch === one.epoch)) continue;
    const staysUntil = one.at + (one.kind === null ? Math.max(daysMs, graceMs) : daysMs);
    if (now >= staysUntil) verdict.gone.push(one);
    else verdict.nextAt = Math.min(verdict.nextAt ?? staysUntil, staysUntil);
  }
  return verdict;
}
