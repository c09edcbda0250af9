/** Ends a snapshot or a restore from the inside; the outermost function turns it into `{ ok: false }`. */
import { readlinkSync } from "node:fs";
import { FormatError } from "../../core/snapshot/error.ts";
import { StoreError } from "../../core/snapshot/store.ts";
import type { Loss, SkippedPath, SnapshotFailure } from "./types.ts";

export class Stop extends Error {
  override name = "Stop";
  readonly code: string;
  readonly retryable: boolean;
  readonly paths: string[] | undefined;
  readonly losses: Loss[] | undefined;

  readonly lost: SkippedPath[] | undefined;

  constructor(
    code: string,
    message: string,
    retryable: boolean,
    paths?: string[],
    losses?: Loss[],
    lost?: SkippedPath[],
  ) {
    super(message);
    this.code = code;
    this.retryable = retryable;
    this.paths = paths;
    this.losses = losses?.length ? losses : undefined;
    this.lost = lost;
  }
}

/** Errors that are expected become a failure; anything else is a bug and is thrown on. */
export function failureOf(error: unknown): SnapshotFailure {
  if (error instanceof Stop) {
    const { code, message, retryable, paths, losses, lost } = error;
    const named = { ...(paths ? { paths } : {}), ...(losses ? { losses } : {}), ...(lost ? { lost } : {}) };
    return { ok: false, code, message, retryable, ...named };
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
    return { ok: false, code: "file_system_error", message: withRealPaths((error as Error).message), retryable: true };
  }
  throw error;
}

/** A folder is named by its descriptor inside the engine; people want its path. Works while the descriptor is open. */
function withRealPaths(message: string): string {
  return message.replace(/\/proc\/self\/fd\/\d+/g, (link) => {
    try {
      return readlinkSync(link);
    } catch {
      return link;
    }
  });
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new Stop("aborted", "The work was interrupted; it can be resumed.", true);
}
