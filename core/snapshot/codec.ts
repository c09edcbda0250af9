/**
 * Frames: the unit of compression. frame = u8 codec | u8 flags | varint plainBytes | [bases] | body.
 * Codecs: 0 raw · 1 zstd · 2 planes · 3 zero. Flag 1: the frame was coded against bytes of other chunks, its bases.
 */
import { ByteReader, ByteWriter, type CopyBytes, isAllZero, setBytes } from "./bytes.ts";
import { chooseBody, estimateZstd, hasRepeats } from "./choose.ts";
import { damaged, unknownFormat } from "./error.ts";
import { codecs, frameFlags, joinFrame, writeFrameHead } from "./frame-head.ts";
import { limits } from "./limits.ts";
import { planAgainst } from "./planes/against.ts";
import { decodePlanes, encodePlanesAgainst } from "./planes/body.ts";
import type { PlannedBlock } from "./planes/plan.ts";
import { threadKernels } from "./planes/thread-kernels.ts";
import type { Primitives } from "./primitives.ts";
import { checkZstdFrame } from "./zstd-frame.ts";

/** A run of bytes of another chunk. A frame's bases, joined, are its reference bytes: as many as its plain bytes. */
export interface Base {
  id: string;
  /** Bytes of the chunk before it. */
  skip: number;
  take: number;
}

/** What a frame with bases must be of one without. */
const basesWorthwhile = 0.9;
/** Above this a sample says that it is in vain; below the other that it needs no comparison. */
const basesWorthTrying = 0.95;
const basesClear = 0.8;

export async function encodeFrame(plain: Uint8Array, primitives: Primitives, level: number): Promise<Uint8Array> {
  if (plain.length === 0 || plain.length > limits.chunkBytes) throw new RangeError(`a frame of ${plain.length} bytes`);
  const { codec, body } = await chooseBody(plain, primitives, level, threadKernels());
  return joinFrame(codec, plain.length, body);
}

/**
 * The first `plainBytes` of `room` become their frame, in the same place: memory of this size is dear to make. `room` has
 * 16 bytes more than the plain ones at least. Returns the frame's length.
 */
export async function encodeFrameInPlace(
  room: Uint8Array,
  plainBytes: number,
  primitives: Primitives,
  level: number,
  copy: CopyBytes = setBytes,
): Promise<number> {
  if (plainBytes === 0 || plainBytes > limits.chunkBytes) throw new RangeError(`a frame of ${plainBytes} bytes`);
  const plain = room.subarray(0, plainBytes);
  const { codec, body } = await chooseBody(plain, primitives, level, threadKernels());
  const head = new ByteWriter(16);
  writeFrameHead(head, codec, 0, plainBytes);
  copy(room, head.length, body);
  room.set(head.view());
  return head.length + body.length;
}

/**
 * A frame against `reference`, the bytes of `bases` joined, or one without bases where that saves too little for what
 * the reading of bases costs at a restore. `bases`: the ids in the frame's head, none for one without.
 */
export async function encodeFrameAgainst(
  plain: Uint8Array,
  bases: Base[],
  reference: Uint8Array,
  primitives: Primitives,
  level: number,
): Promise<{ frame: Uint8Array; bases: string[] }> {
  const alone = async () => ({ frame: await encodeFrame(plain, primitives, level), bases: [] });
  checkReference(plain, bases, reference);
  if (isAllZero(plain)) return alone();
  const kernels = threadKernels();
  const plan = planAgainst(plain, reference, kernels);
  const isUnclear = hasRepeats(kernels);
  const aloneBytes = Math.min(plan.aloneBytes, await estimateZstd(plain, primitives, level));
  if (plan.estimatedBytes > aloneBytes * basesWorthTrying) return alone();
  const frame = writeFrameWithBases(plain, bases, reference, plan.blocks);
  const withBases = { frame, bases: bases.map((base) => base.id) };
  if (!isUnclear && frame.length < aloneBytes * basesClear) return withBases;
  const other = await alone();
  return frame.length < other.frame.length * basesWorthwhile ? withBases : other;
}

/** The same without a choice. */
export function encodeFrameWithBases(plain: Uint8Array, bases: Base[], reference: Uint8Array): Uint8Array {
  checkReference(plain, bases, reference);
  return writeFrameWithBases(plain, bases, reference, planAgainst(plain, reference, threadKernels()).blocks);
}

function checkReference(plain: Uint8Array, bases: Base[], reference: Uint8Array): void {
  if (plain.length === 0 || plain.length > limits.chunkBytes) throw new RangeError(`a frame of ${plain.length} bytes`);
  const taken = bases.reduce((sum, base) => sum + base.take, 0);
  if (reference.length !== plain.length || taken !== plain.length) {
    throw new RangeError("bases must be as long as what is coded");
  }
}

function writeFrameWithBases(
  plain: Uint8Array,
  bases: Base[],
  reference: Uint8Array,
  blocks: PlannedBlock[],
): Uint8Array {
  const writer = new ByteWriter(plain.length >> 1);
  writeFrameHead(writer, codecs.planes, frameFlags.bases, plain.length);
  writer.varint(bases.length);
  for (const base of bases) {
    writer.latin1(base.id);
    writer.varint(base.skip);
    writer.varint(base.take);
  }
  encodePlanesAgainst(writer, plain, reference, blocks, threadKernels());
  return writer.view();
}

/** The bases of a frame, in order; none for most. Errors: FormatError. */
export function readBases(bytes: Uint8Array): Base[] {
  return readHead(bytes).bases;
}

/**
 * `plainBytes` is what the table says of this frame; `reference` the bytes that its bases name, where it has any. May
 * return a view of `bytes`, or of `into`, at least as long, where the caller has room that may be written over: fresh
 * memory costs half as much as the decoding itself. Errors: FormatError.
 */
export async function decodeFrame(
  bytes: Uint8Array,
  plainBytes: number,
  primitives: Pick<Primitives, "zstdDecompress">,
  reference?: Uint8Array,
  into?: Uint8Array,
): Promise<Uint8Array> {
  const head = readHead(bytes);
  const { codec, body } = head;
  if (head.plainBytes !== plainBytes) throw damaged("a frame has another size than its table says");
  if (head.bases.length > 0 && reference === undefined) {
    throw damaged("a frame has bases that its table does not name");
  }
  if (codec === codecs.zero) {
    if (body.length !== 0) throw damaged("a zero frame has bytes");
    return into ? into.subarray(0, plainBytes).fill(0) : new Uint8Array(plainBytes);
  }
  if (codec === codecs.raw) {
    if (body.length !== plainBytes) throw damaged("a raw frame has the wrong length");
    return body;
  }
  if (codec === codecs.planes) {
    const out = into ? into.subarray(0, plainBytes) : new Uint8Array(plainBytes);
    const isBased = head.bases.length > 0;
    if (isBased && reference?.length !== plainBytes) throw new RangeError("the reference is not as long as its frame");
    decodePlanes(body, out, isBased ? reference : undefined, threadKernels());
    return out;
  }
  return decodeZstd(body, plainBytes, primitives, "frame");
}

interface Head {
  codec: number;
  plainBytes: number;
  bases: Base[];
  body: Uint8Array;
}

function readHead(bytes: Uint8Array): Head {
  const reader = new ByteReader(bytes, "frame");
  const codec = reader.u8();
  const flags = reader.u8();
  if (codec > codecs.zero) throw unknownFormat(`a frame has codec ${codec}`);
  if ((flags & ~frameFlags.bases) !== 0) throw unknownFormat(`a frame has the flags ${flags}`);
  const plainBytes = reader.varint(limits.chunkBytes, "plain size");
  const bases: Base[] = [];
  if (flags !== 0) {
    if (codec !== codecs.planes) throw damaged("a frame has bases that its codec does not use");
    const count = reader.varint(limits.frameBases, "number of bases");
    let left = plainBytes;
    for (let i = 0; i < count; i++) {
      const id = reader.latin1(32);
      const skip = reader.varint(limits.chunkBytes, "skip");
      const take = reader.varint(limits.chunkBytes - skip, "take");
      if (take === 0) throw damaged("a frame has an empty base");
      left -= take;
      bases.push({ id, skip, take });
    }
    if (count === 0 || left !== 0) throw damaged("a frame's bases have another length than its bytes");
  }
  return { codec, plainBytes, bases, body: reader.take(reader.left) };
}

export async function decodeZstd(
  body: Uint8Array,
  plainBytes: number,
  primitives: Pick<Primitives, "zstdDecompress">,
  what: string,
): Promise<Uint8Array> {
  checkZstdFrame(body, plainBytes, what);
  let plain: Uint8Array;
  try {
    plain = await primitives.zstdDecompress(body, plainBytes);
  } catch {
    throw damaged(`the ${what} does not decompress`);
  }
  if (plain.length !== plainBytes) throw damaged(`the ${what} decompresses to another length`);
  return plain;
}
