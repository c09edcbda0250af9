/**
 * Which paths a snapshot leaves out. A pattern without "/" (but at its end) names entries in any folder; with one it
 * counts from the root. `*` and `?` stop at "/", `**` does not. A folder that is left out takes all below it along.
 */
import { readFileSync } from "node:fs";
import { bytesOfText, fsPath } from "../fs/paths.ts";

const ignoreFile = ".sonecaignore";

/** The patterns of the command line, then those of the root's own `.sonecaignore`. */
export function readExcludes(root: string, given: string[]): string[] {
  let text = "";
  try {
    text = readFileSync(fsPath(`${root}/${ignoreFile}`), "utf8");
  } catch {
    // No such file: nothing more is left out.
  }
  const lines = text.split("\n").map((line) => line.trim());
  return [...new Set([...given, ...lines.filter((line) => line !== "" && !line.startsWith("#"))])];
}

/** `path`: byte string relative to the root. `sealed`: folders of which only the folder itself is taken. */
export function makeExcluder(patterns: string[], sealed: string[] = []): (path: string) => boolean {
  if (patterns.length === 0 && sealed.length === 0) return () => false;
  const expressions = patterns.map(toExpression);
  const prefixes = sealed.map((path) => `${path}/`);
  return (path) =>
    expressions.some((expression) => expression.test(path)) || prefixes.some((prefix) => path.startsWith(prefix));
}

function toExpression(pattern: string): RegExp {
  const body = bytesOfText(pattern)
    .replace(/^\.?\//, "")
    .replace(/\/+$/, "");
  const anchored = /^\.?\//.test(pattern) || body.includes("/");
  const source = body
    .split(/(\*\*\/|\*\*|\*|\?)/)
    .map((piece) => {
      if (piece === "**/") return "(?:.*/)?";
      if (piece === "**") return ".*";
      if (piece === "*") return "[^/]*";
      if (piece === "?") return "[^/]";
      return piece.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    })
    .join("");
  return new RegExp(`^${anchored ? "" : "(?:.*/)?"}${source}$`, "s");
}
