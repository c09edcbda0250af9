/** The agent's one logger: a JSON object per line, one line per event, no secret ever in it. */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from "node:fs";

export type LogLevel = "info" | "warn" | "error";
export type LogFields = Record<string, unknown>;

export interface Logger {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** From now on this text is never written. */
  hide(secret: string): void;
}

const ROTATE_BYTES = 8 * 1024 * 1024;
const HIDDEN = "[redacted]";
const secretShapes = [/eyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?/g, /\bsn[a-z]_[\w.-]{8,}/g, /\bBearer\s+[^\s"']+/gi];
const secretNames = /token|secret|password|authorization|api_?key/i;

export interface LogOptions {
  /** Appended to, and moved to `<file>.1` when it passes 8 MiB. Without it lines go to stderr. */
  file?: string | null;
  write?: (line: string) => void;
  now?: () => number;
}

export function createLogger({ file = null, write, now = Date.now }: LogOptions = {}): Logger {
  const out = write ?? (file === null ? writeToStderr : createFileWriter(file));
  const hidden = new Set<string>();
  const log = (level: LogLevel, event: string, fields: LogFields = {}) => {
    const line = { time: new Date(now()).toISOString(), level, event, ...fields };
    let text = JSON.stringify(line, (key, value) => clean(key, value, hidden)) ?? "";
    for (const secret of hidden) text = text.replaceAll(secret, HIDDEN);
    out(`${text}\n`);
  };
  return {
    info: (event, fields) => log("info", event, fields),
    warn: (event, fields) => log("warn", event, fields),
    error: (event, fields) => log("error", event, fields),
    hide(secret) {
      if (secret.length >= 6) hidden.add(secret);
    },
  };
}

/** The words of whatever was thrown, with its causes: fetch hides the reason there. */
export function describeError(error: unknown): string {
  const words: string[] = [];
  for (let at: unknown = error, depth = 0; at !== undefined && at !== null && depth < 4; depth++) {
    if (!(at instanceof Error)) {
      words.push(String(at));
      break;
    }
    const code = (at as { code?: unknown }).code;
    words.push(
      typeof code === "string" && !at.message.includes(code) ? `${at.message} (${code})` : at.message || at.name,
    );
    at = at.cause;
  }
  return words.join(": ");
}

function clean(key: string, value: unknown, hidden: Set<string>): unknown {
  if (value instanceof Error) return redact(describeError(value), hidden);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "string") return value;
  return secretNames.test(key) ? HIDDEN : redact(value, hidden);
}

function redact(text: string, hidden: Set<string>): string {
  let result = text;
  for (const secret of hidden) result = result.replaceAll(secret, HIDDEN);
  for (const shape of secretShapes) result = result.replace(shape, HIDDEN);
  return result;
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
