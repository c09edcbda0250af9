/** What a piece would cost under each layout: `plain-probe.ts` in WebAssembly, to the bit. */
import { block, entropyTable, histograms, laneCosts, layoutCosts } from "./layout";

const runBytes: usize = 1024;
const symbolCost: u32 = 14;
/** Bytes of 15 histograms of 256 u16. */
const all: usize = 15 << 9;

// @ts-ignore: decorator
@inline
function count(histogram: usize, byte: u64): void {
  const to = histogram + (<usize>(byte & 0xff) << 1);
  store<u16>(to, load<u16>(to) + 1);
}

/** Lanes of eight bytes: as they are, and each with the bit below it. */
function countRun(from: usize, bytes: usize): void {
  let before: u64 = 0;
  for (const end = from + bytes; from < end; from += 8) {
    const w = load<u64>(from);
    const r = (w << 1) | (before >> 63);
    before = w;
    count(histograms, w);
    count(histograms + 512, w >> 8);
    count(histograms + 1024, w >> 16);
    count(histograms + 1536, w >> 24);
    count(histograms + 2048, w >> 32);
    count(histograms + 2560, w >> 40);
    count(histograms + 3072, w >> 48);
    count(histograms + 3584, w >> 56);
    count(histograms + all, r);
    count(histograms + all + 512, r >> 8);
    count(histograms + all + 1024, r >> 16);
    count(histograms + all + 1536, r >> 24);
    count(histograms + all + 2048, r >> 32);
    count(histograms + all + 2560, r >> 40);
    count(histograms + all + 3072, r >> 48);
    count(histograms + all + 3584, r >> 56);
  }
}

function foldLanes(at: usize): void {
  let base: usize = 8;
  for (let stride: usize = 4; stride > 0; stride >>= 1) {
    const wider = at + ((base - 2 * stride) << 9);
    for (let i: usize = 0; i < stride << 9; i += 16) {
      v128.store(at + (base << 9) + i, i16x8.add(v128.load(wider + i), v128.load(wider + (stride << 9) + i)));
    }
    base += stride;
  }
}

// @ts-ignore: decorator
@inline
function entropy(n: u32): u32 {
  return load<u32>(entropyTable + (<usize>n << 2));
}

function cost(symbols: u32, sum: u32, used: u32): u32 {
  return min(128 * symbols, entropy(symbols) - sum + symbolCost * used);
}

function whole(histogram: usize, symbols: u32): u32 {
  let sum: u32 = 0;
  let used: u32 = 0;
  for (let i: usize = 0; i < 512; i += 8) {
    const four = load<u64>(histogram + i);
    if (four == 0) continue;
    const a = <u32>(four & 0xffff);
    const b = <u32>((four >> 16) & 0xffff);
    const c = <u32>((four >> 32) & 0xffff);
    const d = <u32>(four >> 48);
    sum += entropy(a) + entropy(b) + entropy(c) + entropy(d);
    used += u32(a > 0) + u32(b > 0) + u32(c > 0) + u32(d > 0);
  }
  return cost(symbols, sum, used);
}

function lowSevenAndSign(histogram: usize, top: usize, symbols: u32): u32 {
  let sum: u32 = 0;
  let used: u32 = 0;
  for (let i: usize = 0; i < 256; i += 2) {
    const n = <u32>load<u16>(histogram + i) + <u32>load<u16>(histogram + i, 256);
    sum += entropy(n);
    used += u32(n > 0);
  }
  let high: u32 = 0;
  for (let i: usize = 256; i < 512; i += 2) high += load<u16>(top + i);
  const sign = entropy(symbols) - entropy(high) - entropy(symbols - high);
  return min(128 * symbols, cost(symbols, sum, 2 * used) + sign);
}

function strideDoubt(stride: u32): u32 {
  return stride == 1 ? 31 : stride == 2 ? 10 : stride == 4 ? 8 : 6;
}

/** See `Kernels.probe`. */
export function probe(at: usize, bytes: usize): usize {
  memory.fill(histograms, 0, 2 * all);
  const runs: usize = bytes > 4 * runBytes ? 4 : 1;
  const length = runs == 1 ? bytes & ~7 : runBytes;
  for (let run: usize = 0; run < runs; run++) countRun(block + at + (((bytes >> 2) * run) & ~7), length);
  foldLanes(histograms);
  foldLanes(histograms + all);

  const sampled = <u32>(runs * length);
  let to = layoutCosts;
  for (let stride: u32 = 1; stride <= 8; stride <<= 1) {
    const base = histograms + ((16 - 2 * <usize>stride) << 9);
    let sum: u32 = 0;
    for (let lane: usize = 0; lane < <usize>stride; lane++) sum += whole(base + (lane << 9), sampled / stride);
    store<u32>(to, sum + (sum >> strideDoubt(stride)));
    to += 4;
  }
  for (let stride: u32 = 2; stride <= 8; stride <<= 1) {
    const base: usize = (16 - 2 * <usize>stride) << 9;
    const symbols = sampled / stride;
    const asItIs = load<u32>(layoutCosts + (<usize>ctz(stride) << 2));
    const narrower = load<u32>(layoutCosts + (<usize>(ctz(stride) - 1) << 2));
    if (stride > 2 && asItIs > narrower - (narrower >> 6)) {
      for (let phase: u32 = 0; phase < stride; phase++, to += 4) store<u32>(to, asItIs);
      continue;
    }
    let every: u32 = 0;
    // Each lane's cost is asked for by all phases but one.
    for (let lane: u32 = 0; lane < stride; lane++) {
      const own = whole(histograms + all + base + (<usize>lane << 9), symbols);
      store<u32>(laneCosts + (<usize>lane << 2), own);
      every += own;
    }
    for (let phase: u32 = 0; phase < stride; phase++) {
      const lowest = histograms + base + (<usize>phase << 9);
      const top = histograms + base + (<usize>((phase + stride - 1) % stride) << 9);
      const sum =
        every - load<u32>(laneCosts + (<usize>phase << 2)) + lowSevenAndSign(lowest, top, symbols);
      store<u32>(to, sum + (sum >> strideDoubt(stride)));
      to += 4;
    }
  }
  return <usize>sampled;
}
