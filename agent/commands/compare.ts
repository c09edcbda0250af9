/** `diff` and `gc`. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { isInstanceName } from "../../core/snapshot/store.ts";
import { textOfBytes } from "../fs/paths.ts";
import { SnapshotBrowser } from "../snapshot/browse.ts";
import { diffTrees, folderSource, snapshotSource, type TreeChange, type TreeSource } from "../snapshot/diff.ts";
import { collectGarbage } from "../snapshot/gc.ts";
import type { Unlock } from "../snapshot/keyring.ts";
import { Stop } from "../snapshot/stop.ts";
import { sweepLeftovers } from "../snapshot/store-folder.ts";
import type { Command, Context } from "./command.ts";
import { wholeNumber } from "./options.ts";
import { unlockWith } from "./passphrase.ts";
import { checkId, findSnapshot, mustExist, openPlace, stateDirOf } from "./places.ts";
import { count, pathFields, printable, size } from "./text.ts";

export const diffCommand: Command = {
  usage: "A B --store STORE [--exclude GLOB]... [--passphrase-file FILE] [--state DIR] [--json]",
  about: "what changed from A to B; each is ID@SEQ, ID or a folder",
  options: ["exclude", "passphrase-file", "state"],
  least: 2,
  most: 2,
  async run(context) {
    const { positionals, output, signal } = context;
    const sides = positionals.map((text) => (isFolder(text) ? { folder: resolve(text) } : { name: text }));
    const unlock = unlockWith(context.options);
    const browsers = await Promise.all(
      sides.map(({ name }) => (name === undefined ? null : openSnapshot(context, name, unlock))),
    );
    checkKeys(browsers);
    // A folder is looked at as the snapshot beside it was taken.
    const other = browsers.find((browser) => browser !== null);
    const sources: TreeSource[] = [];
    for (const [i, { folder }] of sides.entries()) {
      const browser = browsers[i];
      sources.push(browser ? snapshotSource(browser) : await openFolder(context, folder!, other ?? null));
    }
    const [before, after] = sources as [TreeSource, TreeSource];
    for (const source of sources) for (const { path, reason } of source.unsure) output.warning({ path, reason });
    const counts = { added: 0, removed: 0, changed: 0, addedBytes: 0, removedBytes: 0 };
    if (before.digest !== after.digest) {
      for await (const change of diffTrees(before, after)) {
        if (signal.aborted) throw new Stop("aborted", "The comparison was interrupted.", true);
        counts[change.change]++;
        if (change.change === "added") counts.addedBytes += change.bytesAfter;
        if (change.change === "removed") counts.removedBytes += change.bytesBefore;
        output.line(changeFields(change), changeLine(change));
      }
    }
    const names = browsers.map((browser, i) =>
      browser ? `${browser.manifest.instance}@${browser.manifest.seq}` : sides[i]!.folder,
    );
    const unsure = sources.reduce((sum, source) => sum + source.unsure.length, 0);
    const isAlike = counts.added + counts.removed + counts.changed === 0;
    const isEqual = isAlike && unsure === 0;
    const alike = isEqual
      ? `${names[0]} and ${names[1]} are equal`
      : `no difference is seen, but ${unsure} entries could not be read, or changed meanwhile`;
    const text = isAlike
      ? alike
      : `${counts.added} added (${size(counts.addedBytes)}), ${counts.removed} removed (${size(counts.removedBytes)}), ${counts.changed} changed`;
    return { summary: { ok: true, a: names[0], b: names[1], isEqual, unsure, ...counts }, text };
  },
};

/** ID@SEQ is never a folder; another name is one where a folder of that name is there. */
function isFolder(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (at > 0 && isInstanceName(text.slice(0, at)) && !text.includes("/")) return false;
  if (text.includes("/") || text === "." || text === "..") return true;
  return statSync(text, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Contents are compared by their ids, and those are of the key. Errors: Stop `not_comparable`. */
function checkKeys(browsers: (SnapshotBrowser | null)[]): void {
  const keys = browsers.flatMap((browser) => (browser ? [browser.manifest.encryption?.keyId ?? null] : []));
  if (keys.length < 2 || keys[0] === keys[1]) return;
  throw new Stop(
    "not_comparable",
    "The two snapshots have different keys, or one is not encrypted; compare each with a folder instead.",
    false,
  );
}

async function openSnapshot({ place, signal }: Context, name: string, unlock: Unlock): Promise<SnapshotBrowser> {
  const { store, id, seq, epoch } = await findSnapshot(place, name, signal);
  return SnapshotBrowser.open(store, id, seq, epoch, signal, unlock);
}

function openFolder({ options, output, place, signal }: Context, root: string, other: SnapshotBrowser | null) {
  const id = other?.manifest.instance ?? "diff";
  const excludes = [...(other?.manifest.excludes ?? []), ...(options.exclude ?? [])];
  const onProgress = output.progress.bind(output);
  const stateDir = stateDirOf(options.state, place, id);
  const key = other?.dataKey ? { dataKey: other.dataKey } : {};
  return folderSource({ root, id, stateDir, excludes, onProgress, signal, ...key });
}

function changeFields(change: TreeChange): Record<string, unknown> {
  const { path, type, what, bytesBefore, bytesAfter } = change;
  return { type: "change", change: change.change, ...pathFields(path), entryType: type, what, bytesBefore, bytesAfter };
}

function changeLine({ change, path, type, what }: TreeChange): string {
  const sign = { added: "+", removed: "-", changed: "M" }[change];
  const shown = printable(textOfBytes(path)) || ".";
  return `${sign} ${shown}${type === "d" && path !== "" ? "/" : ""}${what.length > 0 ? `  (${what.join(", ")})` : ""}`;
}

const hourMs = 3_600_000;

export const gcCommand: Command = {
  usage: "ID --store STORE [--keep N] [--older-than HOURS] [--dry-run] [--json]",
  about: "delete parts that no snapshot of ID needs; with --keep also all but the N newest snapshots",
  options: ["keep", "older-than", "dry-run"],
  least: 1,
  most: 1,
  async run({ positionals, options, output, place, signal }) {
    const id = positionals[0]!;
    checkId(id);
    mustExist(place);
    const isDryRun = options["dry-run"] === true;
    const graceMs = (wholeNumber("older-than", options["older-than"], 0) ?? 24) * hourMs;
    const now = Date.now();
    const result = await collectGarbage({
      store: openPlace(place, id),
      id,
      keep: wholeNumber("keep", options.keep, 1),
      graceMs,
      isDryRun,
      now,
      signal,
      onDelete: ({ kind, name, bytes }) =>
        output.line(
          { type: "delete", kind, name, bytes, isDryRun },
          `${isDryRun ? "would delete" : "deleted"} ${kind} ${name}, ${size(bytes)}`,
        ),
    });
    const { manifestsDeleted, manifestsKept, partsDeleted, partsKept, partsInGrace, bytesKept } = result;
    const leftovers =
      place.kind === "folder" ? await sweepLeftovers(place.path, id, now - graceMs, isDryRun) : { files: 0, bytes: 0 };
    if (manifestsKept + manifestsDeleted + partsKept + partsDeleted + leftovers.files === 0)
      throw new Stop("snapshot_not_found", `The store has nothing of ${id}.`, false);
    const bytesDeleted = result.bytesDeleted + leftovers.bytes;
    const text = [
      `${isDryRun ? "would free" : "freed"} ${size(bytesDeleted)}: ${count(manifestsDeleted, "snapshot")}, ${count(partsDeleted, "part")}${leftovers.files > 0 ? `, ${count(leftovers.files, "unfinished file")}` : ""}`,
      `  kept ${size(bytesKept)}: ${count(manifestsKept, "snapshot")}, ${count(partsKept, "part")}${partsInGrace > 0 ? `, ${partsInGrace} of them unused but too young` : ""}`,
    ];
    return {
      summary: { ok: true, id, isDryRun, ...result, bytesDeleted, leftovers: leftovers.files },
      text: text.join("\n"),
    };
  },
};
