/** The body of a request that may have to be sent more than once: small ones are kept when that was asked for, others stream. */
export class Body {
  readonly #request: Request;
  /** A GET's or a HEAD's: no Request can be made that carries one. */
  readonly #isUnfit: boolean;
  #kept: Uint8Array<ArrayBuffer> | null = null;
  #isSpent = false;

  constructor(request: Request) {
    this.#request = request;
    this.#isUnfit = request.method === "GET" || request.method === "HEAD";
  }

  /** Whether there is something in it that cannot be passed on. To be asked once, before anything else. */
  async isLost(): Promise<boolean> {
    const { body, headers } = this.#request;
    if (!this.#isUnfit || !body) return false;
    const length = headers.get("content-length");
    if (length !== null) return Number(length) !== 0;
    // Some clients announce one and send nothing.
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return false;
      if (value.length > 0) return true;
    }
  }

  /** Whether it can be had once more. */
  get canRepeat(): boolean {
    return !this.#isSpent || this.#kept !== null || this.#body === null;
  }

  /** Whether it can be had now, and then never again. */
  get isLast(): boolean {
    return !this.#isSpent && this.#kept === null && this.#body !== null;
  }

  /** Only where its length is told and no more than this: it is held in memory. */
  async keep(mostBytes: number): Promise<void> {
    const { headers } = this.#request;
    const length = headers.get("content-length") ?? "";
    if (!this.#body || this.#kept || this.#isSpent || !/^\d+$/.test(length) || Number(length) > mostBytes) return;
    this.#isSpent = true;
    this.#kept = new Uint8Array(await this.#request.arrayBuffer());
  }

  take(): BodyInit | null {
    if (this.#kept) return this.#kept;
    this.#isSpent = true;
    return this.#body;
  }

  get #body(): Request["body"] {
    return this.#isUnfit ? null : this.#request.body;
  }
}
