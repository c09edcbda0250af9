/**
 * Whether bytes come again far away: what zstd finds and a sample of a few runs cannot show. Places are chosen by their
 * own four bytes, about one in a thousand, so that equal stretches choose the same places; the sixteen bytes there are
 * looked up among those seen before.
 */
export const repeatSlots = 8192;
const chooser = 0x9e3779b1;
const chosen = 0x155;

/**
 * Counts over `bytes` bytes of `block`: `counts[0]` places looked at, `counts[1]` of them seen before. At most one in
 * each sixteen bytes, so that no bytes are slow.
 */
export function countRepeats(block: Uint8Array, bytes: number, slots: Uint32Array, counts: Uint32Array): void {
  const word = (at: number) => block[at]! | (block[at + 1]! << 8) | (block[at + 2]! << 16) | (block[at + 3]! << 24);
  for (let from = 0; from + 32 <= bytes; from += 16) {
    let at = from;
    while (at < from + 16 && Math.imul(word(at), chooser) >>> 22 !== chosen) at++;
    if (at === from + 16) continue;
    let slot = 0;
    let tag = 0;
    for (let i = 0; i < 16; i += 4) {
      slot = Math.imul(slot ^ word(at + i), 0x85ebca6b);
      slot ^= slot >>> 15;
      tag = Math.imul(tag ^ word(at + i), 0xc2b2ae35);
      tag ^= tag >>> 13;
    }
    slot = (slot >>> 8) % repeatSlots;
    tag = (tag | 1) >>> 0;
    counts[0]!++;
    if (slots[slot] === tag) counts[1]!++;
    else slots[slot] = tag;
  }
}
