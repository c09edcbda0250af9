/**
 * Parts: the unit of transfer. part = header | frame* | table | footer. One chunk's id is a byte string of 32 chars (one
 * char, one byte); those of a whole frame are packed (chunk-list.ts).
 */
import { ByteReader, ByteWriter, type CopyBytes, equalBytes, setBytes } from "./bytes.ts";
import { ChunkList, idBytes } from "./chunk-list.ts";
import { type PartCipher, type SnapshotCipher, sealBytes, tableNumber } from "./cipher.ts";
import { type Base, decodeFrame, decodeZstd, readBases } from "./codec.ts";
import { damaged, FormatError, unknownFormat } from "./error.ts";
import { limits } from "./limits.ts";
import type { Primitives } from "./primitives.ts";

export const headerBytes = 24;
export const footerBytes = 52;
const headerMagic = 0x31504e53; // "SNP1"
const footerMagic = 0x534e5031; // "1PNS"
const tableLevel = 3;

export type PartKind = "data" | "meta";

export interface ChunkRef {
  /** SHA-256 of the plain bytes (HMAC-SHA-256 where they are encrypted) as a byte string. */
  id: string;
  plainBytes: number;
}

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

export interface PartTable {
  frames: FrameInfo[];
  chunks: number;
}

const encryptedFlag = 1;
const saltBytes = 16;

/**
 * Joins encoded frames in one buffer. `room`: a buffer to begin with, which `finish` returns a view of where it was
 * enough; the builder is of no use afterwards. With a cipher each frame and the table are encrypted.
 */
export class PartBuilder {
  readonly #header: Uint8Array;
  readonly #cipher: PartCipher | null;
  readonly #copy: CopyBytes;
  readonly #frames: FrameInfo[] = [];
  #bytes: Uint8Array;
  #end = headerBytes;
  chunks = 0;
  bases = 0;
  plainBytes = 0;

  constructor(
    kind: PartKind,
    cipher: SnapshotCipher | null = null,
    room: Uint8Array = new Uint8Array(0),
    copy: CopyBytes = setBytes,
  ) {
    this.#bytes = room;
    this.#copy = copy;
    const salt = cipher ? cipher.newSalt() : new Uint8Array(saltBytes);
    this.#cipher = cipher ? cipher.part(salt) : null;
    const head = new ByteWriter(headerBytes);
    head.u32(headerMagic);
    head.u8(1);
    head.u8(kind === "meta" ? 1 : 0);
    head.u16(cipher ? encryptedFlag : 0);
    head.bytes(salt);
    this.#header = head.finish();
    this.#put(this.#header, 0);
  }

  get frames(): number {
    return this.#frames.length;
  }

  /** Without the table. */
  get storedBytes(): number {
    return this.#end + footerBytes;
  }

  fits(frameBytes: number, chunks: number, bases = 0): boolean {
    const tableGuess = (this.chunks + chunks + this.bases + bases) * 40 + (this.frames + 1) * 16;
    return (
      this.storedBytes + frameBytes + sealBytes + tableGuess <= limits.partBytes &&
      this.chunks + chunks <= limits.partChunks &&
      this.bases + bases <= limits.partBases &&
      this.frames < limits.partFrames
    );
  }

  /** `bytes` are copied. */
  add(bytes: Uint8Array, plainBytes: number, refs: readonly ChunkRef[], bases: readonly string[] = noBases): void {
    const chunks = ChunkList.of(refs);
    const storedBytes = this.#append(this.#frames.length, bytes);
    this.#frames.push({ offset: this.#end, storedBytes, plainBytes, chunks, bases });
    this.#end += storedBytes;
    this.chunks += chunks.length;
    this.bases += bases.length;
    this.plainBytes += plainBytes;
  }

  async finish(primitives: Primitives): Promise<{ bytes: Uint8Array; table: PartTable }> {
    const frames = this.#frames;
    const packed = await primitives.zstdCompress(encodeTable(frames), tableLevel);
    const tableBytes = this.#append(tableNumber, packed);
    const foot = new ByteWriter(footerBytes);
    foot.u32(this.#end);
    foot.u32(tableBytes);
    foot.u32(frames.length);
    foot.u32(this.chunks);
    foot.bytes(primitives.sha256(this.#bytes.subarray(this.#end, this.#end + tableBytes)));
    foot.u32(footerMagic);
    this.#put(foot.view(), this.#end + tableBytes);
    return {
      bytes: this.#bytes.subarray(0, this.#end + tableBytes + footerBytes),
      table: { frames, chunks: this.chunks },
    };
  }

  /** Piece `n` behind the frames, encrypted where the part is. Returns its stored size. */
  #append(n: number, bytes: Uint8Array): number {
    if (!this.#cipher) {
      this.#put(bytes, this.#end);
      return bytes.length;
    }
    const end = this.#end + bytes.length + sealBytes;
    this.#reserve(end);
    this.#cipher.seal(n, this.#header, bytes, this.#bytes.subarray(this.#end, end));
    return bytes.length + sealBytes;
  }

  #put(bytes: Uint8Array, at: number): void {
    this.#reserve(at + bytes.length);
    this.#copy(this.#bytes, at, bytes);
  }

  #reserve(end: number): void {
    if (end <= this.#bytes.length) return;
    const next = new Uint8Array(Math.max(end, Math.min(limits.partBytes, this.#bytes.length * 2)));
    next.set(this.#bytes);
    this.#bytes = next;
  }
}

export interface PartFooter {
  tableOffset: number;
  tableBytes: number;
  frames: number;
  chunks: number;
  tableSha256: Uint8Array;
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

/** Undoes the encryption of frame `n` or of the table; where there is none, gives the bytes as they are. */
export type OpenPiece = (n: number, stored: Uint8Array) => Uint8Array;

const asIs: OpenPiece = (_, stored) => stored;

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

function encodeTable(frames: FrameInfo[]): Uint8Array {
  const writer = new ByteWriter(4096);
  encodeFrames(writer, frames);
  return writer.view();
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
