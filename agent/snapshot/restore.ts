/**
 * Makes a folder equal to a snapshot.
 *
 *   manifest -> segments -> tree (all checked) -> folders -> what is here already, by hash
 *   -> parts, many in flight: each chunk checked, then written -> links, devices -> attributes of folders, deepest first
 *   -> sync -> every entry looked at again: the digest of what is really there must be the manifest's
 *
 * Run again after a kill, it goes on where it was.
 */
import { mkdirSync } from "node:fs";
import { limits } from "../../core/snapshot/limits.ts";
import type { Entry, FileEntry, PlainEntry } from "../../core/snapshot/tree.ts";
import { mountsBelow } from "../fs/mounts.ts";
import { degraded, native, OpenFileSystem } from "../fs/native.ts";
import { bytesOfText, fsPath } from "../fs/paths.ts";
import { Breather } from "./breather.ts";
import { CoderPool } from "./coder-pool.ts";
import { partsInFlight } from "./in-flight.ts";
import { Journal, journalFile } from "./journal.ts";
import { type LoadedSnapshot, loadSnapshot, loadTree } from "./meta.ts";
import type { PartPlan } from "./part-needs.ts";
import { isFile } from "./read.ts";
import { applyAttributes } from "./restore-attributes.ts";
import { checkEntries, demandExact } from "./restore-check.ts";
import { type FetchPlan, fetchParts } from "./restore-fetch.ts";
import { FileWriter, isSmall } from "./restore-files.ts";
import { checkSpace, clearExtras, makeFolders, tempPathOf } from "./restore-folder.ts";
import { lostFiles, partlyRestored, without } from "./restore-lost.ts";
import { OtherEntries } from "./restore-others.ts";
import { SegmentBook, segmentBookFile } from "./segment-book.ts";
import { selectEntries } from "./select.ts";
import { type Ground, openGround, Reporter } from "./setup.ts";
import { StatCacheWriter, statCacheFile } from "./stat-cache.ts";
import { syncAll } from "./stillness.ts";
import { failureOf, Stop } from "./stop.ts";
import { TreeEntries } from "./tree-entries.ts";
import type { RestoreOptions, RestoreResult } from "./types.ts";
import { statEntry } from "./walk.ts";

/** An abort is prompt and leaves a folder that the next run goes on with. Errors: throws for bugs only. */
export async function restoreSnapshot(options: RestoreOptions): Promise<RestoreResult> {
  let ground: Ground | null = null;
  let fileSystem: OpenFileSystem | null = null;
  const coders = new CoderPool();
  try {
    mkdirSync(fsPath(bytesOfText(options.root)), { recursive: true });
    ground = openGround(options.root, options.stateDir, options.id, true);
    fileSystem = new OpenFileSystem(ground.root);
    return await new Restore(options, ground, fileSystem, coders).run();
  } catch (error) {
    return failureOf(error);
  } finally {
    await coders.close();
    fileSystem?.close();
    ground?.close();
  }
}

class Restore {
  readonly #options: RestoreOptions;
  readonly #ground: Ground;
  readonly #fileSystem: OpenFileSystem;
  readonly #coders: CoderPool;
  readonly #reporter: Reporter;
  readonly #breather: Breather;
  readonly #startedAt = performance.now();

  constructor(options: RestoreOptions, ground: Ground, fileSystem: OpenFileSystem, coders: CoderPool) {
    this.#fileSystem = fileSystem;
    this.#options = options;
    this.#coders = coders;
    this.#ground = ground;
    this.#reporter = new Reporter(options.onProgress);
    this.#breather = new Breather(options.signal);
  }

  async run(): Promise<RestoreResult> {
    const {
      id,
      seq,
      epoch,
      store,
      signal,
      expectedDigest,
      concurrency,
      unlock,
      partial,
      deleteExtras = false,
    } = this.#options;
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
    const isEntry = (path: string) => entries.has(path);
    for (const entry of entries) {
      if (this.#breather.due) await this.#breather.rest();
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

    const writer = new FileWriter({ folders, keyring, isEntry, deleteExtras, old: prepared.old });
    const plan = await this.#plan(entries, snapshot, writer);
    this.#reporter.phase("receive");
    const { root } = this.#ground;
    const [coders, reporter, breather] = [this.#coders, this.#reporter, this.#breather];
    const lost = await fetchParts(
      { store, id, snapshot, entries, writer, coders, root, deleteExtras, concurrency, reporter, breather, signal },
      plan,
    );
    if (lost.size > 0 && !partial) throw lostFiles(lost);
    // Another name of a lost file is lost with it.
    for (const entry of lost.size > 0 ? entries : []) {
      const reason = entry.type === "h" ? lost.get(entry.target) : undefined;
      if (reason !== undefined) lost.set(entry.path, reason);
    }
    const present = lost.size > 0 ? TreeEntries.of(without(entries, lost)) : entries;
    this.#reporter.phase("attributes");
    const others = new OtherEntries(folders, deleteExtras, breather);
    await others.make(present);
    await others.finishFolders(ownFolders);
    await others.finishFlags(present);
    const stillness = await syncAll(root, mountsBelow(root), this.#fileSystem);
    // A restore that nobody can hold to its word must not say "equal".
    if (!stillness.isSynced && native)
      throw new Stop("file_system_error", "What was restored could not be written to the disk.", true);

    this.#reporter.phase("check");
    const cache = new StatCacheWriter(statCacheFile(this.#ground.stateDir, keyring.stateName(id), root), root);
    try {
      const checked = await checkEntries({
        folders,
        entries: present,
        notMade: others.notMade,
        writer,
        cache,
        stillness,
        breather,
      });
      if (lost.size > 0) throw partlyRestored(checked, lost);
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
        skipped: others.skipped,
        disowned,
        wallMs: Math.round(performance.now() - this.#startedAt),
        degraded,
      },
    };
  }

  /** What must come from which part, for whom. Looks at every file that is here already. */
  async #plan(entries: TreeEntries, snapshot: LoadedSnapshot, writer: FileWriter): Promise<FetchPlan> {
    this.#reporter.phase("compare");
    const { index } = snapshot;
    const { progress } = this.#reporter;
    const plan: FetchPlan = new Map();
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
      const wanted = entry.size - entry.holes.reduce((sum, hole) => sum + hole.length, 0);
      neededBytes += Math.max(0, wanted - writer.begunBytes(entry));
      neededEntries++;
      pending.push(n);
      this.#reporter.step();
    }
    checkSpace(this.#ground.root, neededBytes * 0.9 - 64 * 1024 * 1024, neededEntries);
    const partOf = (id: string): PartPlan => {
      const n = index.partOf(id);
      if (n === undefined) throw new Stop("snapshot_damaged", "A chunk lies in no listed part.", false);
      const part = plan.get(n) ?? { small: [], big: [] };
      plan.set(n, part);
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
