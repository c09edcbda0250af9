/** Enough of RFC 8878 to measure a frame without decoding it: where it ends and how long its content says it is. */
import { ByteReader } from "./bytes.ts";
import { damaged } from "./error.ts";

const magic = 0xfd2fb528;
/** Bits of the window that a decoder grants: 2^23 = one chunk. */
const maxWindowBytes = 8 * 1024 * 1024;

/** Errors: throws FormatError unless `bytes` is exactly one frame with the content size `plainBytes` and no dictionary. */
export function checkZstdFrame(bytes: Uint8Array, plainBytes: number, what: string): void {
  const reader = new ByteReader(bytes, what);
  if (reader.u32() !== magic) throw damaged(`the ${what} is not a zstd frame`);
  const descriptor = reader.u8();
  const singleSegment = (descriptor & 0x20) !== 0;
  if ((descriptor & 0x08) !== 0 || (descriptor & 0x03) !== 0)
    throw damaged(`the ${what} asks for a dictionary or more`);
  if (!singleSegment) {
    const window = reader.u8();
    const base = 2 ** (10 + (window >> 3));
    if (base + (base / 8) * (window & 7) > maxWindowBytes) throw damaged(`the ${what} has too large a window`);
  }
  if (readContentSize(reader, descriptor >> 6, singleSegment) !== plainBytes) {
    throw damaged(`the ${what} has another content size than announced`);
  }
  for (let last = false; !last; ) {
    const head = reader.u8() | (reader.u16() << 8);
    last = (head & 1) !== 0;
    const type = (head >> 1) & 3;
    if (type === 3) throw damaged(`the ${what} has a block of a reserved type`);
    reader.take(type === 1 ? 1 : head >> 3);
  }
  if ((descriptor & 0x04) !== 0) reader.take(4);
  reader.end();
}

function readContentSize(reader: ByteReader, flag: number, singleSegment: boolean): number | null {
  if (flag === 0) return singleSegment ? reader.u8() : null;
  if (flag === 1) return reader.u16() + 256;
  if (flag === 2) return reader.u32();
  return reader.u32() + reader.u32() * 2 ** 32;
}
