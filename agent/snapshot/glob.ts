/**
 * One pattern of a .gitignore as a matcher. No regular expression, which would try all the ways to share a path out among the
 * stars: a manifest of anybody may bring the patterns. This one takes at most about as many steps as the pattern is long,
 * times the length of the path.
 *
 * Two places to go on from are enough. What follows a star is taken where it comes first in the folder or file name: a later
 * star makes up for the rest, so an earlier one need not try again. The same holds of double stars and whole folders, and
 * across a "/" no star can make up for anything.
 */

/** What is no character (a code point) of its own; a class is `firstClass` less its place among the classes. */
const anyChar = -1;
const star = -2;
/** Nothing, or folders with the "/" at their end. */
const folders = -3;
const rest = -4;
const firstClass = -5;

const slash = 0x2f;
const dash = 0x2d;

interface CharClass {
  isNegated: boolean;
  /** First and last of each range. */
  ranges: number[];
}

/** Whether the text fits from there to its end. */
export type Glob = (text: string, from: number) => boolean;

export function makeGlob(pattern: string): Glob {
  const { pieces, classes } = read(pattern);
  const compact = Int32Array.from(pieces);
  // Most texts lack already what stands there to the letter.
  const literals = literalsOf(pieces);
  const [head, tail] = [literals[0]!, literals.at(-1)!];
  const longest = literals.reduce((a, b) => (b.length > a.length ? b : a));
  return (text, from) =>
    text.endsWith(tail) &&
    text.startsWith(head, from) &&
    text.indexOf(longest, from) >= 0 &&
    fitsFrom(compact, classes, text, from);
}

/** Between what stands for others; before the first and after the last as well. */
function literalsOf(pieces: readonly number[]): string[] {
  const literals = [""];
  for (const piece of pieces) {
    if (piece < 0) literals.push("");
    else literals[literals.length - 1] += String.fromCodePoint(piece);
  }
  return literals;
}

function fitsFrom(pieces: Int32Array, classes: readonly CharClass[], text: string, from: number): boolean {
  let [i, at] = [0, from];
  // After the last star and the last double star, and how far each reaches.
  let [afterStar, starTo, afterFolders, foldersTo] = [-1, 0, -1, 0];
  for (;;) {
    const piece = pieces[i];
    if (piece === undefined && at === text.length) return true;
    if (piece === rest) return true;
    if (piece === star) {
      afterStar = ++i;
      starTo = at;
      continue;
    }
    if (piece === folders) {
      afterFolders = ++i;
      foldersTo = at;
      afterStar = -1;
      continue;
    }
    const char = text.codePointAt(at);
    if (piece !== undefined && char !== undefined && fitsChar(piece, classes, char)) {
      i++;
      at += widthOf(char);
      if (char === slash) afterStar = -1;
      continue;
    }
    const next = afterStar < 0 ? undefined : text.codePointAt(starTo);
    if (next !== undefined && next !== slash) {
      starTo += widthOf(next);
      i = afterStar;
      at = starTo;
      continue;
    }
    const end = afterFolders < 0 ? -1 : text.indexOf("/", foldersTo);
    if (end < 0) return false;
    foldersTo = end + 1;
    afterStar = -1;
    i = afterFolders;
    at = foldersTo;
  }
}

function fitsChar(piece: number, classes: readonly CharClass[], char: number): boolean {
  if (piece >= 0) return piece === char;
  if (char === slash) return false;
  if (piece === anyChar) return true;
  const { isNegated, ranges } = classes[firstClass - piece]!;
  for (let i = 0; i < ranges.length; i += 2) if (ranges[i]! <= char && char <= ranges[i + 1]!) return !isNegated;
  return isNegated;
}

function widthOf(char: number): number {
  return char > 0xffff ? 2 : 1;
}

const token = /^\*\*\/|\/\*\*\/|\/\*\*$|\*+|\?|\[[!^]?\]?(?:\\.|[^\]\\])*\]|\\(.)|./gsu;

function read(pattern: string): { pieces: number[]; classes: CharClass[] } {
  const pieces: number[] = [];
  const classes: CharClass[] = [];
  for (const [piece, escaped] of pattern.matchAll(token)) {
    if (piece === "**/") pieces.push(folders);
    else if (piece === "/**/") pieces.push(slash, folders);
    else if (piece === "/**") pieces.push(slash, rest);
    else if (piece.startsWith("*")) pieces.push(star);
    else if (piece === "?") pieces.push(anyChar);
    else {
      const found = piece.length > 2 && piece.startsWith("[") ? readClass(piece) : null;
      if (found) pieces.push(firstClass - (classes.push(found) - 1));
      else for (const char of escaped ?? piece) pieces.push(char.codePointAt(0)!);
    }
  }
  return { pieces, classes };
}

/** `[a-z]`, `[!a-z]`; null: a range goes backwards, and the class stands for itself. */
function readClass(piece: string): CharClass | null {
  const isNegated = /^\[[!^]/.test(piece);
  const chars = [...piece.slice(isNegated ? 2 : 1, -1).matchAll(/\\(.)|./gsu)].map(([char, escaped]) => ({
    code: (escaped ?? char).codePointAt(0)!,
    isEscaped: escaped !== undefined,
  }));
  const ranges: number[] = [];
  for (let i = 0; i < chars.length; i++) {
    const [first, between, last] = [chars[i]!, chars[i + 1], chars[i + 2]];
    const isRange = between?.code === dash && !between.isEscaped && last !== undefined;
    if (isRange && last.code < first.code) return null;
    ranges.push(first.code, isRange ? last.code : first.code);
    if (isRange) i += 2;
  }
  return { isNegated, ranges };
}
