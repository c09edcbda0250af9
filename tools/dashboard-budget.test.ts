/** What a browser may come to load of the dashboard, all of its parts in one language: 200 KB of JavaScript as gzip sends it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { bundleDashboard } from "./build.ts";

const budgetBytes = 200 * 1024;

it("loads at most 200 KB of JavaScript in each language", async () => {
  const dir = mkdtempSync(join(tmpdir(), "soneca-dashboard-"));
  try {
    await bundleDashboard(dir);
    const sizes = readdirSync(join(dir, "assets"))
      .filter((name) => name.endsWith(".js"))
      .map((name) => ({ name, bytes: gzipSync(readFileSync(join(dir, "assets", name))).length }));
    const catalogues = sizes.filter(({ name }) => /^(en|pt)-/.test(name));
    expect(catalogues).toHaveLength(2);
    const shared =
      sizes.reduce((sum, { bytes }) => sum + bytes, 0) - catalogues.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { name, bytes } of catalogues)
      expect(shared + bytes, `${name}: ${JSON.stringify(sizes, null, 1)}`).toBeLessThanOrEqual(budgetBytes);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
