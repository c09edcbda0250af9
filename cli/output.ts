/** Where words go. stdout carries the answer alone; notes, progress prompts and errors go to stderr. */
import { stripVTControlCharacters, styleText } from "node:util";
import type { StatusWord } from "../core/lifecycle/abilities.ts";
import type { Failure } from "./failure.ts";
import { cleanDeep } from "./format.ts";
import { statusTable, type Tone } from "./status-words.ts";

interface Stream {
  isTTY?: boolean;
  columns?: number;
  write(text: string): unknown;
}

const styles = {
  green: "green",
  amber: "yellow",
  blue: "blue",
  slate: "cyan",
  red: "red",
  grey: "gray",
} as const satisfies Record<Tone, string>;

export class Output {
  readonly json: boolean;
  readonly isTerminal: boolean;
  readonly #hasColour: boolean;
  readonly #out: Stream;
  readonly #err: Stream;
  #hasOpenLine = false;

  constructor(options: { json: boolean; env: Record<string, string | undefined>; out: Stream; err: Stream }) {
    const { json, env, out, err } = options;
    this.json = json;
    this.#out = out;
    this.#err = err;
    this.isTerminal = out.isTTY === true && !json;
    this.#hasColour = this.isTerminal && !env.NO_COLOR && env.TERM !== "dumb";
  }

  /** Text for people; nothing with --json. */
  print(text: string): void {
    if (this.json) return;
    this.endLine();
    this.#out.write(`${text}\n`);
  }

  /** The one document of --json, or one line of several. */
  document(value: unknown, layout: "pretty" | "line" = "pretty"): void {
    if (this.json) this.#out.write(`${JSON.stringify(value, null, layout === "pretty" ? 2 : undefined)}\n`);
  }

  /** One line that the next one draws over. Only on a terminal. */
  redraw(text: string): void {
    if (!this.isTerminal) return;
    const width = (this.#out.columns || 80) - 1;
    this.#out.write(`\r\u001b[K${[...text].slice(0, width).join("")}`);
    this.#hasOpenLine = true;
  }

  endLine(): void {
    if (!this.#hasOpenLine) return;
    this.#out.write("\r\u001b[K");
    this.#hasOpenLine = false;
  }

  note(text: string): void {
    this.endLine();
    this.#err.write(`${text}\n`);
  }

  fail(failure: Failure): void {
    this.endLine();
    this.#err.write(`${this.json ? JSON.stringify(failure.toBody()) : cleanLines(failure.toText())}\n`);
  }

  style(tone: Tone, text: string): string {
    return this.#hasColour ? styleText(styles[tone], text, { validateStream: false }) : text;
  }

  strong(text: string): string {
    return this.#hasColour ? styleText("bold", text, { validateStream: false }) : text;
  }

  /** The word always stands there; sign and colour only come on top of it. */
  status(status: StatusWord, phrase: string): string {
    const { icon, tone } = statusTable[status];
    return this.isTerminal ? this.style(tone, `${icon} ${phrase}`) : phrase;
  }

  plainUnlessColour(text: string): string {
    return this.#hasColour ? text : stripVTControlCharacters(text);
  }
}

function cleanLines(text: string): string {
  return text.split("\n").map(cleanDeep).join("\n");
}
