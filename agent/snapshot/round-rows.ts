/**
 * The rows of one round and the digest over them, both in the order of the tree. Rows come in that order as long as nothing must be
 * read; from then on they come as they are made, wait, and are taken in when all are there.
 */
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import { isInDigest } from "../../core/snapshot/tree.ts";
import { nodePrimitives } from "./primitives.ts";
import { RowList } from "./row-list.ts";
import { type Row, recordOf } from "./rows.ts";

const hashBytes = 1 << 16;
/** What is known of an entry whose row waits. */
const seen = { row: 1, rested: 2, inDigest: 4 } as const;

export class RoundRows {
  /** In the order of the tree. */
  readonly entries = new RowList();
  /** What the cache keeps: those of them that have rested. */
  readonly rested = new RowList();
  readonly #hasher = nodePrimitives.newSha256();
  readonly #toHash = new ByteWriter(2 * hashBytes);
  #isWaiting = false;
  /** In the order in which they came; `#placeOf`: where among them an entry's is. */
  readonly #waiting = new RowList();
  #placeOf = new Uint32Array(0);
  #seen = new Uint8Array(0);

  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** From now on rows wait. `count`: of entries. */
  wait(count: number): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#placeOf = new Uint32Array(count);
    this.#seen = new Uint8Array(count);
  }

  /** From now on rows come in the order of the tree again, those that wait by `take`. */
  goOn(): void {
    this.#isWaiting = false;
  }

  /** `n`: its place in the tree. */
  add(n: number, type: string, row: Row, hasRested: boolean): void {
    if (!this.#isWaiting) {
      this.#keep(row, hasRested, isInDigest(type));
      return;
    }
    this.#placeOf[n] = this.#waiting.length;
    this.#waiting.push(row);
    this.#seen[n] = seen.row | (hasRested ? seen.rested : 0) | (isInDigest(type) ? seen.inDigest : 0);
  }

  /** The row of an entry that waits is taken in; false: there is none. */
  take(n: number): boolean {
    const what = this.#seen[n]!;
    if (!(what & seen.row)) return false;
    const row = this.#waiting.at(this.#placeOf[n]!);
    this.#keep(row, (what & seen.rested) !== 0, (what & seen.inDigest) !== 0);
    return true;
  }

  /** The row of an entry that waits, which waits no longer; null: there is none. */
  drop(n: number): Row | null {
    if (!(this.#seen[n]! & seen.row)) return null;
    this.#seen[n] = 0;
    return this.#waiting.at(this.#placeOf[n]!);
  }

  /** 64 hex digits. */
  digest(): string {
    this.#hash();
    return Buffer.from(this.#hasher.digest()).toString("hex");
  }

  #keep(row: Row, hasRested: boolean, isHashed: boolean): void {
    if (hasRested) this.rested.push(row);
    this.entries.push(row);
    if (!isHashed) return;
    this.#toHash.bytes(recordOf(row));
    if (this.#toHash.length >= hashBytes) this.#hash();
  }

  #hash(): void {
    this.#hasher.update(this.#toHash.view());
    this.#toHash.clear();
  }
}
