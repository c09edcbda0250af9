/** Hard links on a file system whose inode numbers no double holds. */
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runCommand } from "../testing/run-command.ts";

let dir: string;
const at = (name: string) => join(dir, name);
const preload = pathToFileURL(join(import.meta.dirname, "testing/large-inodes.mjs")).href;
const env = { NODE_OPTIONS: `--import=${preload}` };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-inodes-"));
  mkdirSync(at("work"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("neighbours are not names of one file, and names of one file are", async () => {
  const numbers = [1, 2, 3, 4];
  for (const n of numbers) writeFileSync(at(`work/a${n}`), `content of ${n}`);
  for (const n of numbers) linkSync(at(`work/a${n}`), at(`work/b${n}`));
  const store = ["--store", at("store")];
  for (const state of ["state", "state"]) {
    const taken = await runCommand(["snapshot", at("work"), "--id", "x", ...store, "--state", at(state)], { env });
    expect(taken.code).toBe(0);
  }
  expect((await runCommand(["restore", "x", at("back"), ...store, "--state", at("state2")])).code).toBe(0);
  for (const n of numbers) {
    expect(readFileSync(at(`back/b${n}`), "utf8")).toBe(`content of ${n}`);
    expect(statSync(at(`back/a${n}`)).ino).toBe(statSync(at(`back/b${n}`)).ino);
  }
});
