/** What a command prints: with --json one object a line on stdout and nothing else there; otherwise text for people. */
import type { SnapshotProgress } from "../snapshot/types.ts";
import { printable, size } from "./text.ts";

const lineMs = 250;

export interface Output {
  readonly isJson: boolean;
  progress(progress: SnapshotProgress): void;
  warning(fields: { reason: string; path?: string }): void;
  /** `text`: for people; with line breaks where it has several lines, without one at its end. */
  line(json: Record<string, unknown>, text: string): void;
  /** The last line. `text` is left out when empty. */
  summary(json: Record<string, unknown>, text: string): void;
}

/** `stream`: "stderr" for a command whose stdout is bytes. */
export function openOutput(isJson: boolean, stream: "stdout" | "stderr"): Output {
  return isJson ? new JsonOutput(process[stream]) : new TextOutput();
}

class JsonOutput implements Output {
  readonly isJson = true;
  readonly #stream: NodeJS.WriteStream;
  #toldAt = -lineMs;
  #waiting: SnapshotProgress | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** At most four a second; what comes too soon is told a moment later unless something newer comes. */
  progress(progress: SnapshotProgress): void {
    this.#waiting = progress;
    const leftMs = this.#toldAt + lineMs - performance.now();
    if (leftMs <= 0) this.#tell();
    else this.#timer ??= setTimeout(() => this.#tell(), leftMs).unref();
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (!this.#waiting) return;
    this.#toldAt = performance.now();
    this.#print({ type: "progress", ...this.#waiting });
    this.#waiting = null;
  }

  warning(fields: { reason: string; path?: string }): void {
    this.#print({ type: "warning", ...fields });
  }

  line(json: Record<string, unknown>): void {
    this.#print(json);
  }

  summary(json: Record<string, unknown>): void {
    clearTimeout(this.#timer);
    this.#waiting = null;
    this.#print({ type: "summary", ...json });
  }

  #print(value: Record<string, unknown>): void {
    this.#stream.write(`${JSON.stringify(value)}\n`);
  }
}

class TextOutput implements Output {
  readonly isJson = false;
  readonly #hasBar = process.stderr.isTTY === true;

  progress(progress: SnapshotProgress): void {
    if (this.#hasBar) process.stderr.write(`\r\x1b[K${bar(progress, process.stderr.columns || 80)}`);
  }

  warning({ reason, path }: { reason: string; path?: string }): void {
    this.#clear();
    process.stderr.write(`warning: ${path === undefined ? "" : `${printable(path) || "."}: `}${printable(reason)}\n`);
  }

  line(_json: Record<string, unknown>, text: string): void {
    this.#clear();
    process.stdout.write(`${text}\n`);
  }

  summary(json: Record<string, unknown>, text: string): void {
    this.#clear();
    if (json.ok === false) {
      const paths = Array.isArray(json.paths)
        ? json.paths.map((path) => `\n  ${printable(String(path))}`).join("")
        : "";
      process.stderr.write(`soneca-agent: ${text || json.message}${paths}\n`);
    } else if (text !== "") process.stdout.write(`${text}\n`);
  }

  #clear(): void {
    if (this.#hasBar) process.stderr.write("\r\x1b[K");
  }
}

function bar(progress: SnapshotProgress, columns: number): string {
  const { phase, plainBytes, doneBytes, partsDone, partsTotal, bytesPerSecond, etaMs } = progress;
  const share = plainBytes > 0 ? Math.min(1, doneBytes / plainBytes) : 0;
  const filled = Math.round(share * 20);
  const words = [
    `${phase} [${"#".repeat(filled)}${".".repeat(20 - filled)}] ${Math.floor(share * 100)} %`,
    `${size(doneBytes)} of ${size(plainBytes)}`,
    `${size(bytesPerSecond)}/s`,
    ...(etaMs === null ? [] : [`${Math.ceil(etaMs / 1000)} s left`]),
    ...(partsTotal > 0 ? [`parts ${partsDone}/${partsTotal}`] : []),
  ];
  return words.join(", ").slice(0, columns - 1);
}
