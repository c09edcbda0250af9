/** Paths as requests name them. */
import { bytesOfPath } from "../../core/protocol/browse-path.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { checkPath } from "../../core/snapshot/tree.ts";

/** As a byte string. `field`: of the query. Errors: invalid_input for what no snapshot can hold. */
export function pathOf(text: string, field: string): string {
  const path = bytesOfPath(text);
  try {
    if (path !== null) {
      checkPath(path);
      return path;
    }
  } catch {
    // The same answer as for what is no path at all.
  }
  const message = "relative, names joined by /, none of them empty, . or .. ; bytes that are not UTF-8, and %, as %XX";
  throw new AppError("invalid_input", { issues: [{ path: field, message }] });
}
