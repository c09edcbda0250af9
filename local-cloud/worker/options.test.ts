/** A local worker has what a deployment has: asked of wrangler itself, which reads the same file. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, type V4MiniflareOptions } from "miniflare";
import { afterAll, expect, it } from "vitest";
import { unstable_getMiniflareWorkerOptions } from "wrangler";
import { optionsOf } from "./options.ts";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "soneca-local-worker-"));
afterAll(() => rmSync(folder, { recursive: true }));

it("wrangler.toml says the same to wrangler and to the local cloud", () => {
  const script = join(folder, "worker.js");
  writeFileSync(script, "export default { fetch: () => new Response('here') };");
  const paths = { root, script, publicDir: folder, persistDir: folder };
  const [ours] = optionsOf({ ...paths, variables: { PIPE: "relay" } }).workers;
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, "wrangler.toml"), undefined, {});
  const modules = [{ type: "ESModule", path: script }];
  const converted = convertV4MiniflareOptions({ ...workerOptions, modules, name: "soneca" } as V4MiniflareOptions);
  const theirs = JSON.parse(JSON.stringify(converted.workers[0]!.config));
  // The program and its files are the local cloud's own, and so is the clock that rings the cron.
  const { manifest, ...mine } = ours!.config;
  expect(manifest?.modules["worker.js"]?.contents).toContain("here");
  delete theirs.manifest;
  delete theirs.triggers;
  theirs.assets.directory = folder;
  theirs.env.PIPE.value = "relay";
  for (const name of ["DB", "SNAPSHOTS"]) {
    expect(theirs.env[name].dev.remote).toBe(false);
    delete theirs.env[name].dev;
  }
  expect(mine).toEqual(theirs);
});
