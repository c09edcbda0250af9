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
  const { strictMask, looseMask } = p;
  let h = 0;
  let i = first - warmupBytes;
  for (; i < first; i++) h = ((h << 1) + gear[bytes[i]!]!) | 0;
  for (; i < normal; i++) {
    h = ((h << 1) + gear[bytes[i]!]!) | 0;
    if ((h & strictMask) === 0) return i + 1 - from;
  }
  for (; i < end; i++) {
    h = ((h << 1) + gear[bytes[i]!]!) | 0;
    if ((h & looseMask) === 0) return i + 1 - from;
  }
  return end - from;
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
