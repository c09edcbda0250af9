/** The agent's one logger: a JSON object per line, one line per event, no secret ever in it. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";
import { createLineLogger, describeError, type Logger } from "../core/protocol/log.ts";

export { describeError, type Logger };

const ROTATE_BYTES = 8 * 1024 * 1024;

export interface LogOptions {
  /** Appended to, and moved to `<file>.1` when it passes 8 MiB. Without it lines go to stderr. */
  file?: string | null;
  write?: (line: string) => void;
  now?: () => number;
}

export function createLogger({ file = null, write, now = Date.now }: LogOptions = {}): Logger {
  const out = write ?? (file === null ? writeToStderr : createFileWriter(file));
  return createLineLogger((_level, line) => out(`${line}\n`), now);
}

function writeToStderr(line: string): void {
  try {
    writeSync(2, line);
  } catch {
    // A closed or full stderr must not end the agent.
  }
}
function createFileWriter(file: string): (line: string) => void {
  let fd = openSync(file, "a", 0o600);
  let bytes = fstatSync(fd).size;
  return (line) => {
    try {
      if (bytes > ROTATE_BYTES) {
        renameSync(file, `${file}.1`);
        closeSync(fd);
        fd = openSync(file, "a", 0o600);
        bytes = 0;
      }
      bytes += writeSync(fd, line);
    } catch {
      // A full disk must not end the agent.
    }
  };
}
