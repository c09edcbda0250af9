/** The stand-in's cloudflared as a program of that name, for a PATH or for SONECA_CLOUDFLARED. */
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes `folder`/cloudflared and says its path. */
export function writeCloudflared(folder: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "cloudflared");
  const program = join(import.meta.dirname, "cloudflared.ts");
  // The clock of a machine of the local cloud comes by NODE_OPTIONS, which is meant for its own programs.
  const script = `#!/bin/sh\nunset NODE_OPTIONS\nexec ${quote(process.execPath)} --disable-warning=ExperimentalWarning ${quote(program)} "$@"\n`;
  writeFileSync(file, script, { mode: 0o755 });
  chmodSync(file, 0o755);
  return file;
}

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
