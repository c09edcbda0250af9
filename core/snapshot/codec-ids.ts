/** The first byte of a frame. 4-127 are reserved for this project, 128-255 are private. */
export const codecs = { raw: 0, zstd: 1, planes: 2, zero: 3 } as const;

/** Bits of the second one. */
export const frameFlags = { bases: 1 } as const;
