/** Small files of the state folder, which a run can do without: one that is lost, damaged or cannot be written is no error. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type * as z from "zod";

/** Null: never written, lost, damaged, or of another version. */
export function readState<T>(file: string, schema: z.ZodType<T>): T | null {
  try {
    return schema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return null;
  }
}

/** Whole or not at all; for this user alone. */
export function writeState(file: string, value: unknown): void {
  const draft = `${file}.new`;
  try {
    writeFileSync(draft, JSON.stringify(value), { mode: 0o600 });
    renameSync(draft, file);
  } catch {
    rmSync(draft, { force: true });
  }
}
