/**
 * Frames of bases, from the store, for readers that have the chunks nowhere else. A frame and those of its bases travel to
 * a coder thread in one buffer. The frames read last are kept, since neighbours share them.
 */
import type { SnapshotCipher } from "../../core/snapshot/cipher.ts";
import { damaged } from "../../core/snapshot/error.ts";
import { type FrameInfo, headerBytes, type LooseFrame } from "../../core/snapshot/frame-table.ts";
import { decodeHeader, type OpenPiece } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { partObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import type { Keyring } from "./keyring.ts";
import { Stop } from "./stop.ts";

const keptBytes = 24 * 1024 * 1024;

export interface BaseFramesInput {
  store: SnapshotStore;
  id: string;
  index: ChunkIndex;
  keyring: Keyring;
  signal?: AbortSignal | undefined;
  onReceived?: (bytes: number) => void;
  /** A frame's bytes, without encryption, that somebody has in memory and has checked. */
  held?: (frame: FrameInfo) => Uint8Array | undefined;
}

/** All without encryption; offsets are those in `bytes`. */
export interface Joined {
  /** An ArrayBuffer of its own: the frame, then those of its bases. */
  bytes: Uint8Array;
  frame: LooseFrame;
  baseFrames: LooseFrame[];
}

export class BaseFrames {
  readonly #input: BaseFramesInput;
  readonly #kept = new Map<FrameInfo, Promise<Uint8Array>>();
  #keptBytes = 0;

  constructor(input: BaseFramesInput) {
    this.#input = input;
  }

  get cipher(): SnapshotCipher | null {
    return this.#input.keyring.cipher;
  }

  /** Whether all bases are where they can be read. */
  has({ bases }: FrameInfo): boolean {
    return bases.every((id) => this.#input.index.hasPlain(id));
  }

  /** `opened`: the frame's bytes. `isFresh`: nothing that was read before is trusted. Errors: FormatError, Stop `part_missing`. */
  async join(frame: FrameInfo, opened: Uint8Array, isFresh = false): Promise<Joined> {
    const { index } = this.#input;
    const frames = new Map<FrameInfo, IndexedPart>();
    for (const id of frame.bases) {
      if (!index.hasPlain(id)) throw damaged("a base lies in no listed part");
      frames.set(index.frameOf(id)!, index.parts[index.partOf(id)!]!);
    }
    const pieces: [FrameInfo, Uint8Array][] = [[frame, opened]];
    for (const [base, part] of frames) pieces.push([base, await this.#readKept(part, base, isFresh)]);
    const bytes = new Uint8Array(pieces.reduce((sum, [, piece]) => sum + piece.length, 0));
    let end = 0;
    const [first, ...baseFrames] = pieces.map(([info, piece]) => {
      const offset = end;
      bytes.set(piece, offset);
      end += piece.length;
      return { ...info, offset, storedBytes: piece.length, chunks: [...info.chunks] };
    });
    return { bytes, frame: first!, baseFrames };
  }

  /** A frame's bytes, without encryption. Errors: as `join`. */
  async read({ key, frames }: IndexedPart, frame: FrameInfo): Promise<Uint8Array> {
    const { offset, storedBytes } = frame;
    const bytes = await this.#range(key, { offset, length: storedBytes });
    if (!this.cipher) return bytes;
    return (await this.#openerOf(key, this.cipher))(frames.indexOf(frame), bytes);
  }

  #readKept(part: IndexedPart, frame: FrameInfo, isFresh: boolean): Promise<Uint8Array> {
    const known = this.#kept.get(frame);
    const held = isFresh ? undefined : this.#input.held?.(frame);
    if (held) return Promise.resolve(held);
    if (known && !isFresh) return known;
    if (known) this.#forget(frame);
    const bytes = this.read(part, frame);
    bytes.catch(() => {
      if (this.#kept.get(frame) === bytes) this.#forget(frame);
    });
    this.#kept.set(frame, bytes);
    this.#keptBytes += frame.storedBytes;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= keptBytes || oldest === frame) break;
      this.#forget(oldest);
    }
    return bytes;
  }

  #forget(frame: FrameInfo): void {
    if (this.#kept.delete(frame)) this.#keptBytes -= frame.storedBytes;
  }

  /** The salt lies in the header: another small read. */
  async #openerOf(key: string, cipher: SnapshotCipher): Promise<OpenPiece> {
    return decodeHeader(await this.#range(key, { offset: 0, length: headerBytes }), cipher).open;
  }

  async #range(key: string, range: { offset: number; length: number }): Promise<Uint8Array> {
    const { store, id, signal, onReceived } = this.#input;
    const bytes = await getRange(store, id, key, range, signal);
    onReceived?.(bytes.length);
    return bytes;
  }
}

/** A range of a part, unchecked but for its length. Errors: Stop `part_missing`, FormatError. */
export async function getRange(
  store: SnapshotStore,
  id: string,
  key: string,
  range: { offset: number; length: number },
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await store.get(partObjectKey(id, key), range, { signal });
  } catch (error) {
    if (!(error instanceof StoreError) || (error.code !== "object_not_found" && error.code !== "range_invalid"))
      throw error;
    throw new Stop("part_missing", `The store has lost the part ${key}, or its end.`, false);
  }
  if (bytes.length !== range.length) throw damaged("a range of a part has another length");
  return bytes;
}
