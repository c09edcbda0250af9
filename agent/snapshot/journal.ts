/**
 * Which parts this machine put into the store and what they hold, so that a run after a kill, and every later snapshot,
 * sends nothing twice. Append-only, on disk before a part counts as done. Only parts that the store still lists count;
 * parts that it lists and the journal does not know are read from their own tables. Lost or damaged: that costs time.
 *
 * file = { u32 payloadBytes | first 8 bytes of sha256(payload) | payload = an indexed part, as in a segment }*
 */
import {
  appendFileSync,
  closeSync,
  fdatasync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { promisify } from "node:util";
import { ByteReader, ByteWriter, equalBytes } from "../../core/snapshot/bytes.ts";
import { FormatError } from "../../core/snapshot/error.ts";
import { headerBytes } from "../../core/snapshot/frame-table.ts";
import { decodeFooter, decodeHeader, decodeTable, footerBytes } from "../../core/snapshot/part.ts";
import { decodeIndexedPart, encodeIndexedPart, type IndexedPart } from "../../core/snapshot/segment.ts";
import { instancePrefix, parseObjectKey, type SnapshotStore } from "../../core/snapshot/store.ts";
import { ChunkIndex } from "./chunk-index.ts";
import { forEachInFlight } from "./in-flight.ts";
import type { Keyring } from "./keyring.ts";
import { nodePrimitives } from "./primitives.ts";

const syncData = promisify(fdatasync);
const headBytes = 12;
/** One range read brings footer and table of all but the largest tables. */
const tailBytes = 128 * 1024;

export class Journal {
  readonly #fd: number;
  #isOpen = true;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** The journal and the parts that it knows of. Cuts off a damaged end. */
  static open(file: string): { journal: Journal; parts: IndexedPart[] } {
    const fd = openSync(file, "a+", 0o600);
    const { parts, goodBytes } = readParts(readFileSync(file));
    ftruncateSync(fd, goodBytes);
    return { journal: new Journal(fd), parts };
  }

  /** Resolves when it is on the disk. */
  async append(part: IndexedPart): Promise<void> {
    // What was still on its way when the run was given up: its file descriptor may be another file's by now.
    if (!this.#isOpen) throw new Error("the run has ended");
    writeRecord(this.#fd, part);
    await syncData(this.#fd);
  }

  /** Parts that the store is known to have anyway: a crash that loses these records costs a reading of tables. */
  appendAll(parts: IndexedPart[]): void {
    for (const part of parts) writeRecord(this.#fd, part);
  }

  close(): void {
    this.#isOpen = false;
    closeSync(this.#fd);
  }
}

/** `name`: Keyring.stateName. */
export function journalFile(stateDir: string, name: string): string {
  return `${stateDir}/journal-${name}`;
}

function writeRecord(fd: number, part: IndexedPart): void {
  const payload = new ByteWriter(4096);
  encodeIndexedPart(payload, part);
  const writer = new ByteWriter(payload.length + headBytes);
  writer.u32(payload.length);
  writer.bytes(nodePrimitives.sha256(payload.view()).subarray(0, 8));
  writer.bytes(payload.view());
  // One call, so that no other append comes between its bytes.
  writeSync(fd, writer.view());
}

function readParts(bytes: Uint8Array): { parts: IndexedPart[]; goodBytes: number } {
  const parts: IndexedPart[] = [];
  let goodBytes = 0;
  try {
    const reader = new ByteReader(bytes, "journal");
    while (reader.left > 0) {
      const length = reader.u32();
      const check = reader.take(8);
      const payload = reader.take(length);
      if (!equalBytes(nodePrimitives.sha256(payload).subarray(0, 8), check)) break;
      const inner = new ByteReader(payload, "journal");
      parts.push(decodeIndexedPart(inner));
      inner.end();
      goodBytes = reader.at;
    }
  } catch {
    // The end of a killed run; everything before it is good.
  }
  return { parts, goodBytes };
}

/** Sizes of this instance's parts in the store, by key. */
export async function listParts(store: SnapshotStore, id: string, signal?: AbortSignal): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for await (const object of store.list(`${instancePrefix(id)}parts/`, { signal })) {
    const name = parseObjectKey(object.key);
    if (name?.kind === "part" && name.instance === id) sizes.set(name.sha256, object.bytes);
  }
  return sizes;
}

export interface KnownInput {
  store: SnapshotStore;
  id: string;
  keyring: Keyring;
  /** Remembers parts that are of no use: of another key or of none, damaged, or made anew by a repack. */
  othersFile: string;
  /** More of them, for this run. */
  forget: ReadonlySet<string>;
  journal: Journal;
  journalled: IndexedPart[];
  concurrency: number;
  signal?: AbortSignal | undefined;
}

/** Every part that is safely in the store, with what it holds. */
export async function loadKnownParts(input: KnownInput): Promise<ChunkIndex> {
  const { store, id, othersFile, forget, journal, journalled, concurrency, signal } = input;
  const sizes = await listParts(store, id, signal);
  for (const key of [...readOthers(othersFile), ...forget]) sizes.delete(key);
  const index = new ChunkIndex();
  for (const part of journalled) {
    if (sizes.get(part.key) !== part.bytes) continue;
    index.add(part);
    sizes.delete(part.key);
  }
  await forEachInFlight([...sizes], concurrency, async ([key, bytes]) => {
    const part = await readPartTable(input, key, bytes);
    if (!part) return rememberOther(othersFile, key);
    index.add(part);
    await journal.append(part);
  });
  return index;
}

/** Lost or damaged: those parts are looked at again. */
function readOthers(file: string): string[] {
  try {
    return readFileSync(file, "latin1").split("\n");
  } catch {
    return [];
  }
}

export function rememberOther(file: string, key: string): void {
  try {
    appendFileSync(file, `${key}\n`, { mode: 0o600 });
  } catch {
    // It is looked at again the next time.
  }
}

/** They were put there again, and are what their names say. */
export function forgetOthers(file: string, keys: ReadonlySet<string>): void {
  const others = readOthers(file);
  const left = others.filter((key) => !keys.has(key));
  if (left.length === others.length) return;
  try {
    writeFileSync(file, left.join("\n"), { mode: 0o600 });
  } catch {
    // They are sent again the next time.
  }
}

/** Null for an object that is not a part of this key that this version reads: it is left alone. */
async function readPartTable(
  { store, id, keyring, signal }: KnownInput,
  key: string,
  bytes: number,
): Promise<IndexedPart | null> {
  if (bytes < headerBytes + footerBytes) return null;
  const objectKey = `${instancePrefix(id)}parts/${key}`;
  const from = Math.max(0, bytes - tailBytes);
  try {
    const tail = await store.get(objectKey, { offset: from, length: bytes - from }, { signal });
    const footer = decodeFooter(tail.subarray(tail.length - footerBytes), bytes);
    const stored =
      footer.tableOffset >= from
        ? tail.subarray(footer.tableOffset - from, footer.tableOffset - from + footer.tableBytes)
        : await store.get(objectKey, { offset: footer.tableOffset, length: footer.tableBytes }, { signal });
    const { cipher, primitives } = keyring;
    // The salt of an encrypted part lies in its header: another small read.
    const front = { offset: 0, length: headerBytes };
    const header = !cipher || from === 0 ? tail : await store.get(objectKey, front, { signal });
    const open = cipher ? decodeHeader(header, cipher).open : undefined;
    const { frames } = await decodeTable(stored, footer, primitives, open);
    return { key, bytes, frames };
  } catch (error) {
    if (error instanceof FormatError) return null;
    throw error;
  }
}
