/**
 * Up to four tables for a plane, one chosen per group of 256 symbols. Groups of one distribution gather under one
 * table: start by quantiles of the groups' means, two rounds of counting and re-assigning on a sample of the groups,
 * merge tables that do not pay for themselves, then one exact pass over all groups.
 */
import { groupSymbols, groupsOf, maxTables, planeModes } from "./format.ts";
import type { Kernels } from "./kernels.ts";
import { normalise } from "./table.ts";

export interface PlaneChoice {
  mode: number;
  /** Of rans. */
  tables: number;
}

/** A plane with at least so many bits a symbol is stored as it is: it would save less than it costs to decode. */
const rawBits = 7.95;
/** With fewer groups the tables cost more than they give. */
const minGroupsToCluster = 8;
const minGroupsToSample = 64;
const sampleStep = 4;
const rounds = 2;
/**
 * From so many bits a symbol on (FP16's high bytes, INT8) a group's 256 symbols say little of its distribution, so that a
 * sample has to be larger and settles later.
 */
const wideBits = 4.5;
const wideRounds = 4;

const raw: PlaneChoice = { mode: planeModes.raw, tables: 0 };
const constant: PlaneChoice = { mode: planeModes.constant, tables: 0 };

/**
 * How the plane of `symbols` symbols at `at` of `kernels.planes` is to be coded. For rans it leaves the frequencies
 * and, with more than one table, the selectors in `kernels`.
 */
export function chooseTables(at: number, symbols: number, kernels: Kernels): PlaneChoice {
  if (symbols === 0) return raw;
  const groups = groupsOf(symbols);
  let tables = 1;
  if (groups < minGroupsToCluster) {
    kernels.selectors.fill(0, 0, groups);
  } else {
    tables = clusterGroups(at, symbols, groups, kernels);
    if (tables === 0) return raw;
  }
  kernels.countGroups(at, symbols, 1);
  let bits = tables > 1 ? 2 * groups : 0;
  for (let table = 0; table < tables; table++) {
    const histogram = measure(kernels.counts.subarray(table * 256, table * 256 + 256), 1);
    if (tables === 1 && histogram.symbols === 1) return constant;
    bits += histogram.bits;
  }
  if (bits >= rawBits * symbols) return raw;
  for (let table = 0; table < tables; table++) {
    const range = [table * 256, table * 256 + 256] as const;
    normalise(kernels.counts.subarray(...range), kernels.frequencies.subarray(...range));
  }
  return { mode: planeModes.rans, tables };
}

/** Gives every group its table; returns how many tables there are, none if the plane is noise. */
function clusterGroups(at: number, symbols: number, groups: number, kernels: Kernels): number {
  let step = groups < minGroupsToSample ? 1 : groups < 4 * minGroupsToSample ? sampleStep : 2 * sampleStep;
  kernels.sumGroups(at, symbols);
  startByQuantiles(kernels, groups);
  kernels.countGroups(at, symbols, step);
  const bits = bitsOfSample(kernels.counts);
  if (bits >= rawBits) return 0;
  const isWide = bits >= wideBits;
  if (isWide) step = Math.min(step, sampleStep);
  for (let round = 0; round < (isWide ? wideRounds : rounds); round++) assignAnew(at, symbols, step, kernels);
  const merged = mergeTables(kernels.counts, groups, step);
  if (merged.length === 1) {
    kernels.selectors.fill(0, 0, groups);
    return 1;
  }
  kernels.counts.fill(0);
  merged.forEach((histogram, table) => {
    kernels.counts.set(histogram.counts, table * 256);
  });
  if (isWide) assignAnew(at, symbols, 1, kernels);
  setCosts(kernels);
  kernels.assignGroups(at, symbols, 1);
  return renumber(kernels.selectors, groups);
}

/** Every `step`-th group by what the tables are now, and the tables by that. */
function assignAnew(at: number, symbols: number, step: number, kernels: Kernels): void {
  setCosts(kernels);
  kernels.assignGroups(at, symbols, step);
  kernels.countGroups(at, symbols, step);
}

/** So that no table is without groups. */
function renumber(selectors: Uint8Array, groups: number): number {
  const numbers = new Uint8Array(maxTables).fill(maxTables);
  let tables = 0;
  for (let group = 0; group < groups; group++) {
    const table = selectors[group]!;
    if (numbers[table] === maxTables) numbers[table] = tables++;
    selectors[group] = numbers[table]!;
  }
  return tables;
}

/** Four clusters of groups, equally many in each, by their means. */
function startByQuantiles(kernels: Kernels, groups: number): void {
  const { sums, selectors } = kernels;
  const groupsWithMean = new Uint32Array(groupSymbols);
  for (let group = 0; group < groups; group++) groupsWithMean[sums[group]! >> 8]!++;
  const clusterOfMean = new Uint8Array(groupSymbols);
  let before = 0;
  for (let mean = 0; mean < 256; mean++) {
    // Of the middle one of the groups with this mean.
    clusterOfMean[mean] = Math.min(maxTables - 1, Math.floor(((before + groupsWithMean[mean]! / 2) * 4) / groups));
    before += groupsWithMean[mean]!;
  }
  for (let group = 0; group < groups; group++) selectors[group] = clusterOfMean[sums[group]! >> 8]!;
}

const logTable = Float64Array.from({ length: 4096 }, (_, n) => (n === 0 ? 0 : Math.log2(n)));

/** log2 of 1..2^20 within 1/1400, and 0 of 0. */
function log2(n: number): number {
  const shift = Math.max(0, 20 - Math.clz32(n));
  return logTable[n >> shift]! + shift;
}

function setCosts(kernels: Kernels): void {
  const { counts, costs } = kernels;
  for (let table = 0, from = 0; table < maxTables; table++, from += 256) {
    let total = 0;
    for (let i = from; i < from + 256; i++) total += counts[i]!;
    const all = log2(total);
    // A symbol that the sample does not have counts as half a one; an empty cluster attracts nothing.
    const absent = costOf(total === 0 ? 16 : all + 1);
    for (let i = from, at = table; i < from + 256; i++, at += 4) {
      const count = counts[i]!;
      costs[at] = count === 0 ? absent : costOf(all - log2(count));
    }
  }
}

/** Of so many bits; not below 0. */
function costOf(bits: number): number {
  return Math.min(255, (16 * bits + 0.5) | 0);
}

interface Histogram {
  counts: Uint32Array;
  symbols: number;
  /** All counts before the first and after the last are 0. */
  first: number;
  last: number;
  /** Of the coded symbols and the table. */
  bits: number;
}

/** `scale`: how many symbols each counted one stands for. `from`, `to`: outside of them all counts are 0. */
function measure(counts: Uint32Array, scale: number, from = 0, to = 255): Histogram {
  let total = 0;
  let sum = 0;
  let symbols = 0;
  let first = 255;
  let last = 0;
  for (let symbol = from; symbol <= to; symbol++) {
    const count = counts[symbol]!;
    if (count === 0) continue;
    if (symbols++ === 0) first = symbol;
    last = symbol;
    total += count;
    sum += count * log2(count);
  }
  const tableBits = 16 + (last - first + 1) + 9 * symbols;
  return { counts, symbols, first, last, bits: scale * (total * log2(total) - sum) + tableBits };
}

function sumOf(a: Histogram, b: Histogram, scale: number): Histogram {
  const [from, to] = [Math.min(a.first, b.first), Math.max(a.last, b.last)];
  const counts = a.counts.slice();
  for (let symbol = b.first; symbol <= b.last; symbol++) counts[symbol]! += b.counts[symbol]!;
  return measure(counts, scale, from, to);
}

/** The four sampled histograms without empty ones; the pair that gains most is merged until none gains. */
function mergeTables(counts: Uint32Array, groups: number, scale: number): Histogram[] {
  let histograms: Histogram[] = [];
  for (let from = 0; from < counts.length; from += 256) {
    const histogram = measure(counts.slice(from, from + 256), scale);
    if (histogram.symbols > 0) histograms.push(histogram);
  }
  while (histograms.length > 1) {
    let best: { pair: Histogram[]; both: Histogram } | undefined;
    let bestGain = 0;
    for (let i = 0; i < histograms.length; i++) {
      for (let j = i + 1; j < histograms.length; j++) {
        const [a, b] = [histograms[i]!, histograms[j]!];
        const both = sumOf(a, b, scale);
        const gain = a.bits + b.bits - both.bits + (histograms.length === 2 ? 2 * groups : 0);
        if (gain <= bestGain) continue;
        best = { pair: [a, b], both };
        bestGain = gain;
      }
    }
    if (!best) break;
    const { pair, both } = best;
    histograms = [...histograms.filter((histogram) => !pair.includes(histogram)), both];
  }
  return histograms;
}

/** Bits a symbol of four sampled histograms, with what few samples hide of the entropy (Miller and Madow). */
function bitsOfSample(counts: Uint32Array): number {
  let bits = 0;
  let all = 0;
  for (let from = 0; from < 1024; from += 256) {
    let total = 0;
    let symbols = 0;
    let sum = 0;
    for (let i = from; i < from + 256; i++) {
      const count = counts[i]!;
      if (count === 0) continue;
      symbols++;
      total += count;
      sum += count * log2(count);
    }
    if (total === 0) continue;
    bits += total * log2(total) - sum + 0.72 * (symbols - 1);
    all += total;
  }
  return bits / all;
}
