/** The gate's answer on its way into the relay. */
import type { IncomingMessage } from "node:http";
import { encodeHead, frameBytes, type ResetCode } from "../../core/protocol/relay.ts";
import { ByteLane } from "../../core/protocol/relay-lanes.ts";
import { Coalescer } from "./coalesce.ts";
import { pairsOf } from "./heads.ts";
import type { ServeHost } from "./session.ts";

export interface AnswerOptions {
  stream: number;
  host: ServeHost;
  response: IncomingMessage;
  /** The end is on its way. */
  onOver: () => void;
  onBroke: (code: ResetCode, message: string) => void;
}

export class Answer {
  readonly #host: ServeHost;
  readonly #response: IncomingMessage;
  readonly #lane: ByteLane;
  readonly #coalescer: Coalescer;

  constructor({ stream, host, response, onOver, onBroke }: AnswerOptions) {
    this.#host = host;
    this.#response = response;
    const lane = new ByteLane(stream);
    this.#lane = lane;
    this.#coalescer = new Coalescer((chunks) => this.#pass(chunks), frameBytes);
    const head = { status: response.statusCode ?? 0, headers: pairsOf(response.rawHeaders) };
    const frame = encodeHead({ type: "head", stream, head });
    if (!frame) {
      onBroke("too_large", "the head of the answer is too long, or no valid head");
      return;
    }
    host.sendNow(frame);
    lane.onOver = onOver;
    lane.onDrain = () => response.resume();
    response.on("data", (chunk: Buffer) => this.#coalescer.push(chunk));
    response.on("end", () => {
      this.#coalescer.flush();
      lane.end();
      host.writer.wake(lane);
    });
    response.on("error", (error) => onBroke("broke", error.message));
    response.on("close", () => {
      if (!response.complete) onBroke("broke", "the gate broke off within its answer");
    });
  }

  /** All of it came from the gate. */
  get isWhole(): boolean {
    return this.#response.complete;
  }

  /** False: no such credit can be. */
  credit(bytes: number): boolean {
    if (!this.#lane.credit.add(bytes)) return false;
    this.#host.writer.wake(this.#lane);
    return true;
  }

  stop(): void {
    this.#coalescer.stop();
    this.#host.writer.drop(this.#lane);
  }

  #pass(chunks: Uint8Array[]): void {
    for (const chunk of chunks) this.#lane.push(chunk);
    this.#host.writer.wake(this.#lane);
    if (this.#lane.isFull) this.#response.pause();
  }
}
