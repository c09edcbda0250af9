/** What a command prints: with --json one object a line on stdout and nothing else there; otherwise text for people. */
import type { SnapshotProgress } from "../snapshot/types.ts";
import { printable, size } from "./text.ts";

const lineMs = 250;
const windowMs = 120_000;

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
  readonly #rate = new RateWindow();
  #toldAt = -lineMs;
  #waiting: SnapshotProgress | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** At most four a second; what comes too soon is told a moment later unless something newer comes. */
  progress(progress: SnapshotProgress): void {
    this.#rate.add(progress.doneBytes);
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
    this.#print({ type: "progress", ...this.#waiting, ...this.#rate.estimate(this.#waiting) });
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
  readonly #rate = new RateWindow();
  readonly #hasBar = process.stderr.isTTY === true;

  progress(progress: SnapshotProgress): void {
    this.#rate.add(progress.doneBytes);
    if (this.#hasBar) process.stderr.write(`\r\x1b[K${bar(progress, this.#rate, process.stderr.columns || 80)}`);
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

/** Bytes done over the last two minutes, so that one slow or fast moment moves the estimate little. */
export class RateWindow {
  readonly #samples: { at: number; bytes: number }[] = [];
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#samples.push({ at: now(), bytes: 0 });
  }

  add(bytes: number): void {
    const at = this.#now();
    const samples = this.#samples;
    // A new round counts from the start again.
    if (bytes < samples.at(-1)!.bytes) samples.length = 0;
    if (samples.length > 1 && at - samples.at(-2)!.at < 1000) samples.pop();
    samples.push({ at, bytes });
    while (samples.length > 2 && at - samples[1]!.at > windowMs) samples.shift();
  }

  get bytesPerSecond(): number {
    const first = this.#samples[0]!;
    const last = this.#samples.at(-1)!;
    return last.at > first.at ? Math.round(((last.bytes - first.bytes) / (last.at - first.at)) * 1000) : 0;
  }

  /** `etaMs` is null where nothing can be said. */
  estimate({ plainBytes, doneBytes }: { plainBytes: number; doneBytes: number }): {
    bytesPerSecond: number;
    etaMs: number | null;
  } {
    const { bytesPerSecond } = this;
    const left = plainBytes - doneBytes;
    return {
      bytesPerSecond,
      etaMs: bytesPerSecond > 0 && left > 0 ? Math.round((left / bytesPerSecond) * 1000) : null,
    };
  }
}

function bar(progress: SnapshotProgress, rate: RateWindow, columns: number): string {
  const { phase, plainBytes, doneBytes, partsDone, partsTotal } = progress;
  const share = plainBytes > 0 ? Math.min(1, doneBytes / plainBytes) : 0;
  const { bytesPerSecond, etaMs } = rate.estimate(progress);
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
