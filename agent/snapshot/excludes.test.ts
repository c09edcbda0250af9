import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Folders } from "../fs/folders.ts";
import { bytesOfText } from "../fs/paths.ts";
import { Breather } from "./breather.ts";
import { makeExcluder, readExcludes } from "./excludes.ts";
import { walk } from "./walk.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-excludes-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const files = [
  "a.log",
  "keep.log",
  "sub/a.log",
  "sub/deep/a.log",
  "sub/deep/b.txt",
  "sub/deep/er/c.txt",
  "build/out",
  "sub/build",
  "x/build/out",
  "docs/build/out",
  "#hash",
  "!bang",
  "sp ace ",
  "a[1]",
  "a1",
  "a2",
  "ab",
  "ä1",
  "back\\slash",
  "star*",
  "star-",
  "dir/foo/bar",
  "foo/bar",
  "foo/x/bar",
  "foo/x/y/bar",
  "foobar",
  "^caret",
  "-dash",
  ".hidden",
  ".cache/x",
  "new\nline",
  "a+b(c)",
];

/** What git would take, which is the measure. */
function byGit(patterns: string): string[] {
  execFileSync("git", ["init", "-q", dir]);
  writeFileSync(join(dir, ".git/info/exclude"), patterns);
  const out = execFileSync("git", [
    "-C",
    dir,
    "-c",
    "core.excludesFile=",
    "ls-files",
    "-o",
    "-z",
    "--exclude-standard",
  ]);
  return out
    .toString()
    .split("\0")
    .filter((path) => path !== "")
    .sort();
}

async function byUs(patterns: string): Promise<string[]> {
  writeFileSync(join(dir, ".sonecaignore"), patterns);
  const isExcluded = makeExcluder(readExcludes(bytesOfText(dir), ["/.git/", "/.sonecaignore"]));
  const folders = new Folders(bytesOfText(dir), false);
  const walked = await walk(folders, isExcluded, new Breather(), () => {});
  folders.close();
  rmSync(join(dir, ".sonecaignore"));
  return walked.paths
    .filter((_, n) => walked.typeAt(n) === "f")
    .map((path) => Buffer.from(path, "latin1").toString())
    .sort();
}

describe("the patterns mean what they mean to git", () => {
  const rows = [
    "*.log",
    "*.log\n!keep.log",
    "!keep.log\n*.log",
    "/a.log",
    "build",
    "build/",
    "/build/",
    "sub/build/",
    "sub/deep",
    "sub/deep/\n!sub/deep/b.txt",
    "sub/deep/*\n!sub/deep/b.txt",
    "**/deep/a.log",
    "sub/**",
    "sub/**/a.log",
    "foo/**/bar",
    "**/foo/bar",
    "foo/bar",
    "foo*bar",
    "foo**bar",
    "fo?bar",
    "a?",
    "a[0-9]",
    "a[!0-9]",
    "a[^0-9]",
    "a\\[1]",
    "a[[]1]",
    "[a-",
    "a[]",
    "\\#hash",
    "#hash",
    "\\!bang",
    "sp ace",
    "sp ace\\ ",
    "sp ace \n",
    "star\\*",
    "star*",
    "back\\\\slash",
    "[\\^]caret",
    "[-]dash",
    "[!-a]caret",
    "[!-a]dash",
    "[a-c-]dash",
    ".*",
    ".*/",
    "*",
    "*\n!*/\n!*.log",
    "/*\n!/foo",
    "a+b(c)",
    "new?line",
    "*.log\r\n/foo\r\n",
    "  ",
    "/",
    "!",
    "**",
    "a/",
  ];
  test.each(rows)("%j", async (patterns) => {
    for (const file of files) {
      mkdirSync(dirname(join(dir, file)), { recursive: true });
      writeFileSync(join(dir, file), "");
    }
    expect(await byUs(patterns)).toEqual(byGit(patterns.replaceAll("\r\n", "\n")));
  });
});

test("the command line has the last word, and equal patterns count where they are last", () => {
  writeFileSync(join(dir, ".sonecaignore"), "\ufeff*.log\n!keep.log\n# a comment\n\n*.tmp\n");
  const root = bytesOfText(dir);
  expect(readExcludes(root, [])).toEqual(["*.log", "!keep.log", "*.tmp"]);
  expect(readExcludes(root, ["*.log"])).toEqual(["!keep.log", "*.tmp", "*.log"]);
  expect(makeExcluder(readExcludes(root, ["*.log"]))("keep.log")).toBe(true);
});

test("unlike to git, one character is one character in any script", () => {
  for (const pattern of ["?1", "[ä]1", "[ß-ö]1"]) expect(makeExcluder([pattern])(bytesOfText("ä1"))).toBe(true);
});

test("names that are not UTF-8 are matched by what stands for any", () => {
  const isExcluded = makeExcluder(["*.bin"]);
  expect(isExcluded("\xff\xfe.bin")).toBe(true);
  expect(isExcluded("\xff\xfe.txt")).toBe(false);
});

test("too many patterns are refused", () => {
  const many = Array.from({ length: 1001 }, (_, n) => `p${n}`);
  expect(() => readExcludes(bytesOfText(dir), many)).toThrow("1000");
  expect(() => readExcludes(bytesOfText(dir), ["x".repeat(5000)])).toThrow("4096");
});
