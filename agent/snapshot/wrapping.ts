/**
 * The wrapped key of an instance whose first encrypted snapshot is under way: no manifest names it yet, and without it a
 * run after a kill could not use what was sent. Lost or damaged: the next run makes another key and sends all again.
 */
import { manifestSchema } from "../../core/snapshot/manifest.ts";
import type { Encryption } from "./keys.ts";
import { readState, writeState } from "./state-file.ts";

const fileOf = (stateDir: string, id: string) => `${stateDir}/key-${id}.json`;

export function readWrapping(stateDir: string, id: string): Encryption | null {
  return readState(fileOf(stateDir, id), manifestSchema.shape.encryption);
}

export function rememberWrapping(stateDir: string, id: string, wrapped: Encryption): void {
  writeState(fileOf(stateDir, id), wrapped);
}
