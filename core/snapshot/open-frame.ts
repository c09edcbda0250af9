/** The chunks of a frame, out of its stored bytes and the chunks that it is coded against. */
import { type Base, decodeFrame, readBases } from "./codec.ts";
import { damaged } from "./error.ts";
import type { FrameInfo, LooseFrame } from "./frame-table.ts";
import { asIs, type OpenPiece } from "./part.ts";
import type { Primitives } from "./primitives.ts";

/** The plain bytes of a chunk that is stored without bases, checked against its id. */
export type ReadBase = (id: string) => Promise<Uint8Array>;

/**
 * The chunks of one frame, each checked against its id. `stored`: exactly the frame. `n`: its number in the part.
 * `readBase`: for frames with bases. `into`: as for decodeFrame; then the chunks may be views of it.
 */
export async function openFrame(
  stored: Uint8Array,
  frame: FrameInfo | LooseFrame,
  primitives: Primitives,
  n = 0,
  open: OpenPiece = asIs,
  readBase?: ReadBase,
  into?: Uint8Array,
): Promise<Uint8Array[]> {
  if (stored.length !== frame.storedBytes) throw damaged("a frame has the wrong length");
  const bytes = open(n, stored);
  const reference = frame.bases.length > 0 ? await readReference(bytes, frame, readBase) : undefined;
  const plain = await decodeFrame(bytes, frame.plainBytes, primitives, reference, into);
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (const { id, plainBytes } of frame.chunks) {
    const chunk = plain.subarray(at, at + plainBytes);
    checkChunk(chunk, id, primitives);
    chunks.push(chunk);
    at += plainBytes;
  }
  return chunks;
}

async function readReference(
  bytes: Uint8Array,
  frame: FrameInfo | LooseFrame,
  readBase: ReadBase | undefined,
): Promise<Uint8Array> {
  if (!readBase) throw damaged("a frame has bases where none may be");
  return joinReference(basesOf(bytes, frame), frame.plainBytes, readBase);
}

/** `plainBytes`: of all bases together. Errors: FormatError where one goes beyond its chunk, and what `readBase` throws. */
export async function joinReference(bases: Base[], plainBytes: number, readBase: ReadBase): Promise<Uint8Array> {
  const reference = new Uint8Array(plainBytes);
  let at = 0;
  for (const { id, skip, take } of bases) {
    const chunk = await readBase(id);
    if (skip + take > chunk.length) throw damaged("a base is longer than its chunk");
    reference.set(chunk.subarray(skip, skip + take), at);
    at += take;
  }
  return reference;
}

/** The bases in the head of a frame, which are those that its table names, and as long as the frame. */
export function basesOf(bytes: Uint8Array, frame: Pick<FrameInfo, "plainBytes" | "bases">): Base[] {
  const bases = readBases(bytes);
  const isSame = bases.length === frame.bases.length && bases.every((base, i) => base.id === frame.bases[i]);
  if (!isSame) throw damaged("a frame has other bases than its table says");
  if (bases.reduce((sum, base) => sum + base.take, 0) !== frame.plainBytes)
    throw damaged("a frame's bases have another length than its table says");
  return bases;
}

export function checkChunk(bytes: Uint8Array, id: string, primitives: Primitives): void {
  if (primitives.chunkId(bytes) !== id) throw damaged("a chunk does not have the hash of its id");
}
