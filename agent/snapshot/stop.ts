/** Ends a snapshot or a restore from the inside; the outermost function turns it into `{ ok: false }`. */
import { FormatError } from "../../core/snapshot/error.ts";
import { StoreError } from "../../core/snapshot/store.ts";
import type { SnapshotFailure } from "./types.ts";

export class Stop extends Error {
  override name = "Stop";
  readonly code: string;
  readonly retryable: boolean;
  readonly paths: string[] | undefined;

  constructor(code: string, message: string, retryable: boolean, paths?: string[]) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.paths = paths;
  }
}

/** Errors that are expected become a failure; anything else is a bug and is thrown on. */
export function failureOf(error: unknown): SnapshotFailure {
  if (error instanceof Stop) {
    const { code, message, retryable, paths } = error;
    return { ok: false, code, message, retryable, ...(paths ? { paths } : {}) };
  }
  if (error instanceof StoreError) {
    return {
      ok: false,
      code: error.code,
      message: error.message,
      retryable: error.retryable || error.code === "aborted",
    };
  }
  if (error instanceof FormatError) return { ok: false, code: error.code, message: error.message, retryable: false };
  const system = (error as NodeJS.ErrnoException | null)?.code;
  if (system === "ENOSPC" || system === "EDQUOT")
    return { ok: false, code: "no_space", message: "The disk is full.", retryable: true };
  if (typeof system === "string" && /^E[A-Z]+$/.test(system)) {
    return { ok: false, code: "file_system_error", message: String((error as Error).message), retryable: true };
  }
  throw error;
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new Stop("aborted", "The work was interrupted; it can be resumed.", true);
}
