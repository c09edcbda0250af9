/**
 * Which paths a snapshot leaves out: patterns as in a .gitignore, of the command line and of the root's `.sonecaignore`.
 * A pattern without "/" (but at its end) names entries in any folder; with one it counts from the root. One that ends
 * with "/" is for folders only. `*` and `?` stop at "/"; a double star does not. The last pattern that matches decides;
 * one that begins with "!" takes back. A folder that is left out takes all below it along.
 */
import { readFileSync } from "node:fs";
import { fsPath, textOfBytes } from "../fs/paths.ts";
import { type Glob, makeGlob } from "./glob.ts";
import { Stop } from "./stop.ts";

const ignoreFile = ".sonecaignore";
/** As many, and as long, as a manifest can list. */
const mostPatterns = 1000;
const mostChars = 4096;

/** The patterns of the root's own `.sonecaignore`, then those of the command line, which so have the last word. */
export function readExcludes(root: string, given: string[]): string[] {
  let text = "";
  try {
    text = readFileSync(fsPath(`${root}/${ignoreFile}`), "utf8");
  } catch {
    // No such file: nothing more is left out.
  }
  const lines = text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .map(trimEnd);
  const all = [...lines.filter((line) => line !== "" && !line.startsWith("#")), ...given];
  // Of equal ones the last counts.
  const patterns = all.filter((pattern, i) => all.lastIndexOf(pattern) === i);
  if (patterns.length > mostPatterns || patterns.some((pattern) => pattern.length > mostChars))
    throw new Stop(
      "excludes_invalid",
      `More than ${mostPatterns} patterns to exclude, or one of more than ${mostChars} characters.`,
      false,
    );
  return patterns;
}

/** Spaces at the end do not count unless the first of them is escaped. */
function trimEnd(line: string): string {
  return line.replace(/(?<!\\)\s+$/, "");
}

/** `path`: byte string relative to the root. `isFolder` is asked only where a pattern for folders fits. */
export type Excluder = (path: string, isFolder?: () => boolean) => boolean;

/** `sealed`: folders of which only the folder itself is taken. */
export function makeExcluder(patterns: string[], sealed: string[] = []): Excluder {
  const rules = patterns
    .map(toRule)
    .filter((rule) => rule !== null)
    .reverse();
  const prefixes = sealed.map((path) => `${path}/`);
  if (rules.length + prefixes.length === 0) return () => false;
  return (path, isFolder = () => true) => {
    if (prefixes.some((prefix) => path.startsWith(prefix))) return true;
    const text = textOfBytes(path);
    const nameAt = text.lastIndexOf("/") + 1;
    for (const { fits, isAnchored, isNegated, isForFolders } of rules)
      if (fits(text, isAnchored ? 0 : nameAt) && (!isForFolders || isFolder())) return !isNegated;
    return false;
  };
}

interface Rule {
  fits: Glob;
  /** It is of the path from the root, not of the name alone. */
  isAnchored: boolean;
  isNegated: boolean;
  isForFolders: boolean;
}

function toRule(pattern: string): Rule | null {
  const isNegated = pattern.startsWith("!");
  const rest = (isNegated ? pattern.slice(1) : pattern).replace(/^\.\//, "/");
  const isForFolders = /(?<!\\)\/+$/.test(rest);
  const body = rest.replace(/\/+$/, "");
  if (body === "") return null;
  return { fits: makeGlob(body.replace(/^\/+/, "")), isAnchored: body.includes("/"), isNegated, isForFolders };
}
