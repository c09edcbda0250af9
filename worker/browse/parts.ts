/** The parts of one snapshot in the store, for one request, which may ask the store only so many times. */
import { AppError } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { damaged } from "../../core/snapshot/error.ts";
import type { Manifest } from "../../core/snapshot/manifest.ts";
import { manifestObjectKey, partObjectKey } from "../../core/snapshot/store.ts";
import { ByteStream } from "./byte-stream.ts";
import { unavailable } from "./unavailable.ts";

/** A request to the worker may make a thousand of its own; the rest is for what comes before. */
const mostRequests = 900;

export class Requests {
  left = mostRequests;

  /** Errors: snapshot_too_large. */
  spend(): void {
    if (this.left === 0) throw new AppError("snapshot_too_large");
    this.left--;
  }
}

export class Parts {
  readonly instance: InstanceId;
  readonly requests: Requests;
  readonly #bucket: R2Bucket;
  readonly #manifest: Manifest;
  readonly #sizes: Map<string, number>;

  /** `requests`: shared where one request looks at two snapshots. */
  constructor(bucket: R2Bucket, instance: InstanceId, manifest: Manifest, requests: Requests) {
    this.#bucket = bucket;
    this.instance = instance;
    this.#manifest = manifest;
    this.#sizes = new Map(manifest.parts.map((part) => [part.key, part.bytes]));
    this.requests = requests;
  }

  /** Of a listed part; -1 of any other. */
  bytesOf(key: string): number {
    return this.#sizes.get(key) ?? -1;
  }

  /** Errors: as `open`. */
  async read(key: string, offset: number, length: number): Promise<Uint8Array> {
    const object = await this.#get(key, offset, length);
    const bytes = new Uint8Array(await object.arrayBuffer().catch(unavailable));
    if (bytes.length !== length) throw damaged(`the part ${key} ends too early`);
    return bytes;
  }

  /** Errors: AppError storage_unavailable, snapshot_damaged, snapshot_not_found (it was deleted meanwhile), snapshot_too_large. */
  async open(key: string, offset: number, length: number): Promise<ByteStream> {
    return new ByteStream((await this.#get(key, offset, length)).body);
  }

  async #get(key: string, offset: number, length: number): Promise<R2ObjectBody> {
    this.requests.spend();
    const name = partObjectKey(this.instance, key);
    const object = await this.#bucket.get(name, { range: { offset, length } }).catch(unavailable);
    if (!object) throw await this.#lost(key);
    if (object.size === this.bytesOf(key)) return object;
    await object.body.cancel();
    throw damaged(`the part ${key} has ${object.size} bytes instead of ${this.bytesOf(key)}`);
  }

  /** Retention deletes a manifest before its parts: with the manifest gone too nothing is damaged. */
  async #lost(key: string): Promise<Error> {
    const { seq, epoch } = this.#manifest;
    const manifest = await this.#bucket.head(manifestObjectKey(this.instance, seq, epoch)).catch(unavailable);
    return manifest === null
      ? new AppError("snapshot_not_found", { snapshot: seq })
      : damaged(`the store has lost the part ${key}`);
  }
}
