/** The commands that a document tells its reader to type. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../..");

export interface DocumentCommand {
  file: string;
  line: number;
  /** As it stands there, without what is said about it. */
  text: string;
  words: string[];
  /** In a block of commands, and not within a sentence. */
  isInBlock: boolean;
}

/** What a line of commands begins with in a block that does not say what it is. */
const programs = ["npm", "npx", "soneca", "soneca-agent"];

/** Of its blocks (```sh, or without a word and with a command in it) and of what stands between single ticks. */
export function commandsOf(file: string): DocumentCommand[] {
  const found: DocumentCommand[] = [];
  const add = (line: number, text: string, isInBlock: boolean) =>
    found.push({ file, line, text, words: splitWords(text), isInBlock });
  let block: { kind: string; lines: [number, string][] } | null = null;
  for (const [index, raw] of readFileSync(join(root, file), "utf8").split("\n").entries()) {
    const fence = /^\s*```(\w*)\s*$/.exec(raw);
    if (fence && block) {
      for (const [line, text] of commandLines(block)) add(line, text, true);
      block = null;
    } else if (fence) block = { kind: fence[1] ?? "", lines: [] };
    else if (block) block.lines.push([index + 1, raw.trim()]);
    else
      for (const [, text = ""] of raw.matchAll(/`([^`]+)`/g))
        if (/^(?:[A-Z_]+=\S+ )?(?:npm (?:start|test|run)|npx|soneca|soneca-agent) \S/.test(text))
          add(index + 1, text, false);
  }
  return found;
}

function commandLines({ kind, lines }: { kind: string; lines: [number, string][] }): [number, string][] {
  const isCommand = (text: string) => programs.includes(text.split(" ")[0] ?? "");
  const used = lines.filter(([, text]) => text !== "");
  if (kind === "sh") return used;
  if (kind !== "" || !used.some(([, text]) => isCommand(text))) return [];
  // Two spaces part a command from what it does.
  return used.filter(([, text]) => isCommand(text)).map(([line, text]) => [line, text.split(/\s{2,}/)[0] ?? ""]);
}

/** As a shell parts them, quotes taken off; `[--option]` is an option like any other. */
export function splitWords(text: string): string[] {
  const words = text.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? [];
  return words.map((word) => word.replaceAll(/["'[\]]/g, "")).filter((word) => word !== "");
}
