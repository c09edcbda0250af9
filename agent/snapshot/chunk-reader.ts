/**
 * Single chunks of a stored snapshot, each checked by its id: a range read for its frame and for those of its bases (which
 * have none: the index sees to that), and the last frames are kept.
 */
import { fromHex, latin1FromBytes } from "../../core/snapshot/bytes.ts";
import { damaged, FormatError } from "../../core/snapshot/error.ts";
import { type FrameInfo, headerBytes } from "../../core/snapshot/frame-table.ts";
import { openFrame } from "../../core/snapshot/open-frame.ts";
import { decodeHeader, type OpenPiece } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { partObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import type { LoadedSnapshot } from "./meta.ts";
import { Stop } from "./stop.ts";

/** Of at most 8 MiB each. */
const framesKept = 8;

export class ChunkReader {
  readonly snapshot: LoadedSnapshot;
  readonly #store: SnapshotStore;
  readonly #signal: AbortSignal | undefined;
  readonly #openers = new Map<string, OpenPiece>();
  readonly #frames = new Map<FrameInfo, Promise<Uint8Array[]>>();

  constructor(store: SnapshotStore, snapshot: LoadedSnapshot, signal?: AbortSignal) {
    this.#store = store;
    this.snapshot = snapshot;
    this.#signal = signal;
  }

  /** `id`: a byte string. Errors: FormatError or Stop when the bytes are lost, or stay wrong after a second reading. */
  async read(id: string): Promise<Uint8Array> {
    const { index } = this.snapshot;
    const n = index.partOf(id);
    const frame = index.frameOf(id);
    if (n === undefined || !frame) throw damaged("a chunk lies in no listed part");
    const chunks = await this.#frame(index.parts[n]!, frame);
    return chunks[frame.chunks.indexOf(id)]!;
  }

  get rootId(): string {
    return latin1FromBytes(fromHex(this.snapshot.manifest.root.id));
  }

  root(): Promise<Uint8Array> {
    return this.read(this.rootId);
  }

  #frame(part: IndexedPart, frame: FrameInfo): Promise<Uint8Array[]> {
    const known = this.#frames.get(frame);
    this.#frames.delete(frame);
    const chunks = known ?? this.#fetch(part, frame);
    chunks.catch(() => this.#frames.delete(frame));
    this.#frames.set(frame, chunks);
    for (const oldest of this.#frames.keys()) {
      if (this.#frames.size <= framesKept) break;
      this.#frames.delete(oldest);
    }
    return chunks;
  }

  async #fetch({ key, frames }: IndexedPart, frame: FrameInfo): Promise<Uint8Array[]> {
    const { manifest, keyring } = this.snapshot;
    const range = { offset: frame.offset, length: frame.storedBytes };
    const objectKey = partObjectKey(manifest.instance, key);
    for (let attempt = 1; ; attempt++) {
      try {
        const bytes = await this.#store.get(objectKey, range, { signal: this.#signal });
        const open = await this.#openerOf(objectKey);
        const n = frames.indexOf(frame);
        return await openFrame(bytes, frame, keyring.primitives, n, open, (id) => this.read(id));
      } catch (error) {
        if (error instanceof StoreError && (error.code === "object_not_found" || error.code === "range_invalid"))
          throw new Stop("part_missing", `The store has lost the part ${key}, or its end.`, false);
        this.#openers.delete(objectKey);
        if (!(error instanceof FormatError) || attempt === 2) throw error;
      }
    }
  }

  /** The salt of an encrypted part lies in its header: another small read. */
  async #openerOf(objectKey: string): Promise<OpenPiece | undefined> {
    const { cipher } = this.snapshot.keyring;
    if (!cipher) return undefined;
    const known = this.#openers.get(objectKey);
    if (known) return known;
    const range = { offset: 0, length: headerBytes };
    const header = await this.#store.get(objectKey, range, { signal: this.#signal });
    const { open } = decodeHeader(header, cipher);
    this.#openers.set(objectKey, open);
    return open;
  }
}
