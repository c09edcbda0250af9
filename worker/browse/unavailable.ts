/** The store's own failures, which say nothing of the snapshot. */
import { AppError } from "../../core/protocol/errors.ts";

export function unavailable(cause: unknown): never {
  throw new AppError("storage_unavailable", { retryAfterMs: 1000 }, { cause });
}
