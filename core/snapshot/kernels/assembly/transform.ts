/** Elements to planes and back, the common widths in vectors. A residual is its own pass over the block, in place. */
import { block, planes, reference } from "./layout";

// @ts-ignore: decorator
@inline
function readElement(at: usize, stride: usize): u64 {
  if (stride == 1) return load<u8>(at);
  if (stride == 2) return load<u16>(at);
  if (stride == 4) return load<u32>(at);
  return load<u64>(at);
}

// @ts-ignore: decorator
@inline
function writeElement(at: usize, stride: usize, value: u64): void {
  if (stride == 1) store<u8>(at, <u8>value);
  else if (stride == 2) store<u16>(at, <u16>value);
  else if (stride == 4) store<u32>(at, <u32>value);
  else store<u64>(at, value);
}

/** Elements become what they differ in from the reference. */
function toResiduals(elements: usize, stride: usize, phase: usize, residual: u32): void {
  let at = phase;
  const end = phase + elements * stride;
  for (; at + 16 <= end; at += 16) {
    const x = v128.load(block + at);
    const r = v128.load(reference + at);
    let y: v128;
    if (residual == 1) {
      y = v128.xor(x, r);
    } else if (stride == 2) {
      const d = i16x8.sub(x, r);
      y = v128.xor(i16x8.shl(d, 1), i16x8.shr_s(d, 15));
    } else if (stride == 4) {
      const d = i32x4.sub(x, r);
      y = v128.xor(i32x4.shl(d, 1), i32x4.shr_s(d, 31));
    } else if (stride == 8) {
      const d = i64x2.sub(x, r);
      y = v128.xor(i64x2.shl(d, 1), i64x2.shr_s(d, 63));
    } else {
      const d = i8x16.sub(x, r);
      y = v128.xor(i8x16.shl(d, 1), i8x16.shr_s(d, 7));
    }
    v128.store(block + at, y);
  }
  const bits = <u64>(stride << 3);
  const all: u64 = u64.MAX_VALUE >> (64 - bits);
  for (; at < end; at += stride) {
    let x = readElement(block + at, stride);
    if (residual == 1) {
      x ^= readElement(reference + at, stride);
    } else {
      x = (x - readElement(reference + at, stride)) & all;
      x = ((x << 1) ^ (0 - (x >> (bits - 1)))) & all;
    }
    writeElement(block + at, stride, x);
  }
}

/** The other way. */
function fromResiduals(elements: usize, stride: usize, phase: usize, residual: u32): void {
  let at = phase;
  const end = phase + elements * stride;
  for (; at + 16 <= end; at += 16) {
    const x = v128.load(block + at);
    const r = v128.load(reference + at);
    let y: v128;
    if (residual == 1) {
      y = v128.xor(x, r);
    } else if (stride == 2) {
      const one = i16x8.splat(1);
      y = i16x8.add(v128.xor(i16x8.shr_u(x, 1), i16x8.neg(v128.and(x, one))), r);
    } else if (stride == 4) {
      const one = i32x4.splat(1);
      y = i32x4.add(v128.xor(i32x4.shr_u(x, 1), i32x4.neg(v128.and(x, one))), r);
    } else if (stride == 8) {
      const one = i64x2.splat(1);
      y = i64x2.add(v128.xor(i64x2.shr_u(x, 1), i64x2.neg(v128.and(x, one))), r);
    } else {
      const one = i8x16.splat(1);
      y = i8x16.add(v128.xor(i8x16.shr_u(x, 1), i8x16.neg(v128.and(x, one))), r);
    }
    v128.store(block + at, y);
  }
  const bits = <u64>(stride << 3);
  const all: u64 = u64.MAX_VALUE >> (64 - bits);
  for (; at < end; at += stride) {
    let x = readElement(block + at, stride);
    if (residual == 1) {
      x ^= readElement(reference + at, stride);
    } else {
      x = (x >> 1) ^ ((0 - (x & 1)) & all);
      x = (x + readElement(reference + at, stride)) & all;
    }
    writeElement(block + at, stride, x);
  }
}

function splitOne(i: usize, elements: usize, stride: usize, phase: usize, rotation: u32): void {
  const bits = <u64>(stride << 3);
  const all: u64 = u64.MAX_VALUE >> (64 - bits);
  const at = phase + i * stride;
  let x = readElement(block + at, stride);
  if (rotation) x = ((x << 1) | (x >> (bits - 1))) & all;
  for (let to = planes + i; stride > 0; stride--) {
    store<u8>(to, <u8>x);
    x >>= 8;
    to += elements;
  }
}

function mergeOne(i: usize, elements: usize, stride: usize, phase: usize, rotation: u32): void {
  const bits = <u64>(stride << 3);
  const all: u64 = u64.MAX_VALUE >> (64 - bits);
  const at = phase + i * stride;
  let x: u64 = 0;
  for (let j = stride; j > 0; j--) x = (x << 8) | <u64>load<u8>(planes + (j - 1) * elements + i);
  if (rotation) x = (x >> 1) | ((x & 1) << (bits - 1));
  writeElement(block + at, stride, x);
}

export function split(elements: usize, stride: usize, phase: usize, rotation: u32, residual: u32): void {
  if (residual) toResiduals(elements, stride, phase, residual);
  let i: usize = 0;
  if (stride == 2) {
    let from = block + phase;
    for (; i + 16 <= elements; i += 16, from += 32) {
      let a = v128.load(from);
      let b = v128.load(from, 16);
      if (rotation) {
        a = v128.or(i16x8.shl(a, 1), i16x8.shr_u(a, 15));
        b = v128.or(i16x8.shl(b, 1), i16x8.shr_u(b, 15));
      }
      const low = i16x8.splat(0xff);
      v128.store(planes + i, i8x16.narrow_i16x8_u(v128.and(a, low), v128.and(b, low)));
      v128.store(planes + elements + i, i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8)));
    }
  } else if (stride == 4) {
    let from = block + phase;
    for (; i + 16 <= elements; i += 16, from += 64) {
      let a = v128.load(from);
      let b = v128.load(from, 16);
      let c = v128.load(from, 32);
      let d = v128.load(from, 48);
      if (rotation) {
        a = v128.or(i32x4.shl(a, 1), i32x4.shr_u(a, 31));
        b = v128.or(i32x4.shl(b, 1), i32x4.shr_u(b, 31));
        c = v128.or(i32x4.shl(c, 1), i32x4.shr_u(c, 31));
        d = v128.or(i32x4.shl(d, 1), i32x4.shr_u(d, 31));
      }
      // Each: four bytes of plane 0, of plane 1, ...; then a transposition of 4 x 4 words.
      a = v128.shuffle<u8>(a, a, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      b = v128.shuffle<u8>(b, b, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      c = v128.shuffle<u8>(c, c, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      d = v128.shuffle<u8>(d, d, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      const ab = v128.shuffle<u32>(a, b, 0, 4, 1, 5);
      const cd = v128.shuffle<u32>(c, d, 0, 4, 1, 5);
      const ab2 = v128.shuffle<u32>(a, b, 2, 6, 3, 7);
      const cd2 = v128.shuffle<u32>(c, d, 2, 6, 3, 7);
      v128.store(planes + i, v128.shuffle<u64>(ab, cd, 0, 2));
      v128.store(planes + elements + i, v128.shuffle<u64>(ab, cd, 1, 3));
      v128.store(planes + 2 * elements + i, v128.shuffle<u64>(ab2, cd2, 0, 2));
      v128.store(planes + 3 * elements + i, v128.shuffle<u64>(ab2, cd2, 1, 3));
    }
  } else if (rotation == 0 && stride == 1) {
    memory.copy(planes, block + phase, elements);
    return;
  }
  for (; i < elements; i++) splitOne(i, elements, stride, phase, rotation);
}

export function merge(elements: usize, stride: usize, phase: usize, rotation: u32, residual: u32): void {
  let i: usize = 0;
  if (stride == 2) {
    let to = block + phase;
    for (; i + 16 <= elements; i += 16, to += 32) {
      const low = v128.load(planes + i);
      const high = v128.load(planes + elements + i);
      let a = v128.shuffle<u8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      let b = v128.shuffle<u8>(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      if (rotation) {
        a = v128.or(i16x8.shr_u(a, 1), i16x8.shl(a, 15));
        b = v128.or(i16x8.shr_u(b, 1), i16x8.shl(b, 15));
      }
      v128.store(to, a);
      v128.store(to, b, 16);
    }
  } else if (stride == 4) {
    let to = block + phase;
    for (; i + 16 <= elements; i += 16, to += 64) {
      const p0 = v128.load(planes + i);
      const p1 = v128.load(planes + elements + i);
      const p2 = v128.load(planes + 2 * elements + i);
      const p3 = v128.load(planes + 3 * elements + i);
      const low = v128.shuffle<u8>(p0, p1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const low2 = v128.shuffle<u8>(p0, p1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const high = v128.shuffle<u8>(p2, p3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const high2 = v128.shuffle<u8>(p2, p3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      let a = v128.shuffle<u16>(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
      let b = v128.shuffle<u16>(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
      let c = v128.shuffle<u16>(low2, high2, 0, 8, 1, 9, 2, 10, 3, 11);
      let d = v128.shuffle<u16>(low2, high2, 4, 12, 5, 13, 6, 14, 7, 15);
      if (rotation) {
        a = v128.or(i32x4.shr_u(a, 1), i32x4.shl(a, 31));
        b = v128.or(i32x4.shr_u(b, 1), i32x4.shl(b, 31));
        c = v128.or(i32x4.shr_u(c, 1), i32x4.shl(c, 31));
        d = v128.or(i32x4.shr_u(d, 1), i32x4.shl(d, 31));
      }
      v128.store(to, a);
      v128.store(to, b, 16);
      v128.store(to, c, 32);
      v128.store(to, d, 48);
    }
  } else if (rotation == 0 && stride == 1) {
    memory.copy(block + phase, planes, elements);
    i = elements;
  }
  for (; i < elements; i++) mergeOne(i, elements, stride, phase, rotation);
  if (residual) fromResiduals(elements, stride, phase, residual);
}
