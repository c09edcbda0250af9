/** `list`, `ls`, `cat`: looking into a store. */
import { once } from "node:events";
import type { Entry, InodeEntry } from "../../core/snapshot/tree.ts";
import { bytesOfText, textOfBytes } from "../fs/paths.ts";
import { SnapshotBrowser } from "../snapshot/browse.ts";
import { readManifest } from "../snapshot/meta.ts";
import { failureOf, Stop } from "../snapshot/stop.ts";
import type { Command, Context } from "./command.ts";
import type { Options } from "./options.ts";
import { unlockWith } from "./passphrase.ts";
import { checkId, findIds, findSnapshot, listSnapshots, mustExist, openPlace } from "./places.ts";
import { count, pathFields, printable, size, time } from "./text.ts";

export const listCommand: Command = {
  usage: "--store STORE [--id ID] [--json]",
  about: "the snapshots in the store, oldest first",
  options: ["id"],
  least: 0,
  most: 0,
  async run({ options, output, place, signal }) {
    mustExist(place);
    if (options.id !== undefined) checkId(options.id);
    const ids = options.id !== undefined ? [options.id] : await findIds(place, signal);
    let snapshots = 0;
    let unreadable = 0;
    for (const id of ids) {
      const store = openPlace(place, id);
      for (const { seq, epoch, bytes } of await listSnapshots(store, id, signal)) {
        snapshots++;
        const snapshotId = `${id}@${seq}`;
        const fields = { type: "snapshot", snapshotId, epoch, manifestBytes: bytes };
        try {
          const { manifest } = await readManifest(store, id, seq, epoch, signal);
          const { createdAt, digest, stats, excludes } = manifest;
          const isEncrypted = manifest.encryption !== null;
          const { entries, files, plainBytes, storedBytes, newStoredBytes, torn } = stats;
          output.line(
            {
              ...fields,
              createdAt,
              digest,
              entries,
              files,
              plainBytes,
              storedBytes,
              newStoredBytes,
              torn,
              excludes,
              isEncrypted,
            },
            `${snapshotId.padEnd(24)} ${time(BigInt(createdAt) * 1_000_000n)} ${size(plainBytes).padStart(10)} ${size(storedBytes).padStart(10)} stored ${count(files, "file").padStart(14)}${isEncrypted ? "  encrypted" : ""}${torn > 0 ? `  incomplete: ${torn}` : ""}`,
          );
        } catch (error) {
          const { code, message } = failureOf(error);
          if (code === "aborted") throw error;
          unreadable++;
          output.line({ ...fields, code, message }, `${snapshotId.padEnd(24)} cannot be read: ${printable(message)}`);
        }
      }
    }
    const message = `${count(unreadable, "manifest")} cannot be read.`;
    const failed = unreadable > 0 ? { code: "manifest_invalid", message } : {};
    return { summary: { ok: unreadable === 0, ...failed, snapshots }, text: unreadable > 0 ? message : "" };
  },
};

export const lsCommand: Command = {
  usage: "ID[@SEQ] [PATH] --store STORE [--recursive] [--path-hex HEX] [--passphrase-file FILE] [--json]",
  about: "what lies in a folder of the snapshot, as `ls -l` shows it (times in UTC)",
  options: ["recursive", "path-hex", "passphrase-file"],
  least: 1,
  most: 2,
  async run(context) {
    const { positionals, options, signal } = context;
    const { browser, snapshotId } = await openBrowser(context);
    const path = pathOf(positionals[1], options);
    const entry = await findEntry(browser, path, snapshotId);
    let entries = 0;
    const show = async (found: Entry, name: string) => {
      if (signal.aborted) throw new Stop("aborted", "The listing was interrupted.", true);
      const inode = await browser.inodeOf(found);
      context.output.line(entryFields(found, inode), longLine(found, inode, name));
      entries++;
    };
    if (entry.type !== "d") await show(entry, path);
    else {
      const skip = path === "" ? 0 : path.length + 1;
      const found = options.recursive ? browser.below(path) : browser.children(path);
      for await (const child of found) await show(child, child.path.slice(skip));
    }
    return { summary: { ok: true, snapshotId, ...pathFields(path), entries }, text: "" };
  },
};

export const catCommand: Command = {
  usage: "ID[@SEQ] PATH --store STORE [--path-hex HEX] [--passphrase-file FILE] [--json]",
  about: "the bytes of one file of the snapshot on stdout (with --json the lines go to stderr)",
  options: ["path-hex", "passphrase-file"],
  least: 1,
  most: 2,
  writesBytes: true,
  async run(context) {
    const { positionals, options, signal } = context;
    const path = pathOf(positionals[1], options);
    if (path === "") throw new Stop("usage", "cat wants the path of a file.", false);
    const { browser, snapshotId } = await openBrowser(context);
    const file = await browser.inodeOf(await findEntry(browser, path, snapshotId));
    if (file.type !== "f")
      throw new Stop(
        "not_a_file",
        `${printable(textOfBytes(path))} in ${snapshotId} is ${words(file)}, not a file.`,
        false,
      );
    let bytes = 0;
    for await (const chunk of browser.read(file)) {
      if (signal.aborted) throw new Stop("aborted", "The reading was interrupted.", true);
      // A reader that has seen enough (`| head`) ends the work; that is no failure.
      if (!(await writeOut(chunk))) break;
      bytes += chunk.length;
    }
    return { summary: { ok: true, snapshotId, ...pathFields(path), bytes, size: file.size }, text: "" };
  },
};

/** False when nobody reads any more. */
async function writeOut(bytes: Uint8Array): Promise<boolean> {
  const { stdout } = process;
  if (stdout.destroyed || stdout.errored) return false;
  if (stdout.write(bytes)) return true;
  try {
    await once(stdout, "drain");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EPIPE") return false;
    throw error;
  }
}

async function openBrowser({ positionals, options, place, signal }: Context) {
  const { store, id, seq, epoch } = await findSnapshot(place, positionals[0]!, signal);
  const browser = await SnapshotBrowser.open(store, id, seq, epoch, signal, unlockWith(options));
  return { browser, snapshotId: `${id}@${seq}` };
}

/** As a byte string relative to the root: "/a/b/", "./a/b" and "a/b" are the same. Errors: Stop `usage`. */
function pathOf(text: string | undefined, options: Options): string {
  const hex = options["path-hex"];
  if (hex !== undefined && text !== undefined) throw new Stop("usage", "Give either a path or --path-hex.", false);
  if (hex !== undefined && !/^([0-9a-fA-F]{2})+$/.test(hex))
    throw new Stop("usage", "--path-hex wants the bytes of a path in hexadecimal.", false);
  const path = hex !== undefined ? Buffer.from(hex, "hex").toString("latin1") : bytesOfText(text ?? "");
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw new Stop("usage", "A path of a snapshot has no .. in it.", false);
  return names.join("/");
}

async function findEntry(browser: SnapshotBrowser, path: string, snapshotId: string): Promise<Entry> {
  const entry = await browser.find(path);
  if (!entry) throw new Stop("path_not_found", `There is no ${printable(textOfBytes(path))} in ${snapshotId}.`, false);
  return entry;
}

const typeNames = { d: "folder", f: "file", l: "link", p: "fifo", s: "socket", c: "device", b: "device" } as const;

function words(inode: InodeEntry): string {
  if (inode.type === "l") return `a symbolic link to ${printable(textOfBytes(inode.target))}`;
  return `a ${typeNames[inode.type]}`;
}

function entryFields(entry: Entry, inode: InodeEntry): Record<string, unknown> {
  const { mode, uid, gid, mtimeNs, xattrs } = inode;
  return {
    type: "entry",
    ...pathFields(entry.path),
    entryType: inode.type === "c" ? "char device" : inode.type === "b" ? "block device" : typeNames[inode.type],
    mode: mode.toString(8).padStart(4, "0"),
    uid,
    gid,
    size: inode.type === "f" ? inode.size : 0,
    mtimeNs: String(mtimeNs),
    ...(inode.type === "l" ? { target: pathFields(inode.target).path, ...hexOf("targetHex", inode.target) } : {}),
    ...(entry.type === "h" ? { linkOf: pathFields(entry.target).path, ...hexOf("linkOfHex", entry.target) } : {}),
    ...(xattrs.length > 0 ? { xattrs: xattrs.map(([name]) => textOfBytes(name)) } : {}),
  };
}

function hexOf(name: string, bytes: string): Record<string, string> {
  const { pathHex } = pathFields(bytes);
  return pathHex === undefined ? {} : { [name]: pathHex };
}

function longLine(entry: Entry, inode: InodeEntry, name: string): string {
  const bytes = inode.type === "f" ? inode.size : inode.type === "l" ? inode.target.length : 0;
  const shown = printable(textOfBytes(name));
  const arrow = inode.type === "l" ? ` -> ${printable(textOfBytes(inode.target))}` : "";
  const link = entry.type === "h" ? ` (same file as ${printable(textOfBytes(entry.target))})` : "";
  const owner = `${String(inode.uid).padStart(5)} ${String(inode.gid).padStart(5)}`;
  return `${modeText(inode)} ${owner} ${String(bytes).padStart(12)} ${time(inode.mtimeNs)} ${shown}${arrow}${link}`;
}

function modeText({ type, mode, xattrs }: InodeEntry): string {
  const bits = [6, 3, 0].map((shift) => (mode >> shift) & 7);
  const special = [(mode & 0o4000) !== 0, (mode & 0o2000) !== 0, (mode & 0o1000) !== 0];
  const text = bits.map((three, i) => {
    const letter = i === 2 ? "t" : "s";
    const last = special[i] ? (three & 1 ? letter : letter.toUpperCase()) : three & 1 ? "x" : "-";
    return `${three & 4 ? "r" : "-"}${three & 2 ? "w" : "-"}${last}`;
  });
  return `${type === "f" ? "-" : type}${text.join("")}${xattrs.length > 0 ? "+" : " "}`;
}
