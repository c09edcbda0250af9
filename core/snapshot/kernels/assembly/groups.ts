/** Groups of 256 symbols: sums, histograms, the best table of four. See `Kernels`. */
import { costs, counts, partial, planes, selectors, sums } from "./layout";

export function sumGroups(at: usize, symbols: usize): void {
  let from = planes + at;
  const end = from + symbols;
  for (let to = sums; from < end; to += 4) {
    const groupEnd = min(from + 256, end);
    let sum = i32x4.splat(0);
    for (; from + 16 <= groupEnd; from += 16) {
      sum = i32x4.add(sum, i32x4.extadd_pairwise_i16x8_u(i16x8.extadd_pairwise_i8x16_u(v128.load(from))));
    }
    let total =
      i32x4.extract_lane(sum, 0) + i32x4.extract_lane(sum, 1) + i32x4.extract_lane(sum, 2) + i32x4.extract_lane(sum, 3);
    for (; from < groupEnd; from++) total += load<u8>(from);
    store<u32>(to, total);
  }
}

// @ts-ignore: decorator
@inline
function count(histogram: usize, symbol: u64): void {
  const to = histogram + (<usize>(symbol & 0xff) << 2);
  store<u32>(to, load<u32>(to) + 1);
}

export function countGroups(at: usize, symbols: usize, step: usize): void {
  memory.fill(counts, 0, 4096);
  for (let table: usize = 0; table < 4; table++) {
    memory.fill(partial, 0, 4096);
    let any = false;
    for (let first: usize = 0; first < symbols; first += step << 8) {
      if (load<u8>(selectors + (first >> 8)) != <u8>table) continue;
      any = true;
      let from = planes + at + first;
      const end = planes + at + min(first + 256, symbols);
      for (; from + 8 <= end; from += 8) {
        const s = load<u64>(from);
        count(partial, s);
        count(partial + 1024, s >> 8);
        count(partial + 2048, s >> 16);
        count(partial + 3072, s >> 24);
        count(partial, s >> 32);
        count(partial + 1024, s >> 40);
        count(partial + 2048, s >> 48);
        count(partial + 3072, s >> 56);
      }
      for (; from < end; from++) count(partial, load<u8>(from));
    }
    if (!any) continue;
    const to = counts + (table << 10);
    for (let i: usize = 0; i < 1024; i += 16) {
      const low = i32x4.add(v128.load(partial + i), v128.load(partial + i, 1024));
      const high = i32x4.add(v128.load(partial + i, 2048), v128.load(partial + i, 3072));
      v128.store(to + i, i32x4.add(low, high));
    }
  }
}

/** Four sums of 16 bits in one word: 256 symbols of at most 255 each do not run over. */
export function assignGroups(at: usize, symbols: usize, step: usize): void {
  for (let first: usize = 0; first < symbols; first += step << 8) {
    let from = planes + at + first;
    const end = planes + at + min(first + 256, symbols);
    let a: u64 = 0;
    let b: u64 = 0;
    for (; from + 8 <= end; from += 8) {
      const s = load<u64>(from);
      a += load<u64>(costs + (<usize>(s & 0xff) << 3));
      b += load<u64>(costs + (<usize>((s >> 8) & 0xff) << 3));
      a += load<u64>(costs + (<usize>((s >> 16) & 0xff) << 3));
      b += load<u64>(costs + (<usize>((s >> 24) & 0xff) << 3));
      a += load<u64>(costs + (<usize>((s >> 32) & 0xff) << 3));
      b += load<u64>(costs + (<usize>((s >> 40) & 0xff) << 3));
      a += load<u64>(costs + (<usize>((s >> 48) & 0xff) << 3));
      b += load<u64>(costs + (<usize>(s >> 56) << 3));
    }
    for (; from < end; from++) a += load<u64>(costs + (<usize>load<u8>(from) << 3));
    const bits = a + b;
    let best: u8 = 0;
    let least = <u32>(bits & 0xffff);
    for (let table: u32 = 1; table < 4; table++) {
      const sum = <u32>((bits >> (table << 4)) & 0xffff);
      if (sum < least) {
        least = sum;
        best = <u8>table;
      }
    }
    store<u8>(selectors + (first >> 8), best);
  }
}
