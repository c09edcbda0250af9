/** `soneca snapshot`: the real program, as a process, against canned answers over HTTP. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EntryView } from "../core/protocol/browse.ts";
import { runProgram } from "./testing/program.ts";
import { errorAnswer, hibernatedView, startTestServer, summary, type TestServer, testId } from "./testing/server.ts";

let server: TestServer;
let home: string;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "soneca-cli-snapshot-"));
  server = await startTestServer();
  server.on("GET /api/instances", { json: { instances: [summary()] } });
});
afterEach(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true });
});

function soneca(...args: string[]) {
  const env = { PATH: process.env.PATH, HOME: home, TZ: "UTC", SONECA_URL: server.url, SONECA_TOKEN: "snu_secret" };
  return runProgram(["snapshot", ...args], { env, cwd: home });
}

const base = `GET /api/instances/${testId}/snapshots`;

function entry(path: string, changes: Partial<EntryView> = {}): EntryView {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const nothing = { entries: null, total_bytes: null, target: null };
  return {
    path,
    name,
    kind: "file",
    size_bytes: 5,
    modified_at: "2026-05-04T10:00:00.000Z",
    mode: "0644",
    ...nothing,
    ...changes,
  };
}

const answer = (entries: EntryView[], next_after: string | null = null) => ({
  json: { snapshot_id: `${testId}@3`, path: "", entries, next_after },
});

describe("ls", () => {
  test("shows a folder of the current snapshot, page after page", async () => {
    const snapshot = {
      ...hibernatedView().snapshot,
      is_current: true,
      files: 1,
      new_stored_bytes: 1,
      damaged: null,
      proof: null,
    };
    server.on(base, { json: { snapshots: [{ ...snapshot, seq: 4, is_current: false }, snapshot] } });
    const folder = entry("runs", { kind: "folder", size_bytes: null, entries: 1234, total_bytes: 7e9, mode: "0755" });
    const link = entry("latest", { kind: "link", size_bytes: null, target: "runs/3" });
    server.on(`${base}/3/files`, answer([folder], "folders/runs"), answer([entry("a\u001b[31m.txt"), link]));
    const { code, out: text } = await soneca("ls", "train");
    expect(code).toBe(0);
    expect(text).toMatch(/0755 +7\.0 GB +1,234 +4 May .* runs\/\n/);
    expect(text).toMatch(/0644 +5 B +- +4 May .* a\.txt\n/);
    expect(text).toContain("latest -> runs/3");
    const asked = server.asked.filter((one) => one.path.endsWith("/files"));
    expect(asked.map((one) => one.query.get("after"))).toEqual([null, "folders/runs"]);
  });

  test("takes a path as it shows it, or as it stands where that cannot be; a limit says that there is more", async () => {
    server.on(`${base}/3/files`, answer([entry("50% off/x")], "rest/x"));
    const limited = await soneca("ls", `${testId}@3`, "/50% off/./", "--search", "X", "--limit", "1", "--json");
    expect(JSON.parse(limited.out)).toMatchObject({
      path: "50%25 off",
      next_after: "rest/x",
      entries: [{}],
    });
    expect(Object.fromEntries(server.asked[0]!.query)).toEqual({ path: "50%25 off", search: "X", limit: "1" });
    await soneca("ls", `${testId}@3`, "%FF");
    expect(server.asked[1]!.query.get("path")).toBe("%FF");
    expect((await soneca("ls", `${testId}@3`, "a/../b")).code).toBe(2);
  });
});

describe("get", () => {
  const bytes = Buffer.alloc(3_000_000, "some bytes of a file, \u0000 and so on");

  test("writes the file under its name, -o elsewhere, - to stdout", async () => {
    server.on(`${base}/3/file`, { bytes });
    const named = await soneca("get", `${testId}@3`, "runs/ä 100%25.bin");
    expect([named.code, named.err]).toEqual([0, ""]);
    expect(readFileSync(join(home, "ä 100%.bin")).equals(bytes)).toBe(true);
    expect(server.asked[0]!.query.get("path")).toBe("runs/ä 100%25.bin");
    const again = await soneca("get", `${testId}@3`, "runs/ä 100%25.bin");
    expect([again.code, again.err]).toEqual([2, expect.stringContaining("is there already")]);
    writeFileSync(join(home, "old"), "old");
    const json = await soneca("get", `${testId}@3`, "x", "-o", "old", "--json");
    expect(JSON.parse(json.out)).toEqual({
      snapshot_id: `${testId}@3`,
      path: "x",
      file: "old",
      size_bytes: bytes.length,
    });
    expect(readFileSync(join(home, "old")).equals(bytes)).toBe(true);
    mkdirSync(join(home, "into"));
    expect((await soneca("get", `${testId}@3`, "raw/%FF", "--output=into")).code).toBe(0);
    expect(readdirSync(join(home, "into"))).toEqual(["%FF"]);
    expect((await soneca("get", `${testId}@3`, "x", "-o", "-")).bytes.equals(bytes)).toBe(true);
  });

  test("that breaks off leaves nothing of itself, and what was there as it was", async () => {
    server.on(`${base}/3/file`, { bytes, cutAfter: 2_000_000 });
    writeFileSync(join(home, "old"), "old");
    const broken = await soneca("get", `${testId}@3`, "x", "-o", "old", "--json");
    expect(broken.code).toBe(1);
    expect(JSON.parse(broken.err).error).toMatchObject({ code: "download_broken", retryable: true });
    expect(readFileSync(join(home, "old"), "utf8")).toBe("old");
    expect(readdirSync(home)).toEqual(["old"]);
    expect((await soneca("get", `${testId}@3`, "x", "-o", "-")).code).toBe(1);
  });

  test("says why there is none", async () => {
    server.on(`${base}/3/file`, errorAnswer("object_not_found", { path: "x" }));
    expect((await soneca("get", `${testId}@3`, "x")).code).toBe(3);
    server.on(`${base}/3/file`, errorAnswer("snapshot_encrypted"));
    expect(await soneca("get", `${testId}@3`, "x")).toMatchObject({
      code: 6,
      err: expect.stringContaining("encrypted"),
    });
    expect((await soneca("get", `${testId}@3`, "x", "-o", "no/such/folder/x")).code).toBe(6);
    server.on(`${base}/3/file`, { bytes: Buffer.alloc(0) });
    expect((await soneca("get", `${testId}@3`, "x", "-o", "no/such/folder/x")).err).toContain("cannot be written");
    expect((await soneca("get", `${testId}@3`, "empty")).code).toBe(0);
    expect(readFileSync(join(home, "empty"), "utf8")).toBe("");
    expect((await soneca("get", `${testId}@3`)).code).toBe(2);
    expect(readdirSync(home)).toEqual(["empty"]);
  });
});

describe("diff", () => {
  const change = (path: string, what: string, before: number | null, after: number | null) => ({
    path,
    what,
    kind: "file",
    size_before_bytes: before,
    size_after_bytes: after,
  });
  const page = (changes: object[], next_after: string | null, totals: object | null) => ({
    json: { snapshot_id: `${testId}@3`, since_snapshot_id: `${testId}@2`, changes, next_after, totals },
  });

  test("shows what came, went and changed", async () => {
    const totals = { added: 1, removed: 1, changed: 1 };
    server.on(
      `${base}/3/changes`,
      page([change("a", "added", null, 10)], "1,0,0/a", totals),
      page([change("b", "removed", 2000, null), change("c", "changed", 3, 4)], null, totals),
    );
    const { code, out, err } = await soneca("diff", `${testId}@2`, "train@3");
    expect([code, out, err]).toEqual([
      0,
      "+ a  10 B\n- b  2.0 kB\n~ c  3 B -> 4 B\n",
      "1 added, 1 removed, 1 changed.\n",
    ]);
    expect(server.asked.filter((one) => one.path.endsWith("/changes")).map((one) => one.query.get("since"))).toEqual([
      "2",
      "2",
    ]);
  });

  test("of equal ones, of too many to count, and of two instances", async () => {
    server.on(
      `${base}/3/changes`,
      page([], null, { added: 0, removed: 0, changed: 0 }),
      page([change("a", "added", null, 1)], "1,0,0/a", null),
    );
    expect((await soneca("diff", `${testId}@2`, `${testId}@3`)).err).toBe(
      `${testId}@2 and ${testId}@3 hold the same.\n`,
    );
    const many = await soneca("diff", `${testId}@2`, `${testId}@3`, "--limit", "1");
    expect(many.err).toContain("more changes than one answer can count");
    expect((await soneca("diff", `${testId}@2`, "i-bbbbbbbbbb@3")).code).toBe(2);
  });
});
