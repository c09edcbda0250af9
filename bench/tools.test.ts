import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { findTools, toolNames } from "./tools.ts";

const scratch = mkdtempSync(join(tmpdir(), "soneca-bench-tools-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("a missing peer says what to install, and nothing is left out", () => {
  const found = findTools({ agent: join(scratch, "no agent"), path: scratch });
  expect(found.map((tool) => tool.ok)).toEqual(toolNames.map(() => false));
  const why = Object.fromEntries(found.map((tool) => (tool.ok ? [] : [tool.name, tool.why])));
  expect(why.soneca).toContain("npm run build");
  expect(why.restic).toContain("apt-get install restic");
  expect(why.borg).toContain("apt-get install borgbackup");
  expect(why["tar-zstd"]).toContain("apt-get install tar zstd");
});

test("a peer that is there gives its version, and its commands stay in its own folders", () => {
  const path = join(scratch, "bin");
  mkdirSync(path);
  writeFileSync(join(path, "restic"), "#!/bin/sh\necho restic 9.9.9 stand-in\n");
  chmodSync(join(path, "restic"), 0o755);
  const [restic] = findTools({ agent: "", path: `${path}:/bin` }, ["restic"]);
  if (!restic?.ok) throw new Error("not found");
  expect(restic.tool.version).toBe("restic 9.9.9 stand-in");
  const place = { store: "/s", state: "/c" };
  expect(restic.tool.snapshot(place, "/data").env).toMatchObject({
    RESTIC_REPOSITORY: "/s",
    RESTIC_CACHE_DIR: "/c/cache",
  });
  expect(restic.tool.restoredRoot("/data", "/into")).toBe("/into/data");
});
