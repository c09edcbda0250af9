/** The frames of a part as its table names them, and a segment in the same way. */
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { ChunkList, type ChunkRef, idBytes } from "./chunk-list.ts";
import { damaged } from "./error.ts";
import { limits } from "./limits.ts";

/** Of a part: its first frame begins behind them. */
export const headerBytes = 24;

export interface FrameInfo {
  /** From the part's first byte. */
  offset: number;
  storedBytes: number;
  plainBytes: number;
  chunks: ChunkList;
  /** Ids of the chunks that it is coded against, as its head names them; none for most. */
  bases: readonly string[];
}

/** As plain data, which can be given to a thread. */
export interface LooseFrame extends Omit<FrameInfo, "chunks"> {
  chunks: ChunkRef[];
}

/** Of frames without bases, shared by all of them. */
export const noBases: readonly string[] = [];

/** `varint frames { varint storedBytes, varint plainBytes, varint chunks { id[32], varint plainBytes }, varint bases { id[32] } }` */
export function encodeFrames(writer: ByteWriter, frames: FrameInfo[]): void {
  writer.varint(frames.length);
  for (const frame of frames) {
    writer.varint(frame.storedBytes);
    writer.varint(frame.plainBytes);
    writer.varint(frame.chunks.length);
    const { chunks } = frame;
    for (let n = 0; n < chunks.length; n++) {
      const at = chunks.placeOf(n);
      writer.bytes(chunks.bytes.subarray(at, at + idBytes));
      writer.varint(chunks.plainBytesAt(n));
    }
    writer.varint(frame.bases.length);
    for (const base of frame.bases) writer.latin1(base);
  }
}

export function decodeFrames(reader: ByteReader, what: string): FrameInfo[] {
  const count = reader.varint(limits.partFrames, "number of frames");
  if (count === 0) throw damaged(`a ${what} has no frame`);
  const frames: FrameInfo[] = [];
  let offset = headerBytes;
  let chunksOfPart = 0;
  let basesOfPart = 0;
  for (let i = 0; i < count; i++) {
    const storedBytes = reader.varint(limits.partBytes, "stored size");
    const plainBytes = reader.varint(limits.chunkBytes, "plain size");
    const chunkCount = reader.varint(limits.frameChunks, "number of chunks");
    chunksOfPart += chunkCount;
    if (storedBytes < 3 || chunkCount === 0) throw damaged(`a ${what} has an empty frame`);
    if (chunkCount > 1 && plainBytes > limits.framePackBytes) throw damaged(`a ${what} has too large a frame`);
    if (chunksOfPart > limits.partChunks) throw damaged(`a ${what} has too many chunks`);
    if (chunkCount * 33 > reader.left) throw damaged(`a ${what} ends too early`);
    let sum = 0;
    const chunks = ChunkList.read(reader, chunkCount, () => {
      const bytes = reader.varint(plainBytes - sum, "chunk size");
      if (bytes === 0) throw damaged(`a ${what} has an empty chunk`);
      sum += bytes;
      return bytes;
    });
    if (sum !== plainBytes) throw damaged(`a ${what} has a frame that its chunks do not fill`);
    const bases = decodeBaseIds(reader, what);
    basesOfPart += bases.length;
    if (basesOfPart > limits.partBases) throw damaged(`a ${what} has too many bases`);
    if (bases.length > 0 && chunkCount > 1) throw damaged(`a ${what} has a frame of several chunks with bases`);
    frames.push({ offset, storedBytes, plainBytes, chunks, bases });
    offset += storedBytes;
    if (offset > limits.partBytes) throw damaged(`a ${what} has frames past the largest part`);
  }
  return frames;
}

function decodeBaseIds(reader: ByteReader, what: string): readonly string[] {
  const count = reader.varint(limits.frameBases, "number of bases");
  if (count === 0) return noBases;
  if (count * 32 > reader.left) throw damaged(`a ${what} ends too early`);
  return Array.from({ length: count }, () => reader.latin1(32));
}
