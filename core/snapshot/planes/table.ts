/**
 * Tables of symbol frequencies: how counts become frequencies that sum to 2048, and how a table is written.
 *
 * rtable = u8 first | u8 last | bitmap(first..last) | per present symbol, ascending: freq - 1, as u8 below 128, else as
 * two bytes: 128 | high 7 bits, low 8 bits.
 */
import type { ByteReader, ByteWriter } from "../bytes.ts";
import { damaged } from "../error.ts";
import { frequencySum } from "./format.ts";

/** Writes the table of `frequencies` (256 of them, sum 2048). */
export function writeTable(writer: ByteWriter, frequencies: Uint16Array): void {
  let first = 0;
  while (frequencies[first] === 0) first++;
  let last = 255;
  while (frequencies[last] === 0) last--;
  writer.u8(first);
  writer.u8(last);
  for (let from = first; from <= last; from += 8) {
    let bits = 0;
    for (let symbol = from; symbol <= Math.min(last, from + 7); symbol++) {
      if (frequencies[symbol] !== 0) bits |= 1 << (symbol - from);
    }
    writer.u8(bits);
  }
  for (let symbol = first; symbol <= last; symbol++) {
    const value = frequencies[symbol]! - 1;
    if (value < 0) continue;
    if (value >= 128) writer.u8(128 | (value >> 8));
    writer.u8(value & 255);
  }
}

/** Fills `frequencies` (256). Errors: FormatError unless the table is in its only form and sums to 2048. */
export function readTable(reader: ByteReader, frequencies: Uint16Array): void {
  frequencies.fill(0);
  const first = reader.u8();
  const last = reader.u8();
  if (first > last) throw damaged("a table ends before it begins");
  const bitmap = reader.take(((last - first) >> 3) + 1);
  const isPresent = (symbol: number) => (bitmap[(symbol - first) >> 3]! >> ((symbol - first) & 7)) & 1;
  const unused = bitmap.length * 8 - (last - first + 1);
  if (!isPresent(first) || !isPresent(last) || bitmap[bitmap.length - 1]! >> (8 - unused) !== 0) {
    throw damaged("a table has a bitmap of another range");
  }
  let sum = 0;
  for (let symbol = first; symbol <= last; symbol++) {
    if (!isPresent(symbol)) continue;
    let value = reader.u8();
    if (value >= 128) {
      value = ((value & 127) << 8) | reader.u8();
      if (value < 128) throw damaged("a table has an overlong frequency");
    }
    frequencies[symbol] = Math.min(value + 1, frequencySum + 1);
    sum += value + 1;
  }
  if (sum !== frequencySum) throw damaged(`a table's frequencies sum to ${sum}`);
}

/**
 * Frequencies near `counts` (256 of them, at least one not 0) that sum to 2048; every symbol that occurs gets at least 1.
 */
export function normalise(counts: Uint32Array, frequencies: Uint16Array): void {
  frequencies.fill(0);
  // Symbols too rare for a share of their own get 1; the rest of the sum is divided among the others. Each symbol that
  // gets 1 makes the others' shares smaller, so another may become too rare.
  let total = 0;
  let left = frequencySum;
  for (let symbol = 0; symbol < 256; symbol++) total += counts[symbol]!;
  for (let again = true; again; ) {
    again = false;
    for (let symbol = 0; symbol < 256; symbol++) {
      const count = counts[symbol]!;
      if (count === 0 || frequencies[symbol] !== 0 || count * left >= total) continue;
      frequencies[symbol] = 1;
      total -= count;
      left--;
      again = true;
    }
  }
  // Rounded on the running sum, so that the parts sum to the whole; a share of at least 1 never becomes 0.
  let running = 0;
  let given = 0;
  for (let symbol = 0; symbol < 256; symbol++) {
    const count = counts[symbol]!;
    if (count === 0 || frequencies[symbol] !== 0) continue;
    running += count;
    const until = Math.floor((running * left) / total);
    frequencies[symbol] = until - given;
    given = until;
  }
}
