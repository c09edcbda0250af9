/** The agent's one logger: a JSON object per line, one line per event, no secret ever in it. */
import { copyFileSync, fchmodSync, fstatSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { createLineLogger, describeError, type Logger } from "../core/protocol/log.ts";

export { describeError, type Logger };

const ROTATE_BYTES = 8 * 1024 * 1024;

export interface LogOptions {
  /** Appended to; what it holds moves to `<file>.1` when it passes 8 MiB. Without it lines go to stderr. */
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
  const fd = openSync(file, "a", 0o600);
  let bytes = fstatSync(fd).size;
  return (line) => {
    if (bytes > ROTATE_BYTES) {
      bytes = 0;
      rotate(file, fd);
    }
    try {
      bytes += writeSync(fd, line);
    } catch {
      // A full disk must not end the agent.
    }
  };
}

/** Copied, not renamed: the loop that starts agents appends to the same file, and would go on in the one that was moved away. */
function rotate(file: string, fd: number): void {
  try {
    // Whoever made it may have left it open to others.
    fchmodSync(fd, 0o600);
    copyFileSync(file, `${file}.1`);
    ftruncateSync(fd);
  } catch {
    // On a full disk it grows on, and is tried again after as many bytes.
  }
}
