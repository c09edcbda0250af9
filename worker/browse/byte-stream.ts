/** Exact numbers of bytes out of a stream, one after another; no more of it is held than was asked for. */
import { damaged } from "../../core/snapshot/error.ts";
import { unavailable } from "./unavailable.ts";

export class ByteStream {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #rest = new Uint8Array(0);

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** Errors: FormatError where the stream ends too early; AppError storage_unavailable where it breaks. */
  async take(bytes: number): Promise<Uint8Array> {
    const out = new Uint8Array(bytes);
    for (let filled = 0; filled < bytes; ) {
      const some = await this.#some(bytes - filled);
      out.set(some, filled);
      filled += some.length;
    }
    return out;
  }

  /** Errors: as `take`. */
  async skip(bytes: number): Promise<void> {
    for (let left = bytes; left > 0; ) left -= (await this.#some(left)).length;
  }

  async cancel(): Promise<void> {
    this.#rest = new Uint8Array(0);
    await this.#reader.cancel().catch(() => {});
  }

  /** At least one byte, at most so many. */
  async #some(most: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#reader.read().catch(unavailable);
      if (done) throw damaged("a part ends too early");
      this.#rest = value as Uint8Array<ArrayBuffer>;
    }
    const some = this.#rest.subarray(0, most);
    this.#rest = this.#rest.subarray(some.length);
    return some;
  }
}
