/** rANS, 32 lanes in eight vectors. `plain-kernels.ts` has the same in the open; FORMAT.md has the rule. */
import {
  decodeTables,
  encodeTables,
  frequencies,
  packShuffles,
  planes,
  selectors,
  spreadShuffles,
  states,
  words,
  wordsEnd,
} from "./layout";

/** For each set of four lanes (a bit each), the shuffles that take words from them and give words to them. */
export function initRans(): void {
  for (let mask: usize = 0; mask < 16; mask++) {
    const give = spreadShuffles + (mask << 5);
    const kept = give + 16;
    const pack = packShuffles + (mask << 4);
    memory.fill(give, 0x80, 32);
    memory.fill(pack, 0x80, 16);
    const given = popcnt<u32>(<u32>mask);
    let taken: u32 = 0;
    for (let lane: usize = 0; lane < 4; lane++) {
      const low = <u16>(lane * 0x404 + 0x100);
      if ((mask >> lane) & 1) {
        store<u16>(give + lane * 4, <u16>(taken * 0x202 + 0x100));
        store<u16>(kept + lane * 4 + 2, low);
        store<u16>(pack + 8 - <usize>(given - taken) * 2, low);
        taken++;
      } else {
        store<u32>(kept + lane * 4, <u32>(lane * 0x4040404) + 0x3020100);
      }
    }
  }
}

function fillDecodeTables(tables: usize): void {
  for (let table: usize = 0; table < tables; table++) {
    let to = decodeTables + (table << 13);
    for (let symbol: usize = 0; symbol < 256; symbol++) {
      const frequency = <u32>load<u16>(frequencies + (table << 9) + (symbol << 1));
      const entry = <u32>symbol | (frequency << 8);
      for (let bias: u32 = 0; bias < frequency; bias++) {
        store<u32>(to, entry | (bias << 20));
        to += 4;
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function lookUp(state: v128, table: usize): v128 {
  const slots = v128.and(i32x4.shl(state, 2), i32x4.splat(2047 << 2));
  const low = i64x2.extract_lane(slots, 0);
  const high = i64x2.extract_lane(slots, 1);
  let entries = v128.load32_zero(table + <usize>(<u32>low));
  entries = v128.load_lane<u32>(table + <usize>(low >> 32), entries, 1);
  entries = v128.load_lane<u32>(table + <usize>(<u32>high), entries, 2);
  return v128.load_lane<u32>(table + <usize>(high >> 32), entries, 3);
}

// @ts-ignore: decorator
@inline
function step(state: v128, entries: v128): v128 {
  const frequency = v128.and(i32x4.shr_u(entries, 8), i32x4.splat(0xfff));
  return i32x4.add(i32x4.mul(frequency, i32x4.shr_u(state, 11)), i32x4.shr_u(entries, 20));
}

// @ts-ignore: decorator
@inline
function low(state: v128): u32 {
  return i32x4.bitmask(i32x4.lt_s(state, i32x4.splat(1 << 15)));
}

/** The lanes of `mask` shift up by a word and take the next ones, from `at` on. */
// @ts-ignore: decorator
@inline
function refill(state: v128, mask: u32, at: usize): v128 {
  const shuffles = spreadShuffles + (<usize>mask << 5);
  return v128.or(v128.swizzle(state, v128.load(shuffles, 16)), v128.swizzle(v128.load64_zero(at), v128.load(shuffles)));
}

// @ts-ignore: decorator
@inline
function bytesOf(mask: u32): usize {
  return <usize>popcnt<u32>(mask) << 1;
}

/** See `Kernels.decode`. */
export function decode(at: usize, symbols: usize, tables: usize, wordCount: usize): bool {
  fillDecodeTables(tables);
  let from = words;
  const end = words + (wordCount << 1);
  let to = planes + at;
  const whole = to + (symbols & ~31);
  let x0 = v128.load(states);
  let x1 = v128.load(states, 16);
  let x2 = v128.load(states, 32);
  let x3 = v128.load(states, 48);
  let x4 = v128.load(states, 64);
  let x5 = v128.load(states, 80);
  let x6 = v128.load(states, 96);
  let x7 = v128.load(states, 112);
  let group = selectors;
  const bytes = i32x4.splat(0xff);
  while (to < whole) {
    const table = decodeTables + (<usize>load<u8>(group++) << 13);
    const groupEnd = min<usize>(to + 256, whole);
    while (to < groupEnd) {
      // Damaged words may ask for more than there are; a row takes at most 64 bytes.
      if (from > end) return false;
      const e0 = lookUp(x0, table);
      const e1 = lookUp(x1, table);
      const e2 = lookUp(x2, table);
      const e3 = lookUp(x3, table);
      const a = i16x8.narrow_i32x4_u(v128.and(e0, bytes), v128.and(e1, bytes));
      const b = i16x8.narrow_i32x4_u(v128.and(e2, bytes), v128.and(e3, bytes));
      v128.store(to, i8x16.narrow_i16x8_u(a, b));
      x0 = step(x0, e0);
      const m0 = low(x0);
      x0 = refill(x0, m0, from);
      from += bytesOf(m0);
      x1 = step(x1, e1);
      const m1 = low(x1);
      x1 = refill(x1, m1, from);
      from += bytesOf(m1);
      x2 = step(x2, e2);
      const m2 = low(x2);
      x2 = refill(x2, m2, from);
      from += bytesOf(m2);
      x3 = step(x3, e3);
      const m3 = low(x3);
      x3 = refill(x3, m3, from);
      from += bytesOf(m3);
      const e4 = lookUp(x4, table);
      const e5 = lookUp(x5, table);
      const e6 = lookUp(x6, table);
      const e7 = lookUp(x7, table);
      const c = i16x8.narrow_i32x4_u(v128.and(e4, bytes), v128.and(e5, bytes));
      const d = i16x8.narrow_i32x4_u(v128.and(e6, bytes), v128.and(e7, bytes));
      v128.store(to, i8x16.narrow_i16x8_u(c, d), 16);
      x4 = step(x4, e4);
      const m4 = low(x4);
      x4 = refill(x4, m4, from);
      from += bytesOf(m4);
      x5 = step(x5, e5);
      const m5 = low(x5);
      x5 = refill(x5, m5, from);
      from += bytesOf(m5);
      x6 = step(x6, e6);
      const m6 = low(x6);
      x6 = refill(x6, m6, from);
      from += bytesOf(m6);
      x7 = step(x7, e7);
      const m7 = low(x7);
      x7 = refill(x7, m7, from);
      from += bytesOf(m7);
      to += 32;
    }
  }
  v128.store(states, x0);
  v128.store(states, x1, 16);
  v128.store(states, x2, 32);
  v128.store(states, x3, 48);
  v128.store(states, x4, 64);
  v128.store(states, x5, 80);
  v128.store(states, x6, 96);
  v128.store(states, x7, 112);

  const rest = symbols & 31;
  if (rest > 0) {
    const table = decodeTables + (<usize>load<u8>(selectors + ((symbols & ~31) >> 8)) << 13);
    for (let lane: usize = 0; lane < rest; lane++) {
      let x = load<u32>(states + (lane << 2));
      const entry = load<u32>(table + <usize>((x & 2047) << 2));
      store<u8>(to + lane, <u8>entry);
      x = ((entry >> 8) & 0xfff) * (x >> 11) + (entry >> 20);
      if (x < 1 << 15) {
        if (from >= end) return false;
        x = (x << 16) | <u32>load<u16>(from);
        from += 2;
      }
      store<u32>(states + (lane << 2), x);
    }
  }
  let wrong: u32 = 0;
  for (let lane: usize = 0; lane < 32; lane++) wrong |= load<u32>(states + (lane << 2)) ^ (1 << 15);
  return from == end && wrong == 0;
}

function fillEncodeTables(tables: usize): void {
  for (let table: usize = 0; table < tables; table++) {
    let start: u32 = 0;
    for (let symbol: usize = 0; symbol < 256; symbol++) {
      const frequency = <u32>load<u16>(frequencies + (table << 9) + (symbol << 1));
      const to = encodeTables + (table << 11) + (symbol << 3);
      store<u32>(to, frequency | (start << 12));
      store<f32>(to + 4, frequency ? <f32>1 / <f32>frequency : 0);
      start += frequency;
    }
  }
}

/** Four lanes' symbols at `at` into their states at `lane`; words go in front of `end`. Returns the new end. */
// @ts-ignore: decorator
@inline
function encodeFour(at: usize, lane: usize, table: usize, end: usize): usize {
  const s = load<u32>(at);
  let low = v128.load64_zero(table + <usize>((s & 0xff) << 3));
  low = v128.load_lane<u64>(table + <usize>((s >> 5) & 0x7f8), low, 1);
  let high = v128.load64_zero(table + <usize>((s >> 13) & 0x7f8));
  high = v128.load_lane<u64>(table + <usize>((s >> 21) & 0x7f8), high, 1);
  const pair = v128.shuffle<u32>(low, high, 0, 2, 4, 6);
  const inverse = v128.shuffle<u32>(low, high, 1, 3, 5, 7);
  const frequency = v128.and(pair, i32x4.splat(0xfff));
  let x = v128.load(lane);

  const full = i32x4.ge_u(x, i32x4.shl(frequency, 20));
  const mask = <usize>i32x4.bitmask(full);
  v128.store64_lane(end - 8, v128.swizzle(x, v128.load(packShuffles + (mask << 4))), 0);
  end -= <usize>popcnt<u32>(<u32>mask) << 1;
  x = v128.bitselect(i32x4.shr_u(x, 16), x, full);

  // x / frequency is below 2^20 and its f32 estimate within 1/4 of it; the nearest integer is then the quotient or one
  // more. Adding 2^23 leaves that integer in the low bits.
  const estimate = f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(x), inverse), f32x4.splat(8388608));
  let quotient = v128.and(estimate, i32x4.splat(0x7fffff));
  let remainder = i32x4.sub(x, i32x4.mul(quotient, frequency));
  const over = i32x4.shr_s(remainder, 31);
  quotient = i32x4.add(quotient, over);
  remainder = i32x4.add(remainder, v128.and(over, frequency));
  v128.store(lane, i32x4.add(i32x4.add(i32x4.shl(quotient, 11), remainder), i32x4.shr_u(pair, 12)));
  return end;
}

/** See `Kernels.encode`. */
export function encode(at: usize, symbols: usize, tables: usize): usize {
  fillEncodeTables(tables);
  for (let i: usize = 0; i < 128; i += 16) v128.store(states + i, i32x4.splat(1 << 15));
  const from = planes + at;
  let end = wordsEnd;
  let row = symbols & ~31;
  if (row < symbols) {
    const table = encodeTables + (<usize>load<u8>(selectors + (row >> 8)) << 11);
    for (let lane = (symbols & 31) - 1; <isize>lane >= 0; lane--) {
      const pair = load<u32>(table + (<usize>load<u8>(from + row + lane) << 3));
      const frequency = pair & 0xfff;
      let x = load<u32>(states + (lane << 2));
      if (x >= frequency << 20) {
        end -= 2;
        store<u16>(end, <u16>x);
        x >>= 16;
      }
      store<u32>(states + (lane << 2), ((x / frequency) << 11) + (x % frequency) + (pair >> 12));
    }
  }
  while (row > 0) {
    row -= 32;
    const table = encodeTables + (<usize>load<u8>(selectors + (row >> 8)) << 11);
    const to = from + row;
    end = encodeFour(to + 28, states + 112, table, end);
    end = encodeFour(to + 24, states + 96, table, end);
    end = encodeFour(to + 20, states + 80, table, end);
    end = encodeFour(to + 16, states + 64, table, end);
    end = encodeFour(to + 12, states + 48, table, end);
    end = encodeFour(to + 8, states + 32, table, end);
    end = encodeFour(to + 4, states + 16, table, end);
    end = encodeFour(to, states, table, end);
  }
  return (wordsEnd - end) >> 1;
}
