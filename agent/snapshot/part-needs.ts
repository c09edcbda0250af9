/**
 * What the chunks of a part are for. Of small files only their numbers in the tree are kept, there may be millions: what
 * a thread must know of one is worked out when its chunk is about to be written.
 */
import { damaged } from "../../core/snapshot/error.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import type { FileEntry } from "../../core/snapshot/tree.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { Target } from "./restore-files.ts";
import type { TreeEntries } from "./tree-entries.ts";

/** A small file by its number in the tree, or a place in a big one. */
type Use = number | Target;

/** Of one part, before it has come. */
export interface PartPlan {
  small: number[];
  big: Target[];
}

export class PartNeeds {
  readonly #entries: TreeEntries;
  readonly #uses: Map<string, Use | Use[]>;

  private constructor(entries: TreeEntries, uses: Map<string, Use | Use[]>) {
    this.#entries = entries;
    this.#uses = uses;
  }

  static of(entries: TreeEntries, { small, big }: PartPlan): PartNeeds {
    const uses = new Map<string, Use | Use[]>();
    const add = (id: string, use: Use) => {
      const known = uses.get(id);
      if (known === undefined) uses.set(id, use);
      else if (Array.isArray(known)) known.push(use);
      else uses.set(id, [known, use]);
    };
    for (const n of small) add((entries.at(n) as FileEntry).chunks[0]!.id, n);
    for (const target of big) add(target.id, target);
    return new PartNeeds(entries, uses);
  }

  get size(): number {
    return this.#uses.size;
  }

  /** Of the chunks that are not written yet. */
  ids(): Iterable<string> {
    return this.#uses.keys();
  }

  has(id: string): boolean {
    return this.#uses.has(id);
  }

  *targets(id: string): Generator<Target, void> {
    const uses = this.#uses.get(id);
    if (uses === undefined) return;
    for (const use of Array.isArray(uses) ? uses : [uses]) yield typeof use === "number" ? this.#smallTarget(use) : use;
  }

  /** The chunk is in all its places. */
  finish(id: string): void {
    this.#uses.delete(id);
  }

  /** Takes the chunks out that are stored with bases; null when there are none. */
  takeBased(index: ChunkIndex): PartNeeds | null {
    const based = new Map<string, Use | Use[]>();
    for (const [id, uses] of this.#uses) if (index.frameOf(id)!.bases.length > 0) based.set(id, uses);
    for (const id of based.keys()) this.#uses.delete(id);
    return based.size > 0 ? new PartNeeds(this.#entries, based) : null;
  }

  /** A chunk that a file names with another size than the index would leave bytes unwritten. Errors: FormatError. */
  checkSizes(part: IndexedPart): void {
    for (const { chunks } of part.frames)
      for (const { id, plainBytes } of chunks)
        for (const target of this.targets(id))
          if (target.plainBytes !== plainBytes) throw damaged("a file names a chunk with another size");
  }

  #smallTarget(n: number): Target {
    const entry = this.#entries.at(n) as FileEntry;
    const { id, plainBytes } = entry.chunks[0]!;
    return { file: { entry, temp: null, missing: 1 }, id, offset: 0, plainBytes };
  }
}
