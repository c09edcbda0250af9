/** What an instance's object answers. A refusal is a value: an error that is thrown loses its code on the way out of the object. */
import type { ErrorCode, ErrorContext } from "../../core/protocol/errors.ts";

export type Answer<T> = ({ ok: true } & T) | Refusal;

export interface Refusal {
  ok: false;
  code: ErrorCode;
  context?: ErrorContext;
}

export const notFound = { ok: false, code: "instance_not_found" } as const;
