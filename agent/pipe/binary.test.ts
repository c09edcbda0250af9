import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findCloudflared } from "./binary.ts";

const content = Buffer.from("#!/bin/sh\necho cloudflared\n");
const sha256 = createHash("sha256").update(content).digest("hex");
let home: string;
let server: Server;
let url: string;
let asked: number;
/** What the server does with a request. */
let serve: (response: import("node:http").ServerResponse) => void;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "soneca-binary-"));
  asked = 0;
  serve = (response) => response.end(content);
  server = createServer((_, response) => {
    asked++;
    serve(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/cloudflared`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(home, { recursive: true, force: true });
});

const find = (change: Partial<Parameters<typeof findCloudflared>[0]> = {}) =>
  findCloudflared({ home, env: {}, offer: { url, sha256 }, ...change });
const left = () => readdirSync(join(home, "bin"));
function place(folder: string, mode = 0o755): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "cloudflared");
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe("one that is there", () => {
  it("goes before all others when it is named", async () => {
    const named = place(join(home, "named"));
    const inPath = join(home, "path");
    place(inPath);
    expect(await find({ env: { SONECA_CLOUDFLARED: named, PATH: inPath } })).toEqual({ ok: true, path: named });
    expect(asked).toBe(0);
  });

  it("that is named and no program is an error, not a reason to look further", async () => {
    const named = place(join(home, "named"), 0o644);
    expect(await find({ env: { SONECA_CLOUDFLARED: named } })).toMatchObject({ ok: false, code: "no_cloudflared" });
    expect(await find({ env: { SONECA_CLOUDFLARED: "cloudflared" } })).toMatchObject({ ok: false });
  });

  it("is found in PATH, but never in a relative folder of it", async () => {
    const path = place(join(home, "path"));
    expect(await find({ env: { PATH: `/nowhere:${join(home, "path")}` } })).toEqual({ ok: true, path });
    expect(await find({ env: { PATH: ".:bin" }, offer: null })).toMatchObject({ ok: false, code: "no_cloudflared" });
  });
});

describe("one that is brought", () => {
  it("is brought once, and only its owner may touch it", async () => {
    const found = await find();
    expect(found).toMatchObject({ ok: true });
    const path = found.ok ? found.path : "";
    expect(readFileSync(path)).toEqual(content);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(await find()).toEqual(found);
    expect(asked).toBe(1);
  });

  it("with another hash is an error, and nothing of it stays", async () => {
    expect(await find({ offer: { url, sha256: "0".repeat(64) } })).toMatchObject({ ok: false, code: "wrong_hash" });
    expect(left()).toEqual([]);
  });

  it("that was changed since is brought again", async () => {
    const found = await find();
    writeFileSync(found.ok ? found.path : "", "something else");
    expect(await find()).toEqual(found);
    expect(asked).toBe(2);
  });

  it("takes the place of the version before", async () => {
    await find();
    const next = Buffer.from("#!/bin/sh\necho the next\n");
    serve = (response) => response.end(next);
    await find({ offer: { url, sha256: createHash("sha256").update(next).digest("hex") } });
    expect(left().length).toBe(1);
  });

  it.each([
    ["a 404", (response: import("node:http").ServerResponse) => response.writeHead(404).end()],
    ["silence", () => {}],
    [
      "half an answer",
      (response: import("node:http").ServerResponse) => {
        response.writeHead(200, { "content-length": 1000 });
        response.write("half", () => response.destroy());
      },
    ],
    ["too much", (response: import("node:http").ServerResponse) => response.end(Buffer.alloc(10_000))],
  ])("fails with %s, and nothing of it stays", async (_, how) => {
    serve = how;
    expect(await find({ timeoutMs: 200, maxBytes: 5_000 })).toMatchObject({ ok: false, code: "download_failed" });
    expect(left()).toEqual([]);
  });

  it("is given up when it is not wanted any more", async () => {
    serve = () => {};
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(), 50);
    expect(await find({ signal: aborter.signal })).toMatchObject({ ok: false, code: "download_failed" });
  });

  it("without an offer there is none", async () => {
    expect(await find({ offer: null })).toMatchObject({ ok: false, code: "no_cloudflared" });
    expect(await find({ offer: { url, sha256: "../../x" } })).toMatchObject({ ok: false, code: "wrong_hash" });
    expect(asked).toBe(0);
  });
});
