/** The body of a request that may have to be sent more than once: small ones are kept when that was asked for, others stream. */
export class Body {
  readonly #request: Request;
  #kept: Uint8Array<ArrayBuffer> | null = null;
  #isSpent = false;

  constructor(request: Request) {
    this.#request = request;
  }

  /** Whether it can be had once more. */
  get canRepeat(): boolean {
    return !this.#isSpent || this.#kept !== null || this.#request.body === null;
  }

  /** Whether it can be had now, and then never again. */
  get isLast(): boolean {
    return !this.#isSpent && this.#kept === null && this.#request.body !== null;
  }

  /** Only where its length is told and no more than this: it is held in memory. */
  async keep(mostBytes: number): Promise<void> {
    const { body, headers } = this.#request;
    const length = headers.get("content-length") ?? "";
    if (!body || this.#kept || this.#isSpent || !/^\d+$/.test(length) || Number(length) > mostBytes) return;
    this.#isSpent = true;
    this.#kept = new Uint8Array(await this.#request.arrayBuffer());
  }

  take(): BodyInit | null {
    if (this.#kept) return this.#kept;
    this.#isSpent = true;
    return this.#request.body;
  }
}
