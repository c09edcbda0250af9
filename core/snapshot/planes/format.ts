/**
 * The numbers of the `planes` body. See FORMAT.md, "Planes".
 *
 * A block's bytes are seen as `head | element[] | tail`, elements `stride` bytes wide. Byte `j` of all elements is plane
 * `j`; each plane is coded by itself: as it is, as one constant, or with rANS under up to four tables.
 */
export const blockMaxBytes = 256 * 1024;
/** u32 plainBytes, u32 storedBytes, u8 stride, u8 phase, u8 xform, u8 0. */
export const blockHeadBytes = 12;

export const strides = [1, 2, 4, 8] as const;
export const planeModes = { raw: 0, constant: 1, rans: 2 } as const;

/** xform bits 0-1. */
export const rotations = { none: 0, left1: 1 } as const;
/** xform bits 2-3: what an element means when there are reference bytes. */
export const residuals = { none: 0, xor: 1, zigzagSub: 2 } as const;

/** Symbol `i` of a plane belongs to lane `i mod 32`. */
export const lanes = 32;
/** Symbols under one selector. */
export const groupSymbols = 256;
export const maxTables = 4;
export const frequencyBits = 11;
/** The sum of a table's frequencies. */
export const frequencySum = 1 << frequencyBits;
/** Between symbols a lane's state is in [2^15, 2^31); both ends of a plane have all lanes at 2^15. */
export const stateLow = 2 ** 15;
export const stateHigh = 2 ** 31;

/** How a block's bytes become planes. */
export interface Layout {
  stride: number;
  phase: number;
  /** Of `rotations`. */
  rotation: number;
  /** Of `residuals`. */
  residual: number;
}

export function groupsOf(symbols: number): number {
  return Math.ceil(symbols / groupSymbols);
}
