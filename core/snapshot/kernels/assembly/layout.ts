/** Where things lie in the module's memory: 23 pages (1.4 MiB), no growth, no allocation. The host finds the exported ones by name. */
export const block: usize = 0x10000;
export const reference: usize = 0x50000;
export const planes: usize = 0x90000;
/** A kernel may read up to 64 bytes on either side of `words`. */
export const words: usize = 0xd0040;
export const wordsEnd: usize = words + 0x80000;
/** Four of 2048 words: symbol | frequency << 8 | (slot - start) << 20. */
export const decodeTables: usize = 0x150100;
/** Four of 256 pairs: frequency | start << 12, f32 1 / frequency. */
export const encodeTables: usize = 0x158100;
export const selectors: usize = 0x15a100;
export const sums: usize = 0x15a500;
export const states: usize = 0x15b500;
export const frequencies: usize = 0x15b600;
export const counts: usize = 0x15be00;
export const costs: usize = 0x15ce00;
export const entropyTable: usize = 0x15d600;
export const layoutCosts: usize = 0x161700;
/** Eight, of the rotated lanes of one stride. */
export const laneCosts: usize = 0x161780;
/** 2 x 15 histograms of 256 u16. */
export const histograms: usize = 0x162000;
/** Four histograms of 256 u32, added up at last: neighbouring bytes are often equal, and one counter would wait for itself. */
export const partial: usize = 0x166000;
/** 16 pairs of shuffles: which word goes to which lane, and what is left of the lanes that get one, shifted up. */
export const spreadShuffles: usize = 0x167000;
/** 16 shuffles: the words that lanes give up, close together at the end of 8 bytes. */
export const packShuffles: usize = 0x167200;
/** Where bytes were seen: 8192 words. No coding runs between the looks at one frame, so the tables lend their room. */
export const repeatSlots: usize = decodeTables;
/** Places looked at, and seen before. */
export const repeatCounts: usize = 0x1617c0;
/** The chunker's 256 words. */
export const gear: usize = 0x167400;
