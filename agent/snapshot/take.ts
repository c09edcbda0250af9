/**
 * Takes a snapshot. Write order: data parts, tree parts, segment parts, manifest (W1-W3 of core/snapshot/FORMAT.md), so
 * that a kill at any instruction leaves only whole snapshots and parts that the next run finds again.
 *
 *   known parts -> rounds { sync, walk, read what changed -> chunks -> frames -> parts -> store } until one is quiet
 *   -> tree -> segments -> confirm -> manifest
 */
import { latin1ToBytes, toHex } from "../../core/snapshot/bytes.ts";
import { limits } from "../../core/snapshot/limits.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { manifestKey, manifestObjectKey, partObjectKey } from "../../core/snapshot/store.ts";
import { type Mount, mountsBelow } from "../fs/mounts.ts";
import { degraded } from "../fs/native.ts";
import { textOfBytes } from "../fs/paths.ts";
import { BasedSink, BasePlanner } from "./bases.ts";
import { Breather } from "./breather.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { CoderPool } from "./coder-pool.ts";
import { makeExcluder, readExcludes } from "./excludes.ts";
import { partsInFlight } from "./in-flight.ts";
import { forgetOthers, Journal, journalFile, listParts, loadKnownParts, rememberOther } from "./journal.ts";
import { type Keyring, keyringOf, noKeys } from "./keyring.ts";
import { buildSegmentParts, packTree } from "./meta.ts";
import { manifestOf, putManifest, type StoredTree, skippedOf } from "./own-manifest.ts";
import { PackBuffers, partRoomBytes } from "./pack-buffers.ts";
import { Packer } from "./packer.ts";
import { releaseReader } from "./read.ts";
import { addAgain, findChunksToRelease } from "./release-bases.ts";
import { chunkPlacesOf } from "./rows.ts";
import { type Round, scanRound } from "./scan.ts";
import { sealedBy } from "./scan-folder.ts";
import { type KnownSegment, SegmentBook, segmentBookFile } from "./segment-book.ts";
import { type Ground, newProgress, openGround, Reporter } from "./setup.ts";
import { StatCache, statCacheFile } from "./stat-cache.ts";
import { syncAll } from "./stillness.ts";
import { failureOf, Stop, throwIfAborted } from "./stop.ts";
import { type Torn, tornEntries, tornOf } from "./torn.ts";
import { type KnownTree, readTreeBook, treeBookFile, writeTreeBook } from "./tree-book.ts";
import type { Pause, TakeOptions, TakeResult, TakeSuccess } from "./types.ts";
import { rememberWrapping } from "./wrapping.ts";

const mostRounds = 3;

type StoredPart = Pick<IndexedPart, "key" | "bytes">;

/** `known`: its segments with what each describes, where they may be others than those of before. */
type Stored = StoredTree & { known?: KnownSegment[] };

/**
 * One at a time for each `stateDir`. An abort is prompt and leaves everything that was sent for the next run.
 * Errors: throws for bugs only.
 */
export async function takeSnapshot(options: TakeOptions): Promise<TakeResult> {
  let ground: Ground | null = null;
  let run: Take | null = null;
  try {
    ground = openGround(options.root, options.stateDir, options.id, false);
    run = new Take(options, ground);
    return await run.take();
  } catch (error) {
    return failureOf(error);
  } finally {
    await run?.close();
    ground?.close();
  }
}

function describeMount({ path, fileSystem }: Mount): string {
  return `${textOfBytes(path)} is a mount of its own (${fileSystem}); a restore makes it a plain part of the workspace`;
}

class Take {
  readonly #options: TakeOptions;
  readonly #ground: Ground;
  readonly #reporter: Reporter;
  readonly #cache: StatCache;
  readonly #keyring: Keyring;
  readonly #stateName: string;
  readonly #othersFile: string;
  readonly #segmentBookFile: string;
  readonly #treeBookFile: string;
  readonly #journal: Journal;
  readonly #journalled: IndexedPart[];
  /** As they stood before the last round. */
  #excludes: string[] = [];
  readonly #coders: CoderPool;
  readonly #sent = new Set<string>();
  readonly #startedAt = performance.now();
  #known!: ChunkIndex;
  /** What the last snapshot listed, where the cache is as it left it and the store has all of that. */
  #before: KnownTree | null = null;
  /** What the packers of a run share. */
  #buffers: PackBuffers | null = null;
  #planner: BasePlanner | null = null;
  #mounts: Mount[] = [];
  #rounds = 0;

  constructor(options: TakeOptions, ground: Ground) {
    this.#options = options;
    this.#ground = ground;
    this.#reporter = new Reporter(options.onProgress);
    const { encryption } = options;
    this.#keyring = encryption ? keyringOf(encryption.dataKey, encryption.wrapped) : noKeys;
    if (encryption) rememberWrapping(ground.stateDir, options.id, encryption.wrapped);
    this.#stateName = this.#keyring.stateName(options.id);
    this.#othersFile = `${ground.stateDir}/others-${this.#stateName}`;
    this.#segmentBookFile = segmentBookFile(ground.stateDir, this.#stateName);
    this.#treeBookFile = treeBookFile(ground.stateDir, this.#stateName);
    this.#cache = new StatCache(statCacheFile(ground.stateDir, this.#stateName, ground.root), ground.root);
    const { journal, parts } = Journal.open(journalFile(ground.stateDir, this.#stateName));
    this.#journal = journal;
    this.#journalled = parts;
    this.#coders = new CoderPool(options.effort);
    this.#coders.dataKey = this.#keyring.dataKey;
  }

  async take(): Promise<TakeSuccess> {
    const { id, seq, epoch, store, signal } = this.#options;
    throwIfAborted(signal);
    manifestKey(seq, epoch);
    this.#reporter.phase("known");
    this.#known = await loadKnownParts({
      store,
      id,
      keyring: this.#keyring,
      othersFile: this.#othersFile,
      forget: this.#options.forget ?? new Set(),
      journal: this.#journal,
      journalled: this.#journalled,
      concurrency: this.#options.concurrency ?? 32,
      signal,
    });

    const before = readTreeBook(this.#treeBookFile, this.#cache.fingerprint);
    this.#before = before?.parts.every(({ key }) => this.#known.hasPart(key)) ? before : null;
    const data = this.#newPacker("data");
    const isPlain = (id: string) => data.hasPlain(id) || this.#known.hasPlain(id);
    this.#planner = this.#options.bases === false ? null : new BasePlanner(this.#ground.root, isPlain);
    const { round, torn } = await this.#scan(data);
    const { expectedDigest, forget } = this.#options;
    if (expectedDigest !== undefined && (torn.count > 0 || round.digest !== expectedDigest))
      throw new Stop("folder_differs", "The folder has another digest than was expected.", false);
    const isAsBefore = round.isAsCached && data.plainBytes === 0 && round.digest === this.#before?.digest;
    const stored: Stored = isAsBefore ? this.#before! : await this.#storeTree(round, data);
    await this.#confirm(stored.parts);
    const skipped = skippedOf(round, torn, this.#mounts);
    const manifest = manifestOf(this.#options, {
      round,
      torn,
      stored,
      skipped,
      excludes: this.#excludes,
      newPlainBytes: data.plainBytes,
      sent: this.#sent,
    });
    this.#reporter.phase("manifest");
    const { sha256: manifestSha256, parts } = await putManifest(manifest, this.#options);
    await this.#confirmKept(parts);
    if (stored.known) new SegmentBook(this.#segmentBookFile).replace(stored.known);
    // What this run did not release the next one does, however little changes until then.
    if (!isAsBefore && !this.#options.alreadyQuiet)
      writeTreeBook(this.#treeBookFile, this.#cache.fingerprint, manifest);
    forgetOthers(this.#othersFile, this.#sent);
    const listed = new Set(stored.parts.map((part) => part.key));
    for (const key of forget ?? []) if (!listed.has(key)) rememberOther(this.#othersFile, key);
    this.#reporter.phase("done");
    return {
      ok: true,
      seq,
      epoch,
      manifestKey: manifestKey(seq, epoch),
      manifestSha256,
      digest: round.digest,
      tornPaths: [...round.unreadable, ...tornEntries(torn)].map(({ path }) => path),
      stats: {
        ...manifest.stats,
        skipped,
        rounds: this.#rounds,
        reusedBytes: round.plainBytes - Math.min(round.plainBytes, data.plainBytes),
        parts: stored.parts.length,
        newParts: this.#sent.size,
        wallMs: Math.round(performance.now() - this.#startedAt),
        degraded: [...degraded, ...this.#mounts.filter((mount) => !mount.isPseudo).map(describeMount)],
      },
    };
  }

  async close(): Promise<void> {
    await this.#coders.close();
    this.#journal.close();
    releaseReader();
  }

  #newPacker(kind: "data" | "meta"): Packer {
    this.#buffers ??= this.#newBuffers();
    return new Packer({
      kind,
      coders: this.#coders,
      keyring: this.#keyring,
      known: this.#known,
      send: (part, bytes) => this.#send(part, bytes),
      buffers: this.#buffers,
    });
  }

  #newBuffers(): PackBuffers {
    // Parts grow before a snapshot could need more of them than a manifest lists.
    const crowd = this.#known.parts.length / limits.partsInSnapshot;
    const partTargetBytes = limits.partTargetBytes * (crowd > 0.75 ? 3 : crowd > 0.5 ? 2 : 1);
    const { store, concurrency } = this.#options;
    const sent = partsInFlight(store, concurrency, partRoomBytes(partTargetBytes));
    return new PackBuffers(this.#coders.capacity, sent, partTargetBytes);
  }

  async #send(part: IndexedPart, bytes: Uint8Array): Promise<void> {
    const { store, id, signal } = this.#options;
    const { progress } = this.#reporter;
    progress.storedBytes += part.bytes;
    progress.partsTotal++;
    await store.put(partObjectKey(id, part.key), bytes, part.key, { signal });
    try {
      await this.#journal.append(part);
    } catch (error) {
      throw new Stop("state_unwritable", `The state folder cannot be written: ${(error as Error).message}.`, true);
    }
    this.#known.add(part);
    this.#sent.add(part.key);
    progress.sentBytes += part.bytes;
    progress.partsDone++;
    this.#reporter.step();
  }

  /** Rounds until one is quiet; the writers are let go as soon as the last round has read everything. */
  async #scan(data: Packer): Promise<{ round: Round; torn: Torn }> {
    const { pauseWriters, alreadyQuiet, maxRounds = mostRounds } = this.#options;
    let before: Round | null = null;
    let pause: Pause | null = null;
    try {
      for (let n = 1; ; n++) {
        const isLast = n === maxRounds || alreadyQuiet === true;
        if (n === maxRounds && pauseWriters) pause = await pauseWriters();
        const round = await this.#round(n, data);
        const isAsBefore = before ? before.digest === round.digest : round.isAsCached;
        const isStill = alreadyQuiet === true || pause?.isHeld === true || isAsBefore;
        if ((isStill && round.torn.length === 0) || isLast) {
          await pause?.resume();
          pause = null;
          this.#reporter.phase("send");
          await data.flush();
          this.#cache.save();
          return { round, torn: tornOf(round, before, isStill) };
        }
        before = round;
        // A run that is killed from here on has read everything for the next one as well.
        this.#cache.save();
      }
    } catch (error) {
      // What is on its way is of use to the next run, but not worth waiting for after an abort.
      if (!this.#options.signal?.aborted) await data.drain().catch(() => {});
      throw error;
    } finally {
      await pause?.resume();
    }
  }

  async #storeTree(round: Round, data: Packer): Promise<Stored> {
    // Not while the writers are held.
    if (!this.#options.alreadyQuiet) await this.#releaseBases(round, data);
    const tree = this.#newPacker("meta");
    this.#reporter.phase("tree");
    const treeIds = await packTree(round.entries, tree, this.#keyring);
    await tree.flush();

    const needed = await this.#partsOf(round, treeIds);
    const known = await this.#sendSegments(new SegmentBook(this.#segmentBookFile), needed);
    const parts = [...needed, ...known].map(({ key, bytes }) => ({ key, bytes }));
    if (parts.length > limits.partsInSnapshot)
      throw new Stop("workspace_too_large", "The snapshot needs too many parts.", false);
    const root = { id: toHex(latin1ToBytes(treeIds.at(-1)!)) };
    return { root, parts, segments: known.map(({ key }) => key), known };
  }

  /** B3: see release-bases.ts. */
  async #releaseBases(round: Round, data: Packer): Promise<void> {
    const breather = new Breather(this.#options.signal);
    const ids = await findChunksToRelease(this.#known, round.entries, breather);
    if (ids.size === 0) return;
    this.#reporter.phase("read again");
    const add = (id: string, bytes: Uint8Array) => data.add(id, bytes);
    await addAgain(ids, round.entries, this.#ground.folders, this.#keyring, add, breather);
    await data.flush();
  }

  async #round(n: number, data: Packer): Promise<Round> {
    this.#rounds = n;
    this.#reporter.phase("sync");
    this.#mounts = mountsBelow(this.#ground.root);
    const stillness = await syncAll(this.#ground.root, this.#mounts);
    this.#excludes = readExcludes(this.#ground.root, this.#options.excludes ?? []);
    this.#reporter.phase(n === 1 ? "read" : `read again ${n}`);
    return scanRound({
      folders: this.#ground.folders,
      isExcluded: makeExcluder(this.#excludes, sealedBy(this.#mounts)),
      cache: this.#cache,
      stillness,
      keyring: this.#keyring,
      isCacheStored: n > 1 || this.#before !== null,
      sink: new BasedSink(data, this.#planner),
      cut: (task) => this.#coders.run({ kind: "cut", ...task }),
      // With more threads one of them is free for it.
      mayCutHere: this.#options.effort !== "background" && this.#coders.size <= 2,
      planner: this.#planner,
      breather: new Breather(this.#options.signal),
      // What a later round looks at again was counted before.
      counts: n === 1 ? this.#reporter.progress : newProgress(),
      onStep: this.#reporter.step,
    });
  }

  /** Closure: every chunk of the tree and of its files lies in one of these. */
  async #partsOf(round: Round, treeIds: string[]): Promise<IndexedPart[]> {
    const breather = new Breather(this.#options.signal);
    const numbers = new Set<number>();
    const add = (part: number) => void numbers.add(part);
    const need = (bytes: Uint8Array, at: number) => {
      if (!this.#known.eachPartFor(bytes, at, add)) throw new Error("a chunk of the tree lies in no part");
    };
    for (const row of round.entries) {
      if (breather.due) await breather.rest();
      for (const at of chunkPlacesOf(row)) need(row.slab, at);
    }
    for (const id of treeIds) need(latin1ToBytes(id), 0);
    return [...numbers].sort((a, b) => a - b).map((n) => this.#known.parts[n]!);
  }

  /** One segment describes what those that are in the store do not. */
  async #sendSegments(book: SegmentBook, needed: IndexedPart[]): Promise<KnownSegment[]> {
    const { kept, rest } = book.plan(needed, (key) => this.#known.hasPart(key));
    if (rest.length === 0) return kept;
    const made = await buildSegmentParts(rest, this.#coders, this.#keyring);
    for (const { part, bytes } of made) await this.#send(part, bytes);
    return [...kept, ...made.map(({ part, describes }) => ({ key: part.key, bytes: part.bytes, parts: describes }))];
  }

  /** Parts that this run found instead of sending could have been collected meanwhile. */
  async #confirm(parts: StoredPart[]): Promise<void> {
    if (parts.every((part) => this.#sent.has(part.key))) return;
    this.#reporter.phase("confirm");
    const lost = await this.#countLost(parts);
    if (lost > 0)
      throw new Stop("part_missing", `The store has lost ${lost} parts; the next run sends them again.`, true);
  }

  /**
   * A collection that began before the manifest was there may still delete a part that none before it lists. After this
   * look it sees the manifest before it deletes more.
   */
  async #confirmKept(parts: StoredPart[]): Promise<void> {
    const { store, id, seq, epoch, signal } = this.#options;
    if (store.collectsItself || parts.every((part) => this.#sent.has(part.key))) return;
    const lost = await this.#countLost(parts);
    if (lost === 0) return;
    // Where these keys may not delete, the next snapshot stands in front of it.
    await store.delete(manifestObjectKey(id, seq, epoch), { signal }).catch(() => false);
    throw new Stop("part_missing", `A collection took ${lost} parts of the snapshot; take it again.`, true);
  }

  async #countLost(parts: StoredPart[]): Promise<number> {
    const sizes = await listParts(this.#options.store, this.#options.id, this.#options.signal);
    return parts.filter((part) => sizes.get(part.key) !== part.bytes).length;
  }
}
