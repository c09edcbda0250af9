/** Each start reads all of a program: one import that keeps a whole library in it (zod with every language) shows here. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { buildPrograms } from "./build.ts";

it.each([
  ["soneca-agent.mjs", 1.2e6],
  ["soneca.mjs", 0.95e6],
])("%s is at most %d bytes", async (name, most) => {
  const dir = mkdtempSync(join(tmpdir(), "soneca-programs-"));
  try {
    await buildPrograms(dir);
    expect(statSync(join(dir, name)).size).toBeLessThanOrEqual(most);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
