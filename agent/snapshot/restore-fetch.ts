/** The parts of a restore, many in flight, in two waves: what needs nothing else, then what is coded against it. */
import { FormatError } from "../../core/snapshot/error.ts";
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import { BaseFrames } from "./base-frames.ts";
import type { Breather } from "./breather.ts";
import type { CoderPool } from "./coder-pool.ts";
import { forEachInFlight, partLanes } from "./in-flight.ts";
import type { LoadedSnapshot } from "./meta.ts";
import { PartNeeds, type PartPlan } from "./part-needs.ts";
import { PartRooms } from "./part-rooms.ts";
import { placesOfBases, writeBasedPart } from "./restore-based.ts";
import type { FileWriter, Target } from "./restore-files.ts";
import { type PartInput, writePart } from "./restore-parts.ts";
import type { Reporter } from "./setup.ts";
import { Stop } from "./stop.ts";
import type { TreeEntries } from "./tree-entries.ts";

/** By the part's ordinal in the index. */
export type FetchPlan = Map<number, PartPlan>;

export interface FetchInput {
  store: SnapshotStore;
  id: string;
  snapshot: LoadedSnapshot;
  entries: TreeEntries;
  writer: FileWriter;
  coders: CoderPool;
  /** A byte string, symlinks resolved. */
  root: string;
  deleteExtras: boolean;
  concurrency: number | undefined;
  reporter: Reporter;
  breather: Breather;
  signal: AbortSignal | undefined;
}

/** Paths of files that the store cannot give back, and why. */
export type LostFiles = Map<string, string>;

/** Empties `plan`. What is damaged is left out and the rest goes on. */
export function fetchParts(input: FetchInput, plan: FetchPlan): Promise<LostFiles> {
  return new Fetcher(input).run(plan);
}

class Fetcher {
  readonly #input: FetchInput;
  readonly #lost: LostFiles = new Map();
  readonly #rooms: PartRooms;

  constructor(input: FetchInput) {
    this.#input = input;
    const { index } = input.snapshot;
    const largest = index.parts.reduce((most, { bytes }) => Math.max(most, bytes), 1);
    this.#rooms = new PartRooms(largest, input.coders.capacity);
  }

  async run(plan: FetchPlan): Promise<LostFiles> {
    const { store, id, snapshot, entries, writer, coders, concurrency, signal, reporter } = this.#input;
    const { index, keyring } = snapshot;
    const { progress } = reporter;
    const parts = [...plan];
    const sizes = parts.map(([n]) => index.parts[n]!.bytes);
    progress.partsTotal = parts.length;
    progress.storedBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
    const lanes = partLanes(store, concurrency, Math.max(1, ...sizes), coders);
    const later: [n: number, needs: PartNeeds][] = [];
    await forEachInFlight(parts, lanes, async ([n, partPlan]) => {
      const needs = PartNeeds.of(entries, partPlan);
      plan.delete(n);
      const based = needs.takeBased(index);
      if (based) later.push([n, based]);
      if (needs.size > 0) await this.#receive(n, needs, based === null, writePart);
    });
    if (later.length === 0) return this.#lost;
    const basedIds = later.flatMap(([, needs]) => [...needs.ids()]);
    const places = placesOfBases(index, basedIds, entries, writer.pathsOf);
    const baseFrames = new BaseFrames({ store, id, index, keyring, signal, onReceived: this.#onReceived });
    await forEachInFlight(later, lanes, ([n, needs]) =>
      this.#receive(n, needs, true, (part, ...told) => writeBasedPart({ ...part, index, baseFrames, places }, ...told)),
    );
    return this.#lost;
  }

  async #receive(n: number, needs: PartNeeds, isLast: boolean, write: typeof writePart): Promise<void> {
    const { store, id, snapshot, writer, coders, root, deleteExtras, signal, reporter } = this.#input;
    const part = snapshot.index.parts[n]!;
    const isEncrypted = snapshot.keyring.cipher !== null;
    const rooms = this.#rooms;
    const input: PartInput = { store, id, part, needs, writer, coders, rooms, isEncrypted, root, deleteExtras, signal };
    let reason = `part ${part.key} is damaged`;
    try {
      needs.checkSizes(part);
      await write({ ...input, isInPieces: !isLast }, this.#onReceived, this.#onWritten);
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (error instanceof Stop && error.code === "part_missing") reason = `part ${part.key} is missing`;
    }
    // The rest goes on; what is left of this part is named at the end.
    for (const chunk of needs.ids())
      for (const { file } of needs.targets(chunk))
        if (!this.#lost.has(file.entry.path)) this.#lost.set(file.entry.path, reason);
    if (isLast) reporter.progress.partsDone++;
    reporter.step();
  }

  readonly #onReceived = (bytes: number): void => {
    this.#input.reporter.progress.sentBytes += bytes;
  };

  readonly #onWritten = async (targets: Target[]): Promise<void> => {
    const { writer, breather, reporter } = this.#input;
    for (const target of targets) {
      if (breather.due) await breather.rest();
      writer.finish(target);
      reporter.progress.doneBytes += target.plainBytes;
    }
    reporter.step();
  };
}

function isDamage(error: unknown): boolean {
  if (error instanceof FormatError) return error.code === "snapshot_damaged";
  return error instanceof Stop && (error.code === "part_missing" || error.code === "part_damaged");
}
