/** `snapshot`, `restore`, `verify`: the commands that move bytes. */
import { basename, resolve } from "node:path";
import { version } from "../../core/protocol/version.ts";
import { maxEpoch } from "../../core/snapshot/store.ts";
import { restoreSnapshot } from "../snapshot/restore.ts";
import { Stop } from "../snapshot/stop.ts";
import { takeSnapshot } from "../snapshot/take.ts";
import { verifySnapshot } from "../snapshot/verify.ts";
import { type Command, warnAll, withMirror } from "./command.ts";
import { wholeNumber } from "./options.ts";
import { encryptionOfNext, unlockWith } from "./passphrase.ts";
import { checkId, findSnapshot, listSnapshots, openPlace, stateDirOf } from "./places.ts";
import { count, size } from "./text.ts";

export const snapshotCommand: Command = {
  usage:
    "DIR --store STORE [--id ID] [--exclude GLOB]... [--encrypt | --no-encrypt] [--passphrase-file FILE] [--mirror STORE] [--epoch N] [--state DIR] [--json]",
  about: "store DIR as the next snapshot of ID (the folder's name by default)",
  options: ["id", "exclude", "encrypt", "no-encrypt", "passphrase-file", "mirror", "epoch", "state"],
  least: 1,
  most: 1,
  async run(context) {
    const { positionals, options, output, place, signal } = context;
    const root = resolve(positionals[0]!);
    const id = options.id ?? process.env.SONECA_INSTANCE ?? basename(root);
    checkId(id);
    const epoch = wholeNumber("epoch", options.epoch ?? process.env.SONECA_EPOCH, 1) ?? 1;
    if (epoch > maxEpoch) throw new Stop("usage", `--epoch is at most ${maxEpoch}.`, false);
    const { store, mirror } = withMirror(context, openPlace(place, id), id);
    const stateDir = stateDirOf(options.state, place, id);
    const snapshots = await listSnapshots(store, id, signal);
    const encryption = await encryptionOfNext(options, { store, id, snapshots, stateDir, signal });
    const newest = snapshots.at(-1);
    const seq = (newest?.seq ?? 0) + 1;
    const result = await takeSnapshot({
      root,
      id,
      epoch,
      seq,
      store,
      stateDir,
      excludes: options.exclude ?? [],
      agentVersion: `soneca-agent ${version}`,
      onProgress: (progress) => output.progress(progress),
      signal,
      ...(encryption ? { encryption } : {}),
      ...(newest ? { parentSeq: newest.seq } : {}),
    });
    if (!result.ok) return { summary: { ...result }, text: result.message };
    const { stats } = result;
    warnAll(output, stats.degraded, stats.skipped);
    const isWhole = stats.torn === 0;
    const message = `The snapshot was made, but ${count(stats.torn, "entry", "entries")} changed while being read or could not be read.`;
    const summary = {
      ok: isWhole,
      ...(isWhole ? {} : { code: "snapshot_incomplete", message }),
      snapshotId: `${id}@${seq}`,
      epoch,
      digest: result.digest,
      manifestSha256: result.manifestSha256,
      isEncrypted: encryption !== undefined,
      ...stats,
      ...(mirror ? { mirror } : {}),
    };
    const lines = [
      `snapshot ${id}@${seq}${encryption ? ", encrypted" : ""}`,
      `  ${count(stats.entries, "entry", "entries")}, ${count(stats.files, "file")}, ${size(stats.plainBytes)}, stored in ${size(stats.storedBytes)}`,
      `  new: ${size(stats.newPlainBytes)} as ${size(stats.newStoredBytes)} in ${count(stats.newParts, "part")}, ${(stats.wallMs / 1000).toFixed(1)} s`,
      `  digest ${result.digest}`,
    ];
    return { summary, text: isWhole ? lines.join("\n") : `${message} It is ${id}@${seq}.` };
  },
};

export const restoreCommand: Command = {
  usage:
    "ID[@SEQ] DIR --store STORE [--only GLOB]... [--delete] [--no-owner] [--partial] [--passphrase-file FILE] [--mirror STORE] [--state DIR] [--json]",
  about: "make DIR equal to the snapshot; with --only just what fits, with its parent folders",
  options: ["only", "delete", "no-owner", "partial", "passphrase-file", "mirror", "state"],
  least: 2,
  most: 2,
  async run(context) {
    const { positionals, options, output, place, signal } = context;
    const { only } = options;
    if (only && options.delete)
      throw new Stop("usage", "--delete with --only would delete all that was not asked for.", false);
    const { store: main, id, seq, epoch } = await findSnapshot(place, positionals[0]!, signal);
    const { store, mirror } = withMirror(context, main, id);
    const result = await restoreSnapshot({
      id,
      seq,
      epoch,
      root: resolve(positionals[1]!),
      store,
      stateDir: stateDirOf(options.state, place, id),
      deleteExtras: options.delete === true,
      owner: options["no-owner"] !== true,
      partial: options.partial === true,
      ...(only ? { only } : {}),
      unlock: unlockWith(options),
      onProgress: (progress) => output.progress(progress),
      signal,
    });
    if (!result.ok) {
      const { lost, ...failure } = result;
      warnAll(output, [], lost ?? []);
      return { summary: { ...failure, ...(lost ? { lost: lost.length, digest: null } : {}) }, text: failure.message };
    }
    const { stats, digest } = result;
    warnAll(output, stats.degraded, stats.skipped);
    const summary = {
      ok: true,
      snapshotId: `${id}@${seq}`,
      epoch,
      digest: only ? null : digest,
      ...stats,
      ...(mirror ? { mirror } : {}),
    };
    const lines = [
      `restored ${id}@${seq}: ${count(stats.entries, "entry", "entries")}, ${size(stats.plainBytes)}`,
      `  ${size(stats.reusedBytes)} were there, ${size(stats.receivedBytes)} received, ${(stats.wallMs / 1000).toFixed(1)} s`,
      ...(stats.extras > 0
        ? [`  ${count(stats.extras, "other entry", "other entries")} left in place (--delete removes them)`]
        : []),
      ...(stats.disowned > 0
        ? [`  ${count(stats.disowned, "entry", "entries")} with another owner, as asked for`]
        : []),
      only || stats.disowned > 0 ? "  each entry checked" : `  digest ${digest}: equal`,
    ];
    return { summary, text: lines.join("\n") };
  },
};

export const verifyCommand: Command = {
  usage: "ID[@SEQ] [DIR] --store STORE [--data] [--passphrase-file FILE] [--state DIR] [--json]",
  about: "prove every stored byte; --data: decode each chunk too; with DIR also that DIR equals the snapshot",
  options: ["state", "data", "passphrase-file"],
  least: 1,
  most: 2,
  async run({ positionals, options, output, place, signal }) {
    const [name, dir] = positionals;
    const { store, id, seq, epoch } = await findSnapshot(place, name!, signal);
    const folder = dir === undefined ? {} : { root: resolve(dir), stateDir: stateDirOf(options.state, place, id) };
    const onProgress = output.progress.bind(output);
    const unlock = unlockWith(options);
    const data = options.data === true;
    const result = await verifySnapshot({ id, seq, epoch, store, data, unlock, onProgress, signal, ...folder });
    if (!result.ok) return { summary: { ...result }, text: result.message };
    const { parts, storedBytes, entries, chunks, digest } = result;
    const lines = [
      `${id}@${seq} is whole: ${count(entries, "entry", "entries")}, digest ${digest}`,
      `  every byte of ${count(parts, "part")}, ${size(storedBytes)}, is the one that was stored`,
      data
        ? `  each of ${count(chunks, "chunk")} decoded and checked`
        : `  ${count(chunks, "chunk")} in their tables, not decoded (--data does)`,
      ...(dir === undefined ? [] : [`  ${dir} equals it`]),
    ];
    return { summary: { ...result, snapshotId: `${id}@${seq}`, epoch }, text: lines.join("\n") };
  },
};
