/** Patterns fit what their translation to a regular expression fits, and take no longer where such a one would never end. */
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { bytesOfText } from "../fs/paths.ts";
import { makeExcluder } from "./excludes.ts";

const fits = (pattern: string, text: string, isFolder = false) =>
  makeExcluder([pattern])(bytesOfText(text), () => isFolder);

/** The plain translation: obviously right, and dreadfully slow with many stars. */
function expressionOf(pattern: string): { expression: RegExp; isForFolders: boolean } | null {
  const rest = pattern.replace(/^\.\//, "/");
  const body = rest.replace(/\/+$/, "");
  if (body === "") return null;
  const source = body
    .replace(/^\/+/, "")
    .replace(
      /^\*\*\/|\/\*\*\/|\/\*\*$|\*+|\?|\[[!^]?\]?(?:\\.|[^\]\\])*\]|\\(.)|./gsu,
      (piece: string, escaped: string | undefined) => {
        if (piece === "**/") return "(?:.*/)?";
        if (piece === "/**/") return "/(?:.*/)?";
        if (piece === "/**") return "/.*";
        if (piece.startsWith("*")) return "[^/]*";
        if (piece === "?") return "[^/]";
        if (piece.length > 2 && piece.startsWith("[")) return classOf(piece);
        return literal(escaped ?? piece);
      },
    );
  const prefix = body.includes("/") ? "" : "(?:.*/)?";
  return { expression: new RegExp(`^${prefix}${source}$`, "su"), isForFolders: /(?<!\\)\/+$/.test(rest) };
}

function classOf(piece: string): string {
  const isNegated = /^\[[!^]/.test(piece);
  const inner = piece
    .slice(isNegated ? 2 : 1, -1)
    .replace(/\\(.)|([\\[\]^&|~])/gsu, (_, escaped, special) => literal(escaped ?? special, true));
  const source = isNegated ? `(?!/)[^${inner}]` : `(?!/)[${inner}]`;
  try {
    new RegExp(source, "su");
    return source;
  } catch {
    return literal(piece);
  }
}

function literal(text: string, isInClass = false): string {
  return text.replace(isInClass ? /[\\[\]^-]/g : /[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

function fitsPlainly(pattern: string, text: string, isFolder: boolean): boolean {
  const plain = expressionOf(pattern);
  if (!plain?.expression.test(text)) return false;
  return !plain.isForFolders || isFolder;
}

const joined = (pieces: readonly string[], maxLength: number) =>
  fc.array(fc.constantFrom(...pieces), { maxLength }).map((all) => all.join(""));
const texts = [
  "a",
  "a",
  "b",
  "c",
  "/",
  "/",
  "-",
  ".",
  "[",
  "]",
  "^",
  "!",
  "\\",
  "*",
  "?",
  "\n",
  "ä",
  "😀",
  "aa",
  "ab/",
];
const wild = ["*", "**", "**/", "/**/", "/**", "?", "[ab]", "[!a]", "[^b-c]", "[a-", "[]a]", "[!]a]", "\\*", "\\"];
const inClass = [
  "a",
  "b",
  "c",
  "z",
  "-",
  "-",
  "!",
  "^",
  "]",
  "[",
  "\\",
  "\\-",
  "\\]",
  "/",
  "&&",
  "~",
  "|",
  "\n",
  "ä",
  "😀",
];

describe("a pattern fits what its translation fits", () => {
  const same = (pattern: string, text: string, isFolder: boolean) => {
    const found = fits(pattern, text, isFolder);
    expect([pattern, text, found]).toEqual([pattern, text, fitsPlainly(pattern, text, isFolder)]);
  };

  const noNegation = (pattern: string) => !pattern.startsWith("!");

  test("any with any", () => {
    const pattern = joined([...texts, ...wild, ...wild], 8).filter(noNegation);
    fc.assert(fc.property(pattern, joined(texts, 8), fc.boolean(), same), { numRuns: 20_000 });
  });

  test("of few letters, so that many fit", () => {
    const pattern = joined(["a", "b", "/", "*", "**/", "/**/", "/**", "?", "[ab]"], 7).filter(noNegation);
    fc.assert(fc.property(pattern, joined(["a", "b", "/", "a/", "/b"], 8), fc.boolean(), same), { numRuns: 20_000 });
  });

  test("classes", () => {
    const pattern = joined(inClass, 6).map((inner) => `x[${inner}]`);
    fc.assert(
      fc.property(pattern, joined(inClass, 2), (one, text) => same(one, `x${text}`, false)),
      {
        numRuns: 20_000,
      },
    );
  });

  test.each([
    ...[
      "[a-c-e]",
      "[--a]",
      "[+--]",
      "[z-a]",
      "[a-]",
      "[-a]",
      "[!-a]",
      "[a\\-c]",
      "[]-a]",
      "[\\]]",
      "[^]",
      "[!]",
      "[[:a:]]",
    ],
    ...["[/]", "a[/]b", "[!/]", "[.-0]", "[ä-ö]", "[😀-😂]", "[", "[]", "[!", "\\", "a\\"],
  ])("%s, with each character there is", (pattern) => {
    for (const char of [
      "+",
      ",",
      "-",
      ".",
      "/",
      "0",
      "!",
      "^",
      "[",
      "]",
      "\\",
      ":",
      "a",
      "b",
      "c",
      "d",
      "e",
      "z",
      "ö",
      "😁",
    ])
      for (const text of [char, `a${char}`, `a${char}b`, pattern, `x/${pattern}`]) same(pattern, text, false);
  });
});

describe("what would keep a regular expression busy for ages", () => {
  const name = "a".repeat(255);
  // Each ends with a class, so that it is no literal that tells at once that nothing fits.
  it.each([
    ["stars", "*a".repeat(100), name],
    ["stars and any characters", "*?".repeat(100), name],
    ["stars and classes", "*[a-z]".repeat(100), name],
    ["stars in folders", `/${`${"*a".repeat(20)}/`.repeat(10)}`, `${"a".repeat(100)}/`.repeat(10) + name],
    ["double stars", `**/${"a/**/".repeat(100)}`, `${"a/".repeat(1500)}a`],
    ["double stars and stars", `**/${"*a*a/**/".repeat(100)}`, `${"aaaaaaaaa/".repeat(300)}a`],
  ])("%s", (_, pattern, text) => {
    expect(fits(`${pattern}*[b]`, text)).toBe(false);
    expect(fits(`${pattern}*[ab]`, text)).toBe(true);
  });
});
