import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { native } from "../agent/fs/native.ts";
import { compareTrees, describeTree, lossCount, lossesInWords } from "./compare.ts";

const scratch = mkdtempSync(join(tmpdir(), "soneca-bench-compare-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function make(name: string): string {
  const root = join(scratch, name);
  mkdirSync(join(root, "folder"), { recursive: true });
  writeFileSync(join(root, "folder/file"), "text");
  writeFileSync(join(root, "one"), "1");
  linkSync(join(root, "one"), join(root, "other name"));
  symlinkSync("one", join(root, "link"));
  writeFileSync(join(root, "holes"), "");
  truncateSync(join(root, "holes"), 1 << 20);
  for (const path of ["folder/file", "one", "holes", "folder", ""]) utimesSync(join(root, path), 1e9, 1e9);
  return root;
}

test("two equal folders are equal", () => {
  const trees = ["a", "b"].map((name) => describeTree(make(name)));
  for (const tree of trees) tree.delete("link");
  expect(trees[0]!.size).toBe(6);
  expect(lossCount(compareTrees(trees[0]!, trees[1]!))).toBe(0);
  expect(lossesInWords(compareTrees(trees[0]!, trees[1]!))).toBe("");
});

test("each thing that can be lost is seen", () => {
  const before = make("before");
  const changes: Record<string, (root: string) => void> = {
    contents: (root) => writeFileSync(join(root, "folder/file"), "Text"),
    mode: (root) => chmodSync(join(root, "one"), 0o4711),
    time: (root) => utimesSync(join(root, "one"), 1e9, 1e9 + 1),
    "hard links": (root) => {
      rmSync(join(root, "one"));
      writeFileSync(join(root, "one"), "1");
    },
    "link target": (root) => {
      rmSync(join(root, "link"));
      symlinkSync("two", join(root, "link"));
    },
    holes: (root) => writeFileSync(join(root, "holes"), Buffer.alloc(1 << 20)),
    ...(native ? { xattrs: (root: string) => native!.setXattr(join(root, "one"), "user.x", Buffer.from("y")) } : {}),
  };
  const tree = describeTree(before);
  for (const [aspect, change] of Object.entries(changes)) {
    const root = make(`after-${aspect}`);
    change(root);
    expect(compareTrees(tree, describeTree(root)).differing, aspect).toHaveProperty([aspect]);
  }
});

test("missing and extra entries are counted and named", () => {
  const [before, after] = [make("left"), make("right")];
  rmSync(join(after, "folder"), { recursive: true });
  writeFileSync(join(after, "new"), "");
  const losses = compareTrees(describeTree(before), describeTree(after));
  expect(losses).toMatchObject({ missing: 2, extra: 1 });
  expect(losses.examples).toContain('"folder/file": is not there');
  expect(lossesInWords(losses)).toMatch(/^2 missing, 1 extra, time of \d/);
});
