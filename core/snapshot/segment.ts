/**
 * Index segments: which chunk lies in which part.
 * segment = "SNX1" | varint parts { key[32], varint bytes, frames }, frames as in a part's table.
 * Its bytes are the chunks of one meta part, one after another.
 */
import { ByteReader, ByteWriter, latin1ToBytes, toHex } from "./bytes.ts";
import { damaged } from "./error.ts";
import { decodeFrames, encodeFrames, type FrameInfo } from "./frame-table.ts";
import { limits } from "./limits.ts";

const segmentMagic = "SNX1";

export interface IndexedPart {
  /** 64 hex digits. */
  key: string;
  bytes: number;
  frames: FrameInfo[];
}

export function encodeSegment(parts: IndexedPart[]): Uint8Array {
  const writer = new ByteWriter(65_536);
  writer.latin1(segmentMagic);
  writer.varint(parts.length);
  for (const part of parts) encodeIndexedPart(writer, part);
  return writer.view();
}

export function decodeSegment(bytes: Uint8Array): IndexedPart[] {
  if (bytes.length > limits.segmentBytes) throw damaged("a segment is too large");
  const reader = new ByteReader(bytes, "segment");
  if (reader.latin1(4) !== segmentMagic) throw damaged("this is not a segment");
  const count = reader.varint(limits.partsInSnapshot, "number of parts");
  const parts: IndexedPart[] = [];
  for (let i = 0; i < count; i++) parts.push(decodeIndexedPart(reader));
  reader.end();
  return parts;
}

export function encodeIndexedPart(writer: ByteWriter, part: IndexedPart): void {
  const key = part.key.replace(/../g, (pair) => String.fromCharCode(Number.parseInt(pair, 16)));
  writer.bytes(latin1ToBytes(key));
  writer.varint(part.bytes);
  encodeFrames(writer, part.frames);
}

export function decodeIndexedPart(reader: ByteReader): IndexedPart {
  const key = toHex(reader.take(32));
  const bytes = reader.varint(limits.partBytes, "part size");
  const frames = decodeFrames(reader, "segment");
  const last = frames.at(-1)!;
  if (last.offset + last.storedBytes > bytes) throw damaged("a segment has frames past the end of their part");
  return { key, bytes, frames };
}
