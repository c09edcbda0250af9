/** `repack`: gives back the space that lies dead inside living parts. */
import { resolve } from "node:path";
import { version } from "../../core/protocol/version.ts";
import { maxEpoch } from "../../core/snapshot/store.ts";
import { repackSnapshot } from "../snapshot/repack.ts";
import { Stop } from "../snapshot/stop.ts";
import { type Command, warnAll } from "./command.ts";
import { wholeNumber } from "./options.ts";
import { unlockWith } from "./passphrase.ts";
import { findSnapshot, stateDirOf } from "./places.ts";
import { count, size } from "./text.ts";

const defaultPercent = 60;

export const repackCommand: Command = {
  usage:
    "ID DIR --store STORE [--below PERCENT] [--dry-run] [--passphrase-file FILE] [--epoch N] [--state DIR] [--json]",
  about: "make parts anew of which the newest snapshot needs little, from DIR; gc then deletes the old ones",
  options: ["below", "dry-run", "passphrase-file", "epoch", "state"],
  least: 2,
  most: 2,
  async run({ positionals, options, output, place, signal }) {
    const [name, dir] = positionals as [string, string];
    if (name.includes("@")) throw new Stop("usage", "repack is for the newest snapshot of an ID: give no @SEQ.", false);
    const percent = wholeNumber("below", options.below, 1) ?? defaultPercent;
    if (percent > 100) throw new Stop("usage", "--below is a share of 1 to 100 percent.", false);
    const epoch = wholeNumber("epoch", options.epoch ?? process.env.SONECA_EPOCH, 1) ?? 1;
    if (epoch > maxEpoch) throw new Stop("usage", `--epoch is at most ${maxEpoch}.`, false);
    const isDryRun = options["dry-run"] === true;
    const { store, id, seq, epoch: newestEpoch } = await findSnapshot(place, name, signal);
    const result = await repackSnapshot({
      root: resolve(dir),
      id,
      epoch,
      newest: { seq, epoch: newestEpoch },
      below: percent / 100,
      isDryRun,
      store,
      stateDir: stateDirOf(options.state, place, id),
      unlock: unlockWith(options),
      agentVersion: `soneca-agent ${version}`,
      onProgress: (progress) => output.progress(progress),
      signal,
    });
    if (!result.ok) return { summary: { ...result }, text: result.message };
    const { sparse, taken } = result;
    for (const { key, bytes, liveBytes } of sparse)
      output.line(
        { type: "repack", name: key, bytes, liveBytes, isDryRun },
        `${isDryRun ? "would make anew" : "made anew"} part ${key}: ${size(liveBytes)} of ${size(bytes)} in use`,
      );
    const bytes = sparse.reduce((sum, part) => sum + part.bytes, 0);
    const liveBytes = sparse.reduce((sum, part) => sum + part.liveBytes, 0);
    const newStoredBytes = taken?.stats.newStoredBytes ?? 0;
    const snapshotId = `${id}@${taken?.seq ?? seq}`;
    const summary = { ok: true, snapshotId, isDryRun, parts: sparse.length, bytes, liveBytes, newStoredBytes };
    if (sparse.length === 0)
      return { summary, text: `nothing to gain: ${percent} % or more of each part of ${snapshotId} is in use` };
    const parts = count(sparse.length, "part");
    if (!taken)
      return { summary, text: `would make ${parts} of ${size(bytes)} anew; ${size(liveBytes)} of them are in use` };
    warnAll(output, taken.stats.degraded, taken.stats.skipped);
    const { digest, manifestSha256, stats } = taken;
    const lines = [
      `repacked into ${snapshotId}: ${parts} of ${size(bytes)} became ${size(newStoredBytes)}, ${(stats.wallMs / 1000).toFixed(1)} s`,
      `  \`gc ${id}\` deletes the old ones when no snapshot lists them any more`,
      `  digest ${digest}`,
    ];
    return { summary: { ...summary, epoch, digest, manifestSha256 }, text: lines.join("\n") };
  },
};
