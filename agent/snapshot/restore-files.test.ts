import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { FileEntry } from "../../core/snapshot/tree.ts";
import { Folders } from "../fs/folders.ts";
import { noise } from "../testing/workspace.ts";
import { noKeys } from "./keyring.ts";
import { FileWriter } from "./restore-files.ts";
import { tempPathOf } from "./restore-folder.ts";

const mib = 1024 * 1024;
let dir = "";
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("what an earlier run left of a big file is not asked of the disk once more", () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-begun-"));
  mkdirSync(join(dir, "back"));
  const folders = new Folders(join(dir, "back"), false);
  const isEntry = () => false;
  const writer = new FileWriter({ folders, keyring: noKeys, isEntry, deleteExtras: false, old: new Set() });
  const common = { type: "f", path: "big", mode: 0o600, uid: 0, gid: 0, mtimeNs: 0n, xattrs: [], holes: [] } as const;
  const chunks = [0, 1, 2].map((n) => ({ id: String(n).repeat(32), plainBytes: 4 * mib }));
  const entry = { ...common, size: 12 * mib, chunks } as unknown as FileEntry;
  try {
    expect(writer.begunBytes(entry)).toBe(0);
    const temp = join(dir, "back", tempPathOf("big", isEntry));
    writeFileSync(temp, noise(5 * mib, 1));
    // Of another version: it is made anew.
    expect(writer.begunBytes(entry)).toBe(0);
    truncateSync(temp, 12 * mib);
    expect(writer.begunBytes(entry)).toBeGreaterThanOrEqual(5 * mib);
    expect(writer.begunBytes(entry)).toBeLessThan(6 * mib);
  } finally {
    folders.close();
  }
});
