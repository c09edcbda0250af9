/** The chunker's search for a cut, over a window of a chunk. The rule is in `chunker.ts`. */
import { block, gear } from "./layout";

/** The hash after the last byte looked at, for the next window. */
let hash: u32 = 0;

export function startCut(): void {
  hash = 0;
}

/** Looks at `bytes` bytes of the window from `at` on. The offset after the first byte where the mask is met, or 0. */
export function findMask(at: usize, bytes: usize, mask: u32): usize {
  let from = block + at;
  const end = from + bytes;
  let h = hash;
  for (; from + 4 <= end; from += 4) {
    const w = load<u32>(from);
    h = (h << 1) + load<u32>(gear + <usize>((w & 0xff) << 2));
    if (!(h & mask)) return from + 1 - block;
    h = (h << 1) + load<u32>(gear + <usize>((w >> 6) & 0x3fc));
    if (!(h & mask)) return from + 2 - block;
    h = (h << 1) + load<u32>(gear + <usize>((w >> 14) & 0x3fc));
    if (!(h & mask)) return from + 3 - block;
    h = (h << 1) + load<u32>(gear + <usize>((w >> 22) & 0x3fc));
    if (!(h & mask)) return from + 4 - block;
  }
  for (; from < end; from++) {
    h = (h << 1) + load<u32>(gear + (<usize>load<u8>(from) << 2));
    if (!(h & mask)) return from + 1 - block;
  }
  hash = h;
  return 0;
}
