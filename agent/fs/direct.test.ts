import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sha256Hex } from "../snapshot/primitives.ts";
import { openFolderStore } from "../snapshot/store-folder.ts";
import { noise } from "../testing/workspace.ts";
import { canWriteDirect, newDirectRoom, writeDirect } from "./direct.ts";
import { native } from "./native.ts";

let dir: string;
const at = (name: string) => join(dir, name);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-direct-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const lengths = [1 << 20, (1 << 20) + 1, 3_000_000, 5 * 4096 * 100 - 1];

test.each(lengths)("%i bytes are in the file, or there is no file", async (length) => {
  // As large as a part's: smaller ones may come from a heap, which lies anywhere.
  const room = newDirectRoom(24 * 1024 * 1024).subarray(0, length);
  room.set(noise(length, length));
  const done = await writeDirect(at("file"), room, 0o600);
  expect(done).toBe(existsSync(at("file")));
  if (native && (await canWriteDirect(dir))) expect(done).toBe(true);
  if (!done) return;
  expect(readFileSync(at("file")).equals(room)).toBe(true);
  expect(statSync(at("file")).mode & 0o777).toBe(0o600);
});

test("what is too short, or lies badly in memory, is left to the usual way", async () => {
  expect(await writeDirect(at("short"), newDirectRoom(4096), 0o600)).toBe(false);
  expect(await writeDirect(at("full"), new Uint8Array(1_500_000), 0o600)).toBe(false);
  const { buffer, byteOffset } = newDirectRoom(2_000_000);
  expect(await writeDirect(at("crooked"), new Uint8Array(buffer, byteOffset + 3, 1_500_000), 0o600)).toBe(false);
  expect(readdirSync(dir)).toEqual([]);
});

test("a file that is there already is an error", async () => {
  writeFileSync(at("file"), "there");
  await expect(writeDirect(at("file"), newDirectRoom(2_000_000), 0o600)).rejects.toMatchObject({ code: "EEXIST" });
  expect(readFileSync(at("file"), "utf8")).toBe("there");
});

test("a store's object is the same wherever its bytes lie", async () => {
  const store = openFolderStore(at("store"));
  const room = newDirectRoom(2_000_001);
  for (const bytes of [room, new Uint8Array(2_000_001)]) {
    bytes.set(noise(bytes.length, bytes.byteOffset + 1));
    const sha256 = sha256Hex(bytes);
    const key = `i/i-direct/parts/${sha256}`;
    expect(await store.put(key, bytes, sha256)).toBe("created");
    expect(sha256Hex(await store.get(key))).toBe(sha256);
  }
  expect(readdirSync(at("store/i/i-direct/parts")).every((name) => !name.startsWith("."))).toBe(true);
});
