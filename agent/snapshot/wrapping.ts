/**
 * The wrapped key of an instance whose first encrypted snapshot is under way: no manifest names it yet, and without it a
 * run after a kill could not use what was sent. Lost or damaged: the next run makes another key and sends all again.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { manifestSchema } from "../../core/snapshot/manifest.ts";
import type { Encryption } from "./keys.ts";

const fileOf = (stateDir: string, id: string) => `${stateDir}/key-${id}.json`;

export function readWrapping(stateDir: string, id: string): Encryption | null {
  try {
    return manifestSchema.shape.encryption.parse(JSON.parse(readFileSync(fileOf(stateDir, id), "utf8")));
  } catch {
    return null;
  }
}

export function rememberWrapping(stateDir: string, id: string, wrapped: Encryption): void {
  const file = fileOf(stateDir, id);
  try {
    writeFileSync(`${file}.new`, JSON.stringify(wrapped), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  } catch {
    rmSync(`${file}.new`, { force: true });
  }
}
