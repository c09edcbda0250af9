/** Parts: the unit of transfer. part = header | frame* | table | footer. */
import { ByteReader, ByteWriter, equalBytes } from "./bytes.ts";
import { type PartCipher, type SnapshotCipher, tableNumber } from "./cipher.ts";
import { decodeZstd } from "./codec.ts";
import { damaged, FormatError, unknownFormat } from "./error.ts";
import { decodeFrames, encodeFrames, type FrameInfo, headerBytes } from "./frame-table.ts";
import { limits } from "./limits.ts";
import type { Primitives } from "./primitives.ts";

export const footerBytes = 52;
const headerMagic = 0x31504e53; // "SNP1"
const footerMagic = 0x534e5031; // "1PNS"
const tableLevel = 3;
const encryptedFlag = 1;
const saltBytes = 16;

export type PartKind = "data" | "meta";

export interface PartTable {
  frames: FrameInfo[];
  chunks: number;
}

export interface PartFooter {
  tableOffset: number;
  tableBytes: number;
  frames: number;
  chunks: number;
  tableSha256: Uint8Array;
}

/** Undoes the encryption of frame `n` or of the table; where there is none, gives the bytes as they are. */
export type OpenPiece = (n: number, stored: Uint8Array) => Uint8Array;

export const asIs: OpenPiece = (_, stored) => stored;

/** `salt`: null where nothing is encrypted. */
export function encodeHeader(kind: PartKind, salt: Uint8Array | null): Uint8Array {
  const writer = new ByteWriter(headerBytes);
  writer.u32(headerMagic);
  writer.u8(1);
  writer.u8(kind === "meta" ? 1 : 0);
  writer.u16(salt ? encryptedFlag : 0);
  writer.bytes(salt ?? new Uint8Array(saltBytes));
  return writer.finish();
}

/**
 * The header's check. `bytes`: at least the part's first 24 bytes. `cipher`: the snapshot's; null where it has no
 * encryption. Errors: throws FormatError, also where one is encrypted and the other is not.
 */
export function decodeHeader(bytes: Uint8Array, cipher: SnapshotCipher | null): { kind: PartKind; open: OpenPiece } {
  const reader = new ByteReader(bytes, "header");
  if (reader.u32() !== headerMagic) throw damaged("this is not a part");
  const version = reader.u8();
  const kind = reader.u8();
  const flags = reader.u16();
  const salt = reader.take(saltBytes).slice();
  if (version !== 1) throw unknownFormat(`a part has version ${version}`);
  if (kind > 1) throw unknownFormat(`a part has kind ${kind}`);
  if (flags > encryptedFlag) throw unknownFormat(`a part has the flags ${flags}`);
  const isEncrypted = flags === encryptedFlag;
  if (isEncrypted !== (cipher !== null))
    throw damaged(
      isEncrypted ? "a part is encrypted, its snapshot is not" : "a part of an encrypted snapshot is plain",
    );
  if (!isEncrypted && salt.some((byte) => byte !== 0)) throw damaged("a part without encryption has a salt");
  return { kind: kind === 1 ? "meta" : "data", open: cipher ? pieceOpener(bytes, cipher.part(salt)) : asIs };
}

function pieceOpener(bytes: Uint8Array, cipher: PartCipher): OpenPiece {
  const header = bytes.slice(0, headerBytes);
  return (n, stored) => cipher.open(n, header, stored);
}

/** As it is before it is encrypted. */
export function encodeTable(frames: FrameInfo[], primitives: Pick<Primitives, "zstdCompress">): Promise<Uint8Array> {
  const writer = new ByteWriter(4096);
  encodeFrames(writer, frames);
  return primitives.zstdCompress(writer.view(), tableLevel);
}

/** `stored`: the stored table, `footer.tableBytes` from `footer.tableOffset`. */
export async function decodeTable(
  stored: Uint8Array,
  footer: PartFooter,
  primitives: Pick<Primitives, "sha256" | "zstdDecompress">,
  open: OpenPiece = asIs,
): Promise<PartTable> {
  if (stored.length !== footer.tableBytes || !equalBytes(primitives.sha256(stored), footer.tableSha256)) {
    throw damaged("the table does not have the SHA-256 in its footer");
  }
  const bytes = open(tableNumber, stored);
  const plainBytes = zstdContentSize(bytes);
  if (plainBytes > limits.tableBytes) throw damaged("the table is too large");
  const reader = new ByteReader(await decodeZstd(bytes, plainBytes, primitives, "table"), "table");
  const frames = decodeFrames(reader, "part");
  reader.end();
  const last = frames.at(-1)!;
  const chunks = frames.reduce((sum, frame) => sum + frame.chunks.length, 0);
  if (frames.length !== footer.frames || chunks !== footer.chunks)
    throw damaged("the table and the footer count differently");
  if (last.offset + last.storedBytes !== footer.tableOffset)
    throw damaged("the frames do not end where the table begins");
  return { frames, chunks };
}

/** The content size that a zstd frame announces; checkZstdFrame checks the rest. */
function zstdContentSize(bytes: Uint8Array): number {
  if (bytes.length < 9) throw damaged("the table ends too early");
  const reader = new ByteReader(bytes, "table", 4);
  const descriptor = reader.u8();
  const singleSegment = (descriptor & 0x20) !== 0;
  if (!singleSegment) reader.u8();
  const flag = descriptor >> 6;
  if (flag === 0 && singleSegment) return reader.u8();
  if (flag === 1) return reader.u16() + 256;
  if (flag === 2) return reader.u32();
  throw new FormatError("snapshot_damaged", "the table has no content size");
}

export function encodeFooter(footer: PartFooter): Uint8Array {
  const writer = new ByteWriter(footerBytes);
  writer.u32(footer.tableOffset);
  writer.u32(footer.tableBytes);
  writer.u32(footer.frames);
  writer.u32(footer.chunks);
  writer.bytes(footer.tableSha256);
  writer.u32(footerMagic);
  return writer.view();
}

/** `bytes`: the last 52 bytes of a part of `partBytes` bytes. */
export function decodeFooter(bytes: Uint8Array, partBytes: number): PartFooter {
  if (bytes.length !== footerBytes) throw damaged("the footer is not 52 bytes long");
  if (partBytes > limits.partBytes) throw damaged(`a part of ${partBytes} bytes is too large`);
  const reader = new ByteReader(bytes, "footer");
  const tableOffset = reader.u32();
  const tableBytes = reader.u32();
  const frames = reader.u32();
  const chunks = reader.u32();
  const tableSha256 = reader.take(32).slice();
  if (reader.u32() !== footerMagic) throw damaged("the part does not end with its footer");
  if (tableOffset < headerBytes || tableOffset + tableBytes + footerBytes !== partBytes) {
    throw damaged("the footer's sizes do not add up to the part");
  }
  if (frames < 1 || frames > limits.partFrames || chunks < frames || chunks > limits.partChunks) {
    throw damaged("the footer's counts are out of bounds");
  }
  return { tableOffset, tableBytes, frames, chunks, tableSha256 };
}

/** A whole part: every byte but those of the frames' bodies is checked. */
export async function decodePart(
  bytes: Uint8Array,
  primitives: Primitives,
  cipher: SnapshotCipher | null = null,
): Promise<{ kind: PartKind; table: PartTable; open: OpenPiece }> {
  if (bytes.length < headerBytes + footerBytes) throw damaged("the part is too short");
  const { kind, open } = decodeHeader(bytes, cipher);
  const footer = decodeFooter(bytes.subarray(bytes.length - footerBytes), bytes.length);
  const table = bytes.subarray(footer.tableOffset, footer.tableOffset + footer.tableBytes);
  return { kind, table: await decodeTable(table, footer, primitives, open), open };
}
