/** The body of an answer on its way out: chunks as they come from the machine, taken as the client reads. */

export interface InflowOptions {
  /** Of the whole body, where the head says so: then the client is told, too. */
  length: number | null;
  /** The client took so many bytes. */
  onTaken: (bytes: number) => void;
  /** The client is gone, or all is through. */
  onOver: (isWhole: boolean) => void;
}

export class Inflow {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #options: InflowOptions;
  #waiting: Uint8Array[] = [];
  #isWriting = false;
  #isEnded = false;
  #isOver = false;

  constructor(options: InflowOptions) {
    const { readable, writable } =
      options.length === null ? new IdentityTransformStream() : new FixedLengthStream(options.length);
    this.readable = readable;
    this.#writer = writable.getWriter();
    this.#options = options;
    this.#writer.closed.catch(() => this.#finish(false));
  }

  push(chunk: Uint8Array): void {
    this.#waiting.push(chunk);
    this.#run();
  }

  end(): void {
    this.#isEnded = true;
    this.#run();
  }

  /** Breaks the body off, so that nobody takes it for whole. */
  fail(message: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting = [];
    this.#writer.abort(new Error(message)).catch(() => undefined);
  }

  #run(): void {
    if (!this.#isWriting && !this.#isOver) this.#write().catch(() => this.#finish(false));
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    while (this.#waiting.length > 0) {
      const chunk = this.#waiting.shift()!;
      await this.#writer.write(chunk);
      this.#options.onTaken(chunk.length);
    }
    this.#isWriting = false;
    if (!this.#isEnded || this.#isOver) return;
    await this.#writer.close();
    this.#finish(true);
  }

  #finish(isWhole: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#waiting = [];
    this.#options.onOver(isWhole);
  }
}
