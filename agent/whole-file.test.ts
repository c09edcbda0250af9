import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { writeWhole } from "./whole-file.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-whole-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("takes the place of what was there, for this user alone, whatever was left beside it", () => {
  const file = join(folder, "token");
  writeFileSync(file, "before", { mode: 0o644 });
  writeFileSync(`${file}.new`, "left by a kill", { mode: 0o644 });
  writeWhole(file, "after");
  expect(readFileSync(file, "utf8")).toBe("after");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["token"]);
});

it("throws where it cannot, and leaves nothing behind", () => {
  const file = join(folder, "token");
  mkdirSync(join(file, "in-the-way"), { recursive: true });
  expect(() => writeWhole(file, "after")).toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
  expect(readdirSync(folder)).toEqual(["token"]);
  expect(() => writeWhole(join(folder, "nowhere", "token"), "after")).toThrow("ENOENT");
});
