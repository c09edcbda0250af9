/**
 * The newest steps of one length, in a ring of typed arrays: for each GPU the highest and the mean utilisation, for all
 * together the memory. Written as bytes without what is empty at its ends.
 */

/** What GPUs did from one moment to another. Percent and MB; null is "not known". */
export interface Use {
  /** Epoch ms. */
  fromAt: number;
  toAt: number;
  gpus: readonly { index: number; max: number | null; mean: number | null }[];
  usedMb: number | null;
  totalMb: number | null;
}

/** One step, by the index of the GPU. */
export interface StepValues {
  max: (number | null)[];
  mean: (number | null)[];
  usedMb: number | null;
  totalMb: number | null;
  /** How much of it was measured. */
  knownMs: number;
}

/** GPUs of a higher index are not kept. */
export const maxColumns = 64;

const noPercent = 0xffff;
const noMb = 0xffff_ffff;
const percentParts = 100;
/** What is measured of a step is counted in these: 600 s fit into 16 bits. */
const weightMs = 10;
/** An interval that only just reaches into a step says nothing of it. */
const leastShare = 0.1;
const headerWords = 3;

export class StepRing {
  readonly stepMs: number;
  readonly size: number;
  /** Number of the newest step, counted from the epoch; null: there is none. */
  newest: number | null = null;
  #columns = 0;
  #used: Uint32Array;
  #total: Uint32Array;
  #weight: Uint16Array;
  #max = new Uint16Array(0);
  #mean = new Uint16Array(0);

  constructor(stepMs: number, size: number) {
    this.stepMs = stepMs;
    this.size = size;
    this.#used = new Uint32Array(size).fill(noMb);
    this.#total = new Uint32Array(size).fill(noMb);
    this.#weight = new Uint16Array(size);
  }

  /** The first step that it can still hold. */
  get oldest(): number | null {
    return this.newest === null ? null : Math.max(0, this.newest - this.size + 1);
  }

  /** Times before the epoch, and before what the ring reaches back to, are left out. */
  add(use: Use): void {
    const { stepMs } = this;
    const last = Math.ceil(use.toAt / stepMs) - 1;
    if (last < 0 || use.toAt <= use.fromAt) return;
    const least = leastShare * Math.min(stepMs, use.toAt - use.fromAt);
    const first = Math.max(Math.floor(use.fromAt / stepMs), last - this.size + 1, 0);
    for (let step = first; step <= last; step++) {
      const ms = Math.min(use.toAt, (step + 1) * stepMs) - Math.max(use.fromAt, step * stepMs);
      if (ms >= least) this.#put(step, use, ms);
    }
  }

  #put(step: number, use: Use, ms: number): void {
    if (this.newest === null) this.newest = step;
    if (step > this.newest) this.#goOn(step);
    if (step <= this.newest - this.size) return;
    this.#widen(use.gpus.reduce((most, { index }) => Math.max(most, index + 1), 0));
    const slot = step % this.size;
    this.#used[slot] = moreOf(this.#used[slot]!, use.usedMb);
    this.#total[slot] = moreOf(this.#total[slot]!, use.totalMb);
    // Time that was measured twice, as with a clock that was set back, makes no step longer than it is.
    const before = this.#weight[slot]!;
    // At least one: a step without weight counts as one of which nothing is known, and would be lost as bytes.
    const weight = Math.min(Math.max(Math.round(ms / weightMs), 1), Math.round(this.stepMs / weightMs) - before);
    for (const { index, max, mean } of use.gpus) {
      if (index >= this.#columns) continue;
      const at = slot * this.#columns + index;
      if (max !== null) {
        const known = this.#max[at]!;
        this.#max[at] = known === noPercent ? partsOf(max) : Math.max(known, partsOf(max));
      }
      if (mean !== null) {
        const known = this.#mean[at]!;
        if (known === noPercent) this.#mean[at] = partsOf(mean);
        else if (weight > 0) this.#mean[at] = Math.round((known * before + partsOf(mean) * weight) / (before + weight));
      }
    }
    this.#weight[slot] = before + weight;
  }

  #goOn(step: number): void {
    const first = Math.max(this.newest! + 1, step - this.size + 1);
    for (let one = first; one <= step; one++) this.#clear(one % this.size);
    this.newest = step;
  }

  #clear(slot: number): void {
    this.#used[slot] = noMb;
    this.#total[slot] = noMb;
    this.#weight[slot] = 0;
    this.#max.fill(noPercent, slot * this.#columns, (slot + 1) * this.#columns);
    this.#mean.fill(noPercent, slot * this.#columns, (slot + 1) * this.#columns);
  }

  #widen(wanted: number): void {
    const columns = Math.min(wanted, maxColumns);
    if (columns <= this.#columns) return;
    const widened = (old: Uint16Array) => {
      const wide = new Uint16Array(this.size * columns).fill(noPercent);
      for (let slot = 0; slot < this.size; slot++)
        wide.set(old.subarray(slot * this.#columns, (slot + 1) * this.#columns), slot * columns);
      return wide;
    };
    this.#max = widened(this.#max);
    this.#mean = widened(this.#mean);
    this.#columns = columns;
  }

  /** Null: nothing was measured, or it is no longer held. */
  at(step: number): StepValues | null {
    const slot = this.#slotOf(step);
    if (slot === null) return null;
    const row = (of: Uint16Array) =>
      Array.from(of.subarray(slot * this.#columns, (slot + 1) * this.#columns), (one) =>
        one === noPercent ? null : one / percentParts,
      );
    const mb = (value: number) => (value === noMb ? null : value);
    return {
      max: row(this.#max),
      mean: row(this.#mean),
      usedMb: mb(this.#used[slot]!),
      totalMb: mb(this.#total[slot]!),
      knownMs: this.#weight[slot]! * weightMs,
    };
  }

  /** The highest of all GPUs: one that is busy makes a machine busy. */
  peakAt(step: number): number | null {
    const slot = this.#slotOf(step);
    if (slot === null) return null;
    let peak: number | null = null;
    for (let i = slot * this.#columns; i < (slot + 1) * this.#columns; i++) {
      const value = this.#max[i]!;
      if (value !== noPercent && (peak === null || value > peak)) peak = value;
    }
    return peak === null ? null : peak / percentParts;
  }

  #slotOf(step: number): number | null {
    if (this.newest === null || step > this.newest || step <= this.newest - this.size || step < 0) return null;
    const slot = step % this.size;
    return this.#weight[slot] === 0 ? null : slot;
  }

  /** The steps from `first` to `last`, both included, as bytes. */
  toBytes(first = this.oldest ?? 0, last = this.newest ?? -1): Uint8Array<ArrayBuffer> {
    let [from, to] = [first, last];
    while (from <= to && this.#slotOf(from) === null) from++;
    while (to >= from && this.#slotOf(to) === null) to--;
    const count = to - from + 1;
    const columns = this.#columnsIn(from, to);
    const bytes = new Uint8Array(headerWords * 4 + count * (10 + 4 * columns));
    new Uint32Array(bytes.buffer, 0, headerWords).set([from, count, columns]);
    const { used, total, weight, max, mean } = fieldsOf(bytes, count, columns);
    for (let i = 0; i < count; i++) {
      const slot = this.#slotOf(from + i);
      if (slot === null) {
        used[i] = noMb;
        total[i] = noMb;
        max.fill(noPercent, i * columns, (i + 1) * columns);
        mean.fill(noPercent, i * columns, (i + 1) * columns);
        continue;
      }
      used[i] = this.#used[slot]!;
      total[i] = this.#total[slot]!;
      weight[i] = this.#weight[slot]!;
      const start = slot * this.#columns;
      max.set(this.#max.subarray(start, start + columns), i * columns);
      mean.set(this.#mean.subarray(start, start + columns), i * columns);
    }
    return bytes;
  }

  #columnsIn(first: number, last: number): number {
    let columns = 0;
    for (let step = first; step <= last; step++) {
      const slot = this.#slotOf(step);
      if (slot === null) continue;
      for (let i = this.#columns - 1; i >= columns; i--)
        if (this.#max[slot * this.#columns + i] !== noPercent || this.#mean[slot * this.#columns + i] !== noPercent) {
          columns = i + 1;
          break;
        }
    }
    return columns;
  }

  /** Takes in what `toBytes` wrote, into an empty ring. Bytes that are something else leave it empty. */
  load(bytes: Uint8Array): void {
    const whole = bytes.slice();
    if (whole.length < headerWords * 4) return;
    const [from = 0, count = 0, columns = 0] = new Uint32Array(whole.buffer, 0, headerWords);
    if (columns > maxColumns || whole.length !== headerWords * 4 + count * (10 + 4 * columns) || count === 0) return;
    const { used, total, weight, max, mean } = fieldsOf(whole, count, columns);
    this.#widen(columns);
    this.newest = from + count - 1;
    for (let i = Math.max(0, count - this.size); i < count; i++) {
      const slot = (from + i) % this.size;
      this.#used[slot] = used[i]!;
      this.#total[slot] = total[i]!;
      this.#weight[slot] = weight[i]!;
      this.#max.set(max.subarray(i * columns, (i + 1) * columns), slot * this.#columns);
      this.#mean.set(mean.subarray(i * columns, (i + 1) * columns), slot * this.#columns);
    }
  }
}

/** Views of the columns, the four-byte ones first so that all are aligned. */
function fieldsOf(bytes: Uint8Array<ArrayBuffer>, count: number, columns: number) {
  const { buffer } = bytes;
  const words = headerWords * 4;
  const halves = words + 8 * count;
  return {
    used: new Uint32Array(buffer, words, count),
    total: new Uint32Array(buffer, words + 4 * count, count),
    weight: new Uint16Array(buffer, halves, count),
    max: new Uint16Array(buffer, halves + 2 * count, count * columns),
    mean: new Uint16Array(buffer, halves + 2 * count * (1 + columns), count * columns),
  };
}

function moreOf(known: number, value: number | null): number {
  if (value === null) return known;
  const whole = Math.min(Math.round(value), noMb - 1);
  return known === noMb ? whole : Math.max(known, whole);
}

function partsOf(percent: number): number {
  return Math.round(percent * percentParts);
}
