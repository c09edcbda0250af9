/**
 * Frames: the unit of compression. frame = u8 codec | u8 flags | varint plainBytes | body.
 * 0 raw · 1 zstd · 2 planes (reserved, not read by this version) · 3 zero. Flag 1 (bases) is reserved too.
 */
import { ByteReader, ByteWriter, isAllZero } from "./bytes.ts";
import { damaged, unknownFormat } from "./error.ts";
import { limits } from "./limits.ts";
import type { Primitives } from "./primitives.ts";
import { checkZstdFrame } from "./zstd-frame.ts";

export const codecs = { raw: 0, zstd: 1, planes: 2, zero: 3 } as const;

/** zstd must save this share, or the bytes are stored as they are and decode for nothing. */
const worthwhile = 0.985;
const minZstdBytes = 64;

export async function encodeFrame(plain: Uint8Array, primitives: Primitives, level: number): Promise<Uint8Array> {
  if (plain.length === 0 || plain.length > limits.chunkBytes) throw new RangeError(`a frame of ${plain.length} bytes`);
  if (isAllZero(plain)) return joinFrame(codecs.zero, plain.length, new Uint8Array(0));
  if (plain.length >= minZstdBytes) {
    const packed = await primitives.zstdCompress(plain, level);
    if (packed.length < plain.length * worthwhile) return joinFrame(codecs.zstd, plain.length, packed);
  }
  return joinFrame(codecs.raw, plain.length, plain);
}

/** `plainBytes` is what the table says of this frame. May return a view of `bytes`. */
export async function decodeFrame(bytes: Uint8Array, plainBytes: number, primitives: Primitives): Promise<Uint8Array> {
  const reader = new ByteReader(bytes, "frame");
  const codec = reader.u8();
  const flags = reader.u8();
  if (flags !== 0) throw unknownFormat(`a frame has the flags ${flags}`);
  if (codec !== codecs.raw && codec !== codecs.zstd && codec !== codecs.zero)
    throw unknownFormat(`a frame has codec ${codec}`);
  if (reader.varint(limits.chunkBytes, "plain size") !== plainBytes)
    throw damaged("a frame has another size than its table says");
  if (codec === codecs.zero) {
    reader.end();
    return new Uint8Array(plainBytes);
  }
  const body = reader.take(reader.left);
  if (codec === codecs.raw) {
    if (body.length !== plainBytes) throw damaged("a raw frame has the wrong length");
    return body;
  }
  return decodeZstd(body, plainBytes, primitives, "frame");
}

export async function decodeZstd(
  body: Uint8Array,
  plainBytes: number,
  primitives: Primitives,
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

function joinFrame(codec: number, plainBytes: number, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter(body.length + 16);
  writer.u8(codec);
  writer.u8(0);
  writer.varint(plainBytes);
  writer.bytes(body);
  return writer.view();
}
