/** Bytes that come again: `plain-repeats.ts` in WebAssembly, to the bit. */
import { block, repeatCounts, repeatSlots } from "./layout";

const chooser: u32 = 0x9e3779b1;
const slotMix: u32 = 0x85ebca6b;
const tagMix: u32 = 0xc2b2ae35;

// @ts-ignore: decorator
@inline
function chosen(at: usize, offset: usize): v128 {
  return i32x4.eq(i32x4.shr_u(i32x4.mul(v128.load(at + offset), i32x4.splat(<i32>chooser)), 22), i32x4.splat(0x155));
}

export function clearRepeats(): void {
  memory.fill(repeatSlots, 0, 8192 * 4);
  store<u64>(repeatCounts, 0);
}

export function countRepeats(bytes: usize): void {
  for (let from: usize = 0; from + 32 <= bytes; from += 16) {
    let at = block + from;
    const any = v128.or(v128.or(chosen(at, 0), chosen(at, 1)), v128.or(chosen(at, 2), chosen(at, 3)));
    if (!v128.any_true(any)) continue;
    while ((load<u32>(at) * chooser) >> 22 != 0x155) at++;
    let slot: u32 = 0;
    let tag: u32 = 0;
    for (let i: usize = 0; i < 16; i += 4) {
      const word = load<u32>(at + i);
      slot = (slot ^ word) * slotMix;
      slot ^= slot >> 15;
      tag = (tag ^ word) * tagMix;
      tag ^= tag >> 13;
    }
    const to = repeatSlots + (<usize>((slot >> 8) & 8191) << 2);
    tag |= 1;
    store<u32>(repeatCounts, load<u32>(repeatCounts) + 1);
    if (load<u32>(to) == tag) store<u32>(repeatCounts, load<u32>(repeatCounts, 4) + 1, 4);
    else store<u32>(to, tag);
  }
}
