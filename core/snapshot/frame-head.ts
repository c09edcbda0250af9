/** The first bytes of a frame: u8 codec | u8 flags | varint plainBytes. */
import { ByteWriter } from "./bytes.ts";

/** 4-127 are reserved for this project, 128-255 are private. */
export const codecs = { raw: 0, zstd: 1, planes: 2, zero: 3 } as const;

export const frameFlags = { bases: 1 } as const;

export function writeFrameHead(writer: ByteWriter, codec: number, flags: number, plainBytes: number): void {
  writer.u8(codec);
  writer.u8(flags);
  writer.varint(plainBytes);
}

/** A frame without bases. */
export function joinFrame(codec: number, plainBytes: number, body: Uint8Array): Uint8Array {
  const writer = new ByteWriter(body.length + 16);
  writeFrameHead(writer, codec, 0, plainBytes);
  writer.bytes(body);
  return writer.view();
}
