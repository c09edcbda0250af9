/** The port to a machine: whatever lies between, its other end is the gate on the machine. */
import type { PipeError } from "../../core/protocol/gate.ts";

export interface Pipe {
  /**
   * One request to the gate and its answer as it comes: bodies stream both ways and are never held whole, a WebSocket is a
   * response with one, whoever goes away on one side is gone on the other. Path, query and headers of `request` are final, its
   * host says nothing. Nothing is tried twice: only the caller knows whether that may be.
   */
  fetch(request: Request): Promise<Reached>;
}

export type Reached = { ok: true; response: Response } | { ok: false; code: PipeError; message: string };
