/** What cloudflared's log says: how many of its connections to the edge stand. The end of it is kept, without secrets. */

export interface CloudflaredLog {
  /** Output as it comes. */
  take(chunk: string): void;
  /** Connections that stand now. */
  connections(): number;
  /** The last lines. */
  tail(): string[];
  /** A new process has no connection yet; what the last one said stays. */
  begin(): void;
}

const MAX_LINES = 40;
const MAX_LINE = 500;
const HIDDEN = "[redacted]";

const registered = /\bRegistered tunnel connection\b/;
const lost =
  /\b(Unregistered tunnel connection|Lost connection|Connection terminated|Serve tunnel error|Retrying connection|Failed to (dial|serve)|Register tunnel error)\b/;

export function createCloudflaredLog(secret: () => string, onLine: () => void): CloudflaredLog {
  const lines: string[] = [];
  const standing = new Set<string>();
  let rest = "";

  const takeLine = (raw: string) => {
    // Its tokens may also stand in parts of others: all that looks like one is hidden.
    const line = raw
      .replaceAll(secret() || HIDDEN, HIDDEN)
      .replace(/eyJ[\w+/=-]{20,}/g, HIDDEN)
      .slice(0, MAX_LINE);
    lines.push(line);
    if (lines.length > MAX_LINES) lines.shift();
    const index = /\bconnIndex=(\d+)/.exec(line)?.[1] ?? "0";
    if (registered.test(line) && !lost.test(line)) standing.add(index);
    else if (lost.test(line)) standing.delete(index);
    onLine();
  };

  return {
    take(chunk) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) takeLine(line);
      // A line without an end: a secret that is cut in two would not be seen, so it is dropped whole.
      if (rest.length > 64 * 1024) rest = "";
    },
    connections: () => standing.size,
    tail: () => [...lines],
    begin() {
      standing.clear();
      rest = "";
    },
  };
}
