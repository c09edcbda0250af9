/**
 * Makes a folder equal to a snapshot.
 *
 *   manifest -> segments -> tree (all checked) -> folders -> what is here already, by hash
 *   -> parts, many in flight: each chunk checked, then written -> links, devices -> attributes of folders, deepest first
 *   -> sync -> every entry looked at again: the digest of what is really there must be the manifest's
 *
 * Run again after a kill, it goes on where it was.
 */
import { linkSync, mkdirSync, readlinkSync, symlinkSync } from "node:fs";
import { damaged, FormatError } from "../../core/snapshot/error.ts";
import { limits } from "../../core/snapshot/limits.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import type { Entry, FileEntry, HardLinkEntry, InodeEntry, PlainEntry } from "../../core/snapshot/tree.ts";
import { degraded, makeNode, syncFileSystem } from "../fs/native.ts";
import { bytesOfText, fsPath, textOfBytes } from "../fs/paths.ts";
import { BaseFrames } from "./base-frames.ts";
import { Breather } from "./breather.ts";
import { CoderPool } from "./coder-pool.ts";
import type { WriteTarget } from "./coder-tasks.ts";
import { forEachInFlight, partLanes, partsInFlight } from "./in-flight.ts";
import { Journal, journalFile } from "./journal.ts";
import { type LoadedSnapshot, loadSnapshot, loadTree } from "./meta.ts";
import { isFile } from "./read.ts";
import { applyAttributes, applyFlags } from "./restore-attributes.ts";
import { placesOfBases, takeBased, writeBasedPart } from "./restore-based.ts";
import { checkEntries, demandExact } from "./restore-check.ts";
import { type FileJob, FileWriter, isSmall, type Target } from "./restore-files.ts";
import { checkSpace, clearExtras, makeFolders, removeInTheWay, tempPathOf } from "./restore-folder.ts";
import { type PartInput, writePart } from "./restore-parts.ts";
import { SegmentBook, segmentBookFile } from "./segment-book.ts";
import { selectEntries } from "./select.ts";
import { type Ground, openGround, Reporter } from "./setup.ts";
import { StatCacheWriter, statCacheFile } from "./stat-cache.ts";
import { failureOf, Stop } from "./stop.ts";
import { TreeEntries } from "./tree-entries.ts";
import type { RestoreOptions, RestoreResult, SkippedPath } from "./types.ts";
import { type Found, statEntry } from "./walk.ts";
import { flagsOf } from "./xattrs.ts";

const maxNamedPaths = 10;

/** An abort is prompt and leaves a folder that the next run goes on with. Errors: throws for bugs only. */
export async function restoreSnapshot(options: RestoreOptions): Promise<RestoreResult> {
  let ground: Ground | null = null;
  const coders = new CoderPool();
  try {
    mkdirSync(fsPath(bytesOfText(options.root)), { recursive: true });
    ground = openGround(options.root, options.stateDir, options.id, true);
    return await new Restore(options, ground, coders).run();
  } catch (error) {
    return failureOf(error);
  } finally {
    await coders.close();
    ground?.close();
  }
}

class Restore {
  readonly #options: RestoreOptions;
  readonly #ground: Ground;
  readonly #coders: CoderPool;
  readonly #reporter: Reporter;
  readonly #breather: Breather;
  readonly #startedAt = performance.now();
  readonly #damagedPaths = new Set<string>();
  readonly #skipped: SkippedPath[] = [];
  readonly #notMade = new Map<string, string>();

  constructor(options: RestoreOptions, ground: Ground, coders: CoderPool) {
    this.#options = options;
    this.#coders = coders;
    this.#ground = ground;
    this.#reporter = new Reporter(options.onProgress);
    this.#breather = new Breather(options.signal);
  }

  async run(): Promise<RestoreResult> {
    const { id, seq, epoch, store, signal, expectedDigest, concurrency, unlock, deleteExtras = false } = this.#options;
    const { folders } = this.#ground;
    const { progress } = this.#reporter;
    this.#reporter.phase("tree");
    const snapshot = await loadSnapshot(store, id, seq, epoch, signal, unlock);
    const { keyring } = snapshot;
    this.#coders.dataKey = keyring.dataKey;
    const { digest } = snapshot.manifest;
    if (expectedDigest !== undefined && digest !== expectedDigest) {
      throw new Stop(
        "manifest_digest_differs",
        "The manifest in the store has another digest than the one that was proved.",
        false,
      );
    }
    const treeReads = partsInFlight(store, concurrency, limits.partTargetBytes);
    const tree = await loadTree(store, snapshot, treeReads, signal);
    const { only } = this.#options;
    const chosen = only ? TreeEntries.of(selectEntries(tree, only)) : tree;
    const { entries, disowned } = this.#options.owner === false ? disown(chosen) : { entries: chosen, disowned: 0 };

    this.#reporter.phase("folders");
    const paths = new Set<string>();
    const isEntry = (path: string) => paths.has(path);
    for (const entry of entries) {
      if (this.#breather.due) await this.#breather.rest();
      paths.add(entry.path);
      if (!isFile(entry)) continue;
      progress.files++;
      progress.plainBytes += entry.size;
    }
    progress.entries = entries.length;
    const { files } = progress;
    const temps = new Set<string>();
    const ownFolders: PlainEntry[] = [];
    for (const entry of entries) {
      if (this.#breather.due) await this.#breather.rest();
      if (entry.type === "d") ownFolders.push(entry);
      else if (isFile(entry) && entry.size > 0 && !isSmall(entry)) temps.add(tempPathOf(entry.path, isEntry));
    }
    const prepared = await makeFolders(folders, ownFolders, this.#breather);
    const extras = await clearExtras(
      folders,
      prepared,
      isEntry,
      (path) => temps.has(path),
      deleteExtras,
      this.#breather,
    );

    const plan = await this.#plan(
      entries,
      snapshot,
      new FileWriter({ folders, keyring, isEntry, deleteExtras, old: prepared.old }),
    );
    await this.#fetch(plan, snapshot);
    if (this.#damagedPaths.size > 0) {
      const named = [...this.#damagedPaths].slice(0, maxNamedPaths);
      throw new Stop(
        "snapshot_damaged",
        `${this.#damagedPaths.size} files cannot be restored: their bytes in the store are damaged.`,
        false,
        named,
      );
    }
    this.#reporter.phase("attributes");
    await this.#makeOthers(entries, deleteExtras);
    await this.#finishFolders(ownFolders);
    await this.#finishFlags(entries);
    await syncFileSystem(this.#ground.root);

    this.#reporter.phase("check");
    const { root, stateDir } = this.#ground;
    const cache = new StatCacheWriter(statCacheFile(stateDir, keyring.stateName(id), root), root);
    try {
      const checked = await checkEntries(folders, entries, this.#notMade, cache, this.#breather);
      demandExact(checked, disowned === 0 && !only ? digest : null);
      cache.finish();
    } finally {
      cache.close();
    }
    this.#rememberParts(snapshot);
    this.#reporter.phase("done");
    const { plainBytes, reusedBytes, sentBytes, partsDone } = progress;
    return {
      ok: true,
      digest,
      stats: {
        entries: entries.length,
        files,
        plainBytes,
        reusedBytes,
        receivedBytes: sentBytes,
        parts: partsDone,
        extras,
        skipped: this.#skipped,
        disowned,
        wallMs: Math.round(performance.now() - this.#startedAt),
        degraded,
      },
    };
  }

  /** What must come from which part, for whom. Looks at every file that is here already. */
  async #plan(entries: TreeEntries, snapshot: LoadedSnapshot, writer: FileWriter): Promise<Plan> {
    this.#reporter.phase("compare");
    const { index } = snapshot;
    const { progress } = this.#reporter;
    const plan: Plan = { writer, entries, parts: new Map() };
    const linked = new Set<string>();
    for (const entry of entries) if (entry.type === "h") linked.add(entry.target);
    let neededBytes = 0;
    let neededEntries = 0;
    const pending: number[] = [];
    for (let n = 0; n < entries.length; n++) {
      if (this.#breather.due) await this.#breather.rest();
      const entry = entries.at(n);
      if (!isFile(entry)) continue;
      if (await writer.isInPlace(entry, linked.has(entry.path), this.#breather)) {
        const now = statEntry(this.#ground.folders, entry.path)!;
        applyAttributes(this.#ground.folders.at(entry.path), entry, now);
        progress.reusedBytes += entry.size;
        progress.doneBytes += entry.size;
        continue;
      }
      neededBytes += entry.size - entry.holes.reduce((sum, hole) => sum + hole.length, 0);
      neededEntries++;
      pending.push(n);
      this.#reporter.step();
    }
    checkSpace(this.#ground.root, neededBytes * 0.9 - 64 * 1024 * 1024, neededEntries);
    const partOf = (id: string): PartPlan => {
      const n = index.partOf(id);
      if (n === undefined) throw new Stop("snapshot_damaged", "A chunk lies in no listed part.", false);
      const part = plan.parts.get(n) ?? { small: [], big: [] };
      plan.parts.set(n, part);
      return part;
    };
    for (const n of pending) {
      if (this.#breather.due) await this.#breather.rest();
      this.#reporter.step();
      const entry = entries.at(n) as FileEntry;
      if (isSmall(entry)) {
        partOf(entry.chunks[0]!.id).small.push(n);
        continue;
      }
      const missing = await writer.begin(entry, this.#breather);
      for (const target of missing) partOf(target.id).big.push(target);
      const missingBytes = missing.reduce((sum, target) => sum + target.plainBytes, 0);
      progress.doneBytes += entry.size - missingBytes;
      if (missingBytes < entry.size) progress.reusedBytes += entry.size - missingBytes;
    }
    return plan;
  }

  /** Two waves: what needs nothing else, then what is coded against it. */
  async #fetch(plan: Plan, snapshot: LoadedSnapshot): Promise<void> {
    this.#reporter.phase("receive");
    const { store, id, signal, concurrency, deleteExtras = false } = this.#options;
    const { progress } = this.#reporter;
    progress.partsTotal = plan.parts.size;
    const parts = [...plan.parts];
    const sizes = parts.map(([n]) => snapshot.index.parts[n]!.bytes);
    progress.storedBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const lanes = partLanes(store, concurrency, Math.max(1, ...sizes), this.#coders);
    const { index } = snapshot;
    const later: [n: number, places: Places][] = [];
    const onReceived = (bytes: number) => {
      progress.sentBytes += bytes;
    };
    const receive = async (n: number, places: Places, isLast: boolean, write: typeof writePart) => {
      const part = index.parts[n]!;
      const wanted = new Map<string, WriteTarget[]>();
      for (const [chunk, targets] of places)
        wanted.set(
          chunk,
          targets.map((target) => plan.writer.target(target)),
        );
      const { root } = this.#ground;
      const isEncrypted = snapshot.keyring.cipher !== null;
      const coders = this.#coders;
      const input: PartInput = { store, id, part, wanted, coders, isEncrypted, root, deleteExtras, signal };
      try {
        checkSizes(part, places);
        await write({ ...input, isInPieces: !isLast }, onReceived, (ids) =>
          this.#finishChunks(plan.writer, places, ids),
        );
      } catch (error) {
        if (!isDamage(error)) throw error;
      }
      // The rest goes on; what is left of this part is named at the end.
      const broken = new Set<FileJob>([...places.values()].flat().map((target) => target.file));
      for (const job of broken) this.#damagedPaths.add(textOfBytes(job.entry.path));
      if (isLast) progress.partsDone++;
      this.#reporter.step();
    };
    await forEachInFlight(parts, lanes, async ([n, partPlan]) => {
      const places = placesOf(plan.entries, partPlan);
      plan.parts.delete(n);
      const based = takeBased(index, places);
      if (based) later.push([n, based]);
      if (places.size > 0) await receive(n, places, based === null, writePart);
    });
    if (later.length === 0) return;
    const basedIds = later.flatMap(([, places]) => [...places.keys()]);
    const places = placesOfBases(index, basedIds, plan.entries, plan.writer.pathsOf);
    const baseFrames = new BaseFrames({ store, id, index, keyring: snapshot.keyring, signal, onReceived });
    await forEachInFlight(later, lanes, ([n, based]) =>
      receive(n, based, true, (input, ...told) => writeBasedPart({ ...input, index, baseFrames, places }, ...told)),
    );
  }

  async #finishChunks(writer: FileWriter, places: Map<string, Target[]>, ids: string[]): Promise<void> {
    const { progress } = this.#reporter;
    for (const id of ids) {
      for (const target of places.get(id) ?? []) {
        if (this.#breather.due) await this.#breather.rest();
        writer.finish(target);
        progress.doneBytes += target.plainBytes;
      }
      places.delete(id);
      this.#reporter.step();
    }
  }

  async #makeOthers(entries: TreeEntries, deleteExtras: boolean): Promise<void> {
    for (const entry of entries) {
      if (this.#breather.due) await this.#breather.rest();
      if (entry.type === "h") this.#makeHardLink(entry, deleteExtras);
      else if (entry.type === "s") this.#skipped.push({ path: textOfBytes(entry.path), reason: "socket" });
      else if (entry.type !== "f" && entry.type !== "d") this.#makeSpecial(entry, deleteExtras);
    }
  }

  #makeHardLink(entry: HardLinkEntry, deleteExtras: boolean): void {
    const { folders } = this.#ground;
    const target = statEntry(folders, entry.target);
    const there = statEntry(folders, entry.path);
    // A device that could not be made has no other names either: the check lists them.
    if (!target) return;
    if (there && there.inode !== null && there.inode === target.inode) return;
    removeInTheWay(folders, entry.path, deleteExtras);
    const [from, to] = folders.both(entry.target, entry.path);
    linkSync(fsPath(from), fsPath(to));
  }

  #makeSpecial(entry: InodeEntry, deleteExtras: boolean): void {
    const { folders } = this.#ground;
    const path = folders.at(entry.path);
    const there = statEntry(folders, entry.path);
    if (!there || !this.#isAlready(entry, there)) {
      removeInTheWay(folders, entry.path, deleteExtras);
      if (entry.type === "l") symlinkSync(fsPath(entry.target), fsPath(path));
      else this.#makeNode(entry, path);
    }
    const now = statEntry(folders, entry.path);
    if (now) applyAttributes(folders.at(entry.path), entry, now);
  }

  #isAlready(entry: InodeEntry, there: Found): boolean {
    if (there.type !== entry.type || there.inode !== null) return false;
    if (entry.type === "l")
      return readlinkSync(fsPath(this.#ground.folders.at(entry.path)), { encoding: "latin1" }) === entry.target;
    return entry.type === "p" || ((entry.type === "c" || entry.type === "b") && there.rdev === entry.rdev);
  }

  #makeNode(entry: InodeEntry, path: string): void {
    const kinds = { p: 0o010000, c: 0o020000, b: 0o060000 } as const;
    const kind = kinds[entry.type as "p" | "c" | "b"];
    try {
      makeNode(path, kind | 0o600, entry.type === "c" || entry.type === "b" ? entry.rdev : 0);
    } catch (error) {
      // A container without the right to make devices, a file system without fifos: the check lists them.
      this.#notMade.set(entry.path, (error as NodeJS.ErrnoException).code ?? "mknod");
    }
  }

  /** Last of all: nothing in or around an immutable entry can be changed after it. */
  async #finishFlags(entries: TreeEntries): Promise<void> {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries.at(i);
      if ((entry.type !== "f" && entry.type !== "d") || flagsOf(entry.xattrs) === 0) continue;
      if (this.#breather.due) await this.#breather.rest();
      // What is refused is found by the check.
      applyFlags(this.#ground.folders.at(entry.path), entry);
    }
  }

  async #finishFolders(entries: PlainEntry[]): Promise<void> {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i]!;
      if (this.#breather.due) await this.#breather.rest();
      const now = statEntry(this.#ground.folders, entry.path);
      if (now) applyAttributes(this.#ground.folders.at(entry.path), entry, now);
    }
  }

  /** So that the first snapshot after a wake knows what the store has. */
  #rememberParts(snapshot: LoadedSnapshot): void {
    const { stateDir } = this.#ground;
    const name = snapshot.keyring.stateName(this.#options.id);
    const { journal, parts } = Journal.open(journalFile(stateDir, name));
    try {
      const known = new Set(parts.map((part) => part.key));
      journal.appendAll(snapshot.index.parts.filter((part) => !known.has(part.key)));
    } finally {
      journal.close();
    }
    new SegmentBook(segmentBookFile(stateDir, name)).replace(snapshot.segments);
  }
}

/** A chunk that a file names with another size than the index would leave bytes unwritten. */
function checkSizes(part: IndexedPart, places: Map<string, Target[]>): void {
  for (const { chunks } of part.frames)
    for (const { id, plainBytes } of chunks)
      if (places.get(id)?.some((target) => target.plainBytes !== plainBytes))
        throw damaged("a file names a chunk with another size");
}

type Places = Map<string, Target[]>;

interface Plan {
  writer: FileWriter;
  entries: TreeEntries;
  /** By the part's ordinal in the index. */
  parts: Map<number, PartPlan>;
}

/** Every entry given to the process itself, and how many lose an owner; a program among them loses setuid and setgid. */
function disown(entries: TreeEntries): { entries: TreeEntries; disowned: number } {
  const [uid, gid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0];
  let disowned = 0;
  const own = (entry: Entry): Entry => {
    if (entry.type === "h" || (entry.uid === uid && entry.gid === gid)) return entry;
    disowned++;
    return { ...entry, uid, gid, mode: entry.type === "f" ? entry.mode & ~0o6000 : entry.mode };
  };
  return { entries: TreeEntries.of(entries.map(own)), disowned };
}

/** What a part is needed for. Of small files only their numbers in the tree: there may be millions. */
interface PartPlan {
  small: number[];
  big: Target[];
}

function placesOf(entries: TreeEntries, { small, big }: PartPlan): Places {
  const places: Places = new Map();
  const add = (target: Target) => {
    const targets = places.get(target.id);
    if (targets) targets.push(target);
    else places.set(target.id, [target]);
  };
  for (const n of small) {
    const entry = entries.at(n) as FileEntry;
    const { id, plainBytes } = entry.chunks[0]!;
    add({ file: { entry, temp: null, missing: 1 }, id, offset: 0, plainBytes });
  }
  for (const target of big) add(target);
  return places;
}

function isDamage(error: unknown): boolean {
  if (error instanceof FormatError) return error.code === "snapshot_damaged";
  return error instanceof Stop && (error.code === "part_missing" || error.code === "part_damaged");
}
