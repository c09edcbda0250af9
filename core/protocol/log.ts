/**
 * A line of a log: one JSON object per event, `time`, `level`, `event`, then the fields of the event; no secret is ever in it.
 * Worker and agent write the same shape; docs/OBSERVE.md names the events.
 */

export const logLevels = ["info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFields = Record<string, unknown>;

export interface Logger {
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** From now on this text is never written. */
  hide(secret: string): void;
}

const hiddenText = "[redacted]";
/** Of one text. A longer one is an error's that quotes what it was given; nobody reads it, and the shapes take long over it. */
const mostChars = 8192;
/** A short text would take words out of every line. */
const leastSecretLength = 6;
const secretNames = /token|secret|password|passphrase|authorization|cookie|api_?key/i;
const secretShapes: [RegExp, string][] = [
  // A JWT.
  [/eyJ[\w-]{5,}\.[\w-]+(\.[\w-]*)?/g, hiddenText],
  // User, proxy, admin tokens.
  [/\bsn[a-z]_[\w.-]{8,}/g, hiddenText],
  [/\b(Bearer|Basic)\s+[^\s"']+/gi, hiddenText],
  [/\b(soneca_session|CF_Authorization)=[^\s;,"']+/g, `$1=${hiddenText}`],
  // In an address: who asks, what is asked with, and where the whole address is the secret.
  [/(\b\w{1,64}:\/\/)[^\s/?#@"']+@/g, `$1${hiddenText}@`],
  [/([?&][\w.-]*(?:token|secret|password|signature|key|code)[\w.-]*=)[^\s&#"']+/gi, `$1${hiddenText}`],
  [/(hooks\.slack\.com\/services|discord(?:app)?\.com\/api(?:\/v\d+)?\/webhooks)\/[^\s"']+/gi, `$1/${hiddenText}`],
];

/** `now`: epoch ms. `write` gets each line without its end. */
export function createLineLogger(write: (level: LogLevel, line: string) => void, now: () => number): Logger {
  const hidden = new Set<string>();
  const log = (level: LogLevel, event: string, fields: LogFields = {}) => {
    const line = { time: new Date(now()).toISOString(), level, event, ...fields };
    let text = JSON.stringify(line, (key, value) => clean(key, value, hidden)) ?? "";
    for (const secret of hidden) text = text.replaceAll(secret, hiddenText);
    write(level, text);
  };
  return {
    info: (event, fields) => log("info", event, fields),
    warn: (event, fields) => log("warn", event, fields),
    error: (event, fields) => log("error", event, fields),
    hide(secret) {
      if (secret.length >= leastSecretLength) hidden.add(secret);
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
  return secretNames.test(key) ? hiddenText : redact(value, hidden);
}

function redact(text: string, hidden: Set<string>): string {
  let result = text;
  for (const secret of hidden) result = result.replaceAll(secret, hiddenText);
  // With what follows, so that no secret is cut to a shape that nobody knows.
  const more = result.length - mostChars;
  result = result.slice(0, 2 * mostChars);
  for (const [shape, instead] of secretShapes) result = result.replace(shape, instead);
  return more > 0 ? `${result.slice(0, mostChars)} [${more} more]` : result;
}
