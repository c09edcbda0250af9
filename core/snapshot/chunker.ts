/**
 * Where a file is cut into chunks: FastCDC with a gear hash. The cuts are a pure function of the file's bytes, so a
 * byte changed at the front of a large file moves only the cuts around it.
 *
 * hash: h = (h << 1) + gear[byte] mod 2^32, so it sees the last 32 bytes. A chunk starts with h = 0; hashing starts 64
 * bytes before `min`, so the hash at `min` does not depend on where the chunk started. A cut comes after the first byte
 * at or past `min` where `h & mask` is 0: the strict mask before `target`, the loose one from there; at `max` at last.
 */
export interface ChunkerParameters {
  min: number;
  target: number;
  max: number;
  /** The highest bits of a word: `target` is 2^bits, two more bits before it and two fewer after. */
  strictMask: number;
  looseMask: number;
}

function parameters(min: number, targetBits: number, max: number): ChunkerParameters {
  const topBits = (bits: number) => (-1 << (32 - bits)) | 0;
  return { min, target: 2 ** targetBits, max, strictMask: topBits(targetBits + 2), looseMask: topBits(targetBits - 2) };
}

/** Chunker 1: files of 512 KiB and more. */
export const fileChunker = parameters(512 * 1024, 21, 8 * 1024 * 1024);
/** The tree stream. */
export const treeChunker = parameters(16 * 1024, 16, 256 * 1024);

export const chunkerVersion = 1;
const warmupBytes = 64;

/** 256 words of splitmix32, seeded with "SNEC" read as a big-endian number. */
export const gear: Int32Array = makeGear(0x534e4543);

function makeGear(seed: number): Int32Array {
  const table = new Int32Array(256);
  let state = seed | 0;
  for (let i = 0; i < 256; i++) {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    table[i] = z ^ (z >>> 15);
  }
  return table;
}

/**
 * The length of the chunk that begins at `from`. `to` is the end of what is known; `isLast` says that the stream ends
 * there. Zero: more bytes are needed to tell (never when `to - from >= max`).
 */
export function findCut(bytes: Uint8Array, from: number, to: number, isLast: boolean, p: ChunkerParameters): number {
  const known = to - from;
  if (known < p.max && !isLast) return 0;
  if (known <= p.min) return known;
  const end = from + Math.min(known, p.max);
  const first = from + p.min - 1;
  const normal = Math.min(end, from + p.target - 1);
  let h = 0;
  for (let i = first - warmupBytes; i < first; i++) h = ((h << 1) + gear[bytes[i]!]!) | 0;
  const strict = scan(bytes, first, normal, h, p.strictMask);
  if (strict.cut > 0) return strict.cut - from;
  const loose = scan(bytes, normal, end, strict.h, p.looseMask);
  return (loose.cut || end) - from;
}

/** `gearPair[a | b << 8]`: what the bytes a and b, in this order, add to a hash that moved by two. */
const gearPair = makeGearPair();

function makeGearPair(): Int32Array {
  const table = new Int32Array(65_536);
  for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) table[a | (b << 8)] = (gear[a]! << 1) + gear[b]!;
  return table;
}

/**
 * Hashes the bytes from `from` on; `cut` is the place after the first byte where `h & mask` is 0, or 0 when there is none
 * before `end`. Two bytes at a time, four pairs a turn (three times as fast as one by one); words are little-endian on
 * every processor that Node runs on.
 */
function scan(bytes: Uint8Array, from: number, end: number, h: number, mask: number): { cut: number; h: number } {
  let i = from;
  if (i >= end) return { cut: 0, h };
  if (((bytes.byteOffset + i) & 1) === 1) {
    h = ((h << 1) + gear[bytes[i++]!]!) | 0;
    if ((h & mask) === 0) return { cut: i, h };
  }
  const pairs = new Uint16Array(bytes.buffer, bytes.byteOffset + i, (end - i) >> 1);
  let k = 0;
  for (const last = pairs.length - 3; k < last; k += 4) {
    const a = pairs[k]!;
    const b = pairs[k + 1]!;
    const c = pairs[k + 2]!;
    const d = pairs[k + 3]!;
    if (((((h << 1) + gear[a & 255]!) | 0) & mask) === 0) return { cut: i + 2 * k + 1, h };
    h = ((h << 2) + gearPair[a]!) | 0;
    if ((h & mask) === 0) return { cut: i + 2 * k + 2, h };
    if (((((h << 1) + gear[b & 255]!) | 0) & mask) === 0) return { cut: i + 2 * k + 3, h };
    h = ((h << 2) + gearPair[b]!) | 0;
    if ((h & mask) === 0) return { cut: i + 2 * k + 4, h };
    if (((((h << 1) + gear[c & 255]!) | 0) & mask) === 0) return { cut: i + 2 * k + 5, h };
    h = ((h << 2) + gearPair[c]!) | 0;
    if ((h & mask) === 0) return { cut: i + 2 * k + 6, h };
    if (((((h << 1) + gear[d & 255]!) | 0) & mask) === 0) return { cut: i + 2 * k + 7, h };
    h = ((h << 2) + gearPair[d]!) | 0;
    if ((h & mask) === 0) return { cut: i + 2 * k + 8, h };
  }
  for (i += 2 * k; i < end; ) {
    h = ((h << 1) + gear[bytes[i++]!]!) | 0;
    if ((h & mask) === 0) return { cut: i, h };
  }
  return { cut: 0, h };
}

/** All cuts of a stream that is in memory, as lengths. */
export function cutAll(bytes: Uint8Array, p: ChunkerParameters): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = findCut(bytes, at, bytes.length, true, p);
    lengths.push(length);
    at += length;
  }
  return lengths;
}
