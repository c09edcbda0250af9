import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { partObjectKey, StoreError } from "../../core/snapshot/store.ts";
import { testStore } from "../../core/snapshot/testing/store-conformance.ts";
import { type StoreServer, startStoreServer } from "../testing/store-server.ts";
import { describeWorkspace, type HardWorkspace, makeHardWorkspace, noise } from "../testing/workspace.ts";
import { sha256Hex } from "./primitives.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { openWorkerStore } from "./store-worker.ts";
import { takeSnapshot } from "./take.ts";

const quick = { retryBaseMs: 1, idleTimeoutMs: 300 };

testStore("folder", async () => {
  const dir = mkdtempSync(join(tmpdir(), "soneca-store-"));
  return { store: openFolderStore(dir), trustsCaller: true, close: async () => rmSync(dir, { recursive: true }) };
});

testStore("worker", async () => {
  const server = await startStoreServer();
  const store = openWorkerStore({ url: server.url, token: () => server.token, instance: "i-conform", ...quick });
  return { store, close: server.close, refusesDelete: true };
});

describe("the worker store and a network that fails", () => {
  let server: StoreServer;
  let dir: string;
  let workspace: HardWorkspace;
  const at = (name: string) => join(dir, name);
  const open = (more = {}) =>
    openWorkerStore({ url: server.url, token: () => server.token, instance: "i-net", ...quick, ...more });
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => null,
      (error) => (error instanceof StoreError ? error.code : error),
    );
  const part = Buffer.from("some bytes");
  const key = partObjectKey("i-net", sha256Hex(part));

  beforeEach(async () => {
    server = await startStoreServer();
    dir = mkdtempSync(join(tmpdir(), "soneca-net-"));
    workspace = await makeHardWorkspace(at("work"));
  });
  afterEach(async () => {
    await workspace.close();
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test("snapshot and restore come through drops, cuts, 503, 500 and wrong bytes", async () => {
    const faults = ["drop", "drop-after", "busy", "broken", "cut", "hang"] as const;
    server.fault = ({ n }) => (n % 3 === 0 ? faults[(n / 3) % faults.length]! : "none");
    writeFileSync(at("work/more"), noise(40 * 1024 * 1024, 5));
    const taken = await takeSnapshot({
      root: at("work"),
      id: "i-net",
      epoch: 3,
      seq: 1,
      store: open(),
      stateDir: at("state"),
    });
    expect(taken).toMatchObject({ ok: true, stats: { torn: 0 } });
    // Each part once: what is wrong twice is damaged, and the next test's.
    const wrong = new Set<string>();
    server.fault = ({ n, method, path }) => {
      if (method === "GET" && path.startsWith("parts/") && wrong.size < 2 && !wrong.has(path)) {
        wrong.add(path);
        return "wrong-bytes";
      }
      return n % 5 === 0 ? faults[(n / 5) % faults.length]! : "none";
    };
    const restored = await restoreSnapshot({
      root: at("back"),
      id: "i-net",
      epoch: 3,
      seq: 1,
      store: open(),
      stateDir: at("state2"),
    });
    expect(restored).toMatchObject({ ok: true });
    expect(wrong.size).toBe(2);
    expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
  });

  test("bytes that stay wrong end as damage, with the files named", async () => {
    await takeSnapshot({ root: at("work"), id: "i-net", epoch: 3, seq: 1, store: open(), stateDir: at("state") });
    const [largest] = [...server.objects].sort((a, b) => b[1].length - a[1].length)[0]!;
    server.fault = ({ method, path }) => (method === "GET" && path === largest ? "wrong-bytes" : "none");
    const restored = await restoreSnapshot({
      root: at("back"),
      id: "i-net",
      epoch: 3,
      seq: 1,
      store: open(),
      stateDir: at("state2"),
    });
    expect(restored).toMatchObject({ ok: false, code: "snapshot_damaged" });
    expect(!restored.ok && restored.paths?.length).toBeGreaterThan(0);
    server.objects.delete(largest);
    server.fault = () => "none";
    const again = await restoreSnapshot({
      root: at("back"),
      id: "i-net",
      epoch: 3,
      seq: 1,
      store: open(),
      stateDir: at("state2"),
    });
    expect(again).toMatchObject({ ok: false, code: "snapshot_damaged" });
  });

  test("a refusal is final, at once", async () => {
    server.isFenced = true;
    const before = server.requests;
    expect(await codeOf(open().put(key, part, sha256Hex(part)))).toBe("store_fenced");
    server.isFenced = false;
    server.token = "renewed";
    expect(
      await codeOf(
        openWorkerStore({ url: server.url, token: () => "old", instance: "i-net", ...quick }).put(
          key,
          part,
          sha256Hex(part),
        ),
      ),
    ).toBe("store_refused");
    expect(server.requests - before).toBe(2);
    const taken = await takeSnapshot({
      root: at("work"),
      id: "i-net",
      epoch: 1,
      seq: 1,
      store: openWorkerStore({ url: server.url, token: () => "old", instance: "i-net", ...quick }),
      stateDir: at("state"),
    });
    expect(taken).toMatchObject({ ok: false, code: "store_refused", retryable: false });
  });

  test("a store that never answers is given up after the tries", async () => {
    server.fault = () => "hang";
    expect(await codeOf(open({ tries: 3, idleTimeoutMs: 30 }).put(key, part, sha256Hex(part)))).toBe(
      "store_unreachable",
    );
    expect(server.requests).toBe(3);
  });

  test("a store that is away for longer than a few tries is waited for; one that stays away, for as long as is said", async () => {
    const backAt = performance.now() + 500;
    server.fault = () => (performance.now() < backAt ? "busy" : "none");
    expect(await open({ retryBaseMs: 1 }).put(key, part, sha256Hex(part))).toBe("created");
    expect(performance.now()).toBeGreaterThanOrEqual(backAt);
    server.fault = () => "busy";
    const beganAt = performance.now();
    expect(await codeOf(open({ patienceMs: 100, retryBaseMs: 1 }).head(key))).toBe("store_unreachable");
    expect(performance.now() - beganAt).toBeLessThan(5_000);
  });

  test("an abort ends a snapshot soon, and the next run goes on", async () => {
    writeFileSync(at("work/more"), noise(64 * 1024 * 1024, 6));
    const abort = new AbortController();
    server.fault = ({ method }) => {
      if (method === "PUT" && server.objects.size >= 2) {
        setTimeout(() => abort.abort(), 20);
        return "hang";
      }
      return "none";
    };
    const input = {
      root: at("work"),
      id: "i-net",
      epoch: 3,
      seq: 1,
      store: open({ idleTimeoutMs: 30_000 }),
      stateDir: at("state"),
    };
    const startedAt = Date.now();
    expect(await takeSnapshot({ ...input, signal: abort.signal })).toMatchObject({
      ok: false,
      code: "aborted",
      retryable: true,
    });
    expect(Date.now() - startedAt).toBeLessThan(10_000);
    server.fault = () => "none";
    const had = server.objects.size;
    const taken = await takeSnapshot(input);
    expect(taken).toMatchObject({ ok: true });
    expect(taken.ok && taken.stats.newParts).toBeLessThan(server.objects.size);
    expect(had).toBeGreaterThan(0);
  });
});
