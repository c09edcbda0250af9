/** Every bound of format version 1. A reader checks them before it allocates. See FORMAT.md. */
const kib = 1024;
const mib = 1024 * kib;

export const limits = {
  chunkBytes: 8 * mib,
  /** Plain bytes of a frame that holds more than one chunk. */
  framePackBytes: 4 * mib,
  frameChunks: 16_384,
  frameBases: 1024,
  partTargetBytes: 16 * mib,
  partBytes: 64 * mib,
  partFrames: 65_536,
  partChunks: 131_072,
  partBases: 131_072,
  tableBytes: 16 * mib,
  partsInSnapshot: 65_536,
  /** Of a snapshot: more ways to code one chunk than any writer makes. A reader leaves out the rest. */
  basedFramesOfChunk: 64,
  segmentBytes: 512 * mib,
  segmentsInSnapshot: 1024,
  treeBytes: 1024 * mib,
  /**
   * Linux bounds one call's path to 4,096 bytes, not a tree's depth. Never the bound that binds: all parents of a path are
   * entries too, so even with names of 255 bytes the stream is full (`treeBytes`) before a path has 740,000 bytes.
   */
  pathBytes: mib,
  nameBytes: 255,
  xattrBytes: 64 * kib,
  xattrsBytes: mib,
  xattrNameBytes: 255,
  xattrCount: 4096,
  linkBytes: 4096,
  holes: 1_000_000,
  fileChunks: 16_777_216,
  manifestBytes: 8 * mib,
} as const;

/** A file below this is one chunk and shares its frame with its neighbours. */
export const smallFileBytes = 512 * kib;
