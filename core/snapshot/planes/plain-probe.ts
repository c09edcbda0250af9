/**
 * What a piece of bytes would cost under each layout, from a sample of it: histograms of the byte lanes mod 8, as they
 * are and rotated. Byte `p` of a rotated element is `b[p] << 1 | b[p-1] >> 7` whatever the stride, but for its lowest
 * one, whose low bit is the sign: that one's cost is taken as that of its 7 other bits and of the sign, apart.
 */

/** Each run's bytes. A piece of more than `4 * runBytes` is sampled in four runs. */
const runBytes = 1024;
/** Bits that a symbol in use costs, in 1/16: its share of a table, and what a histogram of few samples hides. */
const symbolCost = 14;

/** Few samples flatter wide strides: they must gain 1/1024, 1/256, 1/64 more. */
const strideDoubt = (stride: number) => (stride === 1 ? 31 : stride === 2 ? 10 : stride === 4 ? 8 : 6);

/** See `Kernels.probe`. */
export function estimateLayouts(
  block: Uint8Array,
  at: number,
  bytes: number,
  entropyTable: Uint32Array,
  layoutCosts: Uint32Array,
): number {
  // As they are: lanes 0..7 of stride 8, then 0..3 of stride 4, 0..1 of stride 2, 0 of stride 1. Rotated: the same order.
  const plain = new Uint16Array(15 * 256);
  const rotated = new Uint16Array(15 * 256);
  const runs = bytes > 4 * runBytes ? 4 : 1;
  const length = runs === 1 ? bytes & ~7 : runBytes;
  for (let run = 0; run < runs; run++) {
    const from = at + (((bytes >> 2) * run) & ~7);
    let before = 0;
    for (let i = 0; i < length; i++) {
      const byte = block[from + i]!;
      plain[(i & 7) * 256 + byte]!++;
      rotated[(i & 7) * 256 + (((byte << 1) | (before >> 7)) & 255)]!++;
      before = byte;
    }
  }
  for (const histograms of [plain, rotated]) {
    for (let stride = 4, base = 8; stride > 0; base += stride, stride >>= 1) {
      for (let i = 0; i < stride * 256; i++) {
        const wider = (base - 2 * stride) * 256 + i;
        histograms[base * 256 + i] = histograms[wider]! + histograms[wider + stride * 256]!;
      }
    }
  }

  const sampled = runs * length;
  const cost = (symbols: number, sum: number, used: number) =>
    Math.min(128 * symbols, entropyTable[symbols]! - sum + symbolCost * used);
  const whole = (histograms: Uint16Array, lane: number, symbols: number) => {
    let sum = 0;
    let used = 0;
    for (let symbol = 0; symbol < 256; symbol++) {
      const count = histograms[lane * 256 + symbol]!;
      sum += entropyTable[count]!;
      if (count > 0) used++;
    }
    return cost(symbols, sum, used);
  };
  const lowSeven = (lane: number, symbols: number) => {
    let sum = 0;
    let used = 0;
    for (let symbol = 0; symbol < 128; symbol++) {
      const count = plain[lane * 256 + symbol]! + plain[lane * 256 + 128 + symbol]!;
      sum += entropyTable[count]!;
      if (count > 0) used++;
    }
    return cost(symbols, sum, 2 * used);
  };
  const sign = (lane: number, symbols: number) => {
    let high = 0;
    for (let symbol = 128; symbol < 256; symbol++) high += plain[lane * 256 + symbol]!;
    return entropyTable[symbols]! - entropyTable[high]! - entropyTable[symbols - high]!;
  };

  for (let layout = 0, stride = 1; layout < 4; layout++, stride *= 2) {
    const base = 16 - 2 * stride;
    let sum = 0;
    for (let lane = 0; lane < stride; lane++) sum += whole(plain, base + lane, sampled / stride);
    layoutCosts[layout] = sum + (sum >>> strideDoubt(stride));
  }
  for (let layout = 4, stride = 2; stride <= 8; stride *= 2) {
    const base = 16 - 2 * stride;
    const symbols = sampled / stride;
    // Where a wider stride does not pay as it is, its rotations are not asked for.
    const asItIs = layoutCosts[Math.log2(stride)]!;
    const narrower = layoutCosts[Math.log2(stride) - 1]!;
    if (stride > 2 && asItIs > narrower - (narrower >>> 6)) {
      layoutCosts.fill(asItIs, layout, layout + stride);
      layout += stride;
      continue;
    }
    for (let phase = 0; phase < stride; phase++, layout++) {
      const lane = (j: number) => base + ((phase + j) % stride);
      let sum = Math.min(128 * symbols, lowSeven(lane(0), symbols) + sign(lane(stride - 1), symbols));
      for (let j = 1; j < stride; j++) sum += whole(rotated, lane(j), symbols);
      layoutCosts[layout] = sum + (sum >>> strideDoubt(stride));
    }
  }
  return sampled;
}
