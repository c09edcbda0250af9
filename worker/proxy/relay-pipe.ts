/** The pipe over the relay: the machine's agent holds a socket to the instance's relay object. */
import { gateHeaders, type PipeError, pipeErrors } from "../../core/protocol/gate.ts";
import { relayEpochHeader } from "../../core/protocol/relay.ts";
import type { Pipe, Reached } from "./pipe.ts";

/** `stub`: a new one for each try; one that threw is of no more use. */
export function relayPipe(stub: { fetch(request: Request): Promise<Response> }): Pipe {
  return {
    async fetch(request: Request): Promise<Reached> {
      let asked = request;
      if (request.headers.has(relayEpochHeader)) {
        // With it a client's WebSocket would be taken for the machine's.
        asked = new Request(request);
        asked.headers.delete(relayEpochHeader);
      }
      try {
        const response = await stub.fetch(asked);
        const code = response.headers.get(gateHeaders.pipe);
        if (response.status !== 503 || !isPipeError(code)) return { ok: true, response };
        return { ok: false, code, message: await response.text() };
      } catch (error) {
        return { ok: false, code: "broken", message: error instanceof Error ? error.message : String(error) };
      }
    },
  };
}

function isPipeError(code: string | null): code is PipeError {
  return pipeErrors.some((one) => one === code);
}
