/** One request of the relay, made to the gate. */
import { type ClientRequest, type IncomingMessage, request as makeRequest } from "node:http";
import { gateHeadBytes } from "../../core/protocol/gate.ts";
import type { Frame, OpenHead, ResetCode } from "../../core/protocol/relay.ts";
import { ReceiveWindow } from "../../core/protocol/relay-flow.ts";
import { Answer } from "./answer.ts";
import { contentLengthOf, rawHeadersOf } from "./heads.ts";
import type { Serve, ServeHost } from "./session.ts";

const repeatable = new Set(["GET", "HEAD", "OPTIONS"]);

export class HttpServe implements Serve {
  readonly #stream: number;
  readonly #open: OpenHead;
  readonly #host: ServeHost;
  readonly #window: ReceiveWindow;
  #request: ClientRequest;
  #answer: Answer | null = null;
  /** Of the body, by its length; null: chunked. */
  #leftBytes: number | null;
  #isOver = false;

  /** Errors: throws where node takes no such request. */
  constructor(stream: number, open: OpenHead, host: ServeHost) {
    this.#stream = stream;
    this.#open = open;
    this.#host = host;
    this.#leftBytes = contentLengthOf(open);
    this.#request = this.#ask();
    this.#window = new ReceiveWindow(host.budget);
  }

  take(frame: Frame): boolean {
    switch (frame.type) {
      case "data":
        return this.#open.hasBody && this.#window.arrive(frame.bytes.length) && this.#write(frame.bytes);
      case "end":
        if (this.#leftBytes) this.#break("cancelled", "the body is shorter than its length");
        else this.#request.end();
        return this.#open.hasBody;
      case "credit":
        // Before the answer there is nothing that it could be for.
        return this.#answer?.credit(frame.bytes) ?? false;
      default:
        return false;
    }
  }

  /** Whoever asked is gone. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#answer?.stop();
    this.#window.close();
    this.#host.forget(this.#stream);
    if (!this.#isThrough()) this.#request.destroy();
  }

  /** The connection may serve another request. */
  #isThrough(): boolean {
    return this.#request.writableFinished && this.#answer?.isWhole === true;
  }

  #ask(): ClientRequest {
    const { method, path, hasBody } = this.#open;
    const { port, agent } = this.#host.gate;
    const headers = rawHeadersOf(this.#open, port);
    // Node takes a raw list of headers; its types know only records.
    const options = { host: "127.0.0.1", port, agent, method, path, headers: headers as never, setHost: false };
    const request = makeRequest({ ...options, maxHeaderSize: gateHeadBytes });
    request.on("response", (response) => this.#takeAnswer(response));
    request.on("error", (error: NodeJS.ErrnoException) => {
      if (request === this.#request) this.#fail(error);
    });
    request.on("close", () => {
      if (request === this.#request && !this.#answer) this.#break("broke", "the gate closed without an answer");
    });
    // Node keeps the head back until there is a body; a service may answer before that.
    if (hasBody) request.flushHeaders();
    else request.end();
    return request;
  }

  #write(bytes: Uint8Array): boolean {
    if (this.#leftBytes !== null) {
      // One byte more would be the beginning of another request on the same connection.
      if (bytes.length > this.#leftBytes) return false;
      this.#leftBytes -= bytes.length;
    }
    this.#request.write(bytes, () => {
      if (!this.#isOver) this.#host.credit(this.#stream, this.#window.take(bytes.length));
    });
    return true;
  }

  #takeAnswer(response: IncomingMessage): void {
    if (this.#isOver) return;
    this.#answer = new Answer({
      stream: this.#stream,
      host: this.#host,
      response,
      onOver: () => this.stop(),
      onBroke: (code, message) => this.#break(code, message),
    });
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#isOver) return;
    // The gate had closed a connection that was kept for the next request, before it could see this one.
    const isStale = this.#request.reusedSocket && error.code === "ECONNRESET" && !this.#answer;
    if (isStale && !this.#open.hasBody && repeatable.has(this.#open.method)) {
      this.#request = this.#ask();
      return;
    }
    if (error.code === "ECONNREFUSED") this.#break("no_gate", "nothing listens where the gate should");
    else this.#break("broke", error.message);
  }

  #break(code: ResetCode, message: string): void {
    if (this.#isOver) return;
    this.#host.send({ type: "reset", stream: this.#stream, code, message });
    this.stop();
  }
}
