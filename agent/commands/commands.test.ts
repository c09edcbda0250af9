/** The engine's commands as users run them: real processes, exit codes, and what is on stdout. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type S3Server, startS3Server } from "../snapshot/testing/s3-server.ts";
import { type RunOptions, runCommand } from "../testing/run-command.ts";
import { describeWorkspace, type HardWorkspace, makeHardWorkspace, noise } from "../testing/workspace.ts";

let dir: string;
let workspace: HardWorkspace;
const at = (name: string) => join(dir, name);
const run = (args: string[], options: RunOptions = {}) =>
  runCommand(args, { cwd: dir, ...options, env: { XDG_STATE_HOME: at("state"), ...options.env } });
const json = (args: string[], options: RunOptions = {}) => run([...args, "--json"], options);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-commands-"));
  workspace = await makeHardWorkspace(at("work"));
  const first = await json(["snapshot", "work", "--store", "store"]);
  expect(first.last).toMatchObject({ type: "summary", ok: true, snapshotId: "work@1", exit: 0 });
}, 60_000);
afterAll(async () => {
  await workspace.close();
  rmSync(dir, { recursive: true, force: true });
});

describe("snapshot and restore", () => {
  test("progress comes at most four times a second, and the summary last, with an id that works", {
    timeout: 60_000,
  }, async () => {
    mkdirSync(at("large"));
    for (let i = 0; i < 8; i++) writeFileSync(at(`large/${i}`), noise(16 * 1024 * 1024, 50 + i));
    const startedAt = performance.now();
    const taken = await json(["snapshot", "large", "--store", "large-store"]);
    const seconds = (performance.now() - startedAt) / 1000;
    const progress = taken.lines.filter((line) => line.type === "progress");
    expect(progress.length).toBeGreaterThan(0);
    expect(progress.length).toBeLessThanOrEqual(Math.ceil(seconds * 4) + 1);
    for (const line of progress)
      expect(Object.keys(line)).toEqual(
        expect.arrayContaining([
          ..."phase entries files plainBytes doneBytes reusedBytes storedBytes sentBytes".split(" "),
          ..."partsDone partsTotal bytesPerSecond etaMs".split(" "),
        ]),
      );
    expect(taken.lines.filter((line) => line.type === "summary")).toEqual([taken.last]);
    expect(taken.stderr).toBe("");
    const { snapshotId } = taken.last;
    expect(snapshotId).toBe("large@1");
    expect((await json(["restore", snapshotId, "large-back", "--store", "large-store"])).code).toBe(0);
    expect((await json(["verify", snapshotId, "large-back", "--store", "large-store", "--data"])).code).toBe(0);
    writeFileSync(at("large-back/more"), "");
    const differs = await json(["verify", snapshotId, "large-back", "--store", "large-store"]);
    expect([differs.code, differs.last.code]).toEqual([5, "folder_differs"]);
    rmSync(at("large"), { recursive: true });
    rmSync(at("large-back"), { recursive: true });
    rmSync(at("large-store"), { recursive: true });
  });

  test("a workspace with everything comes back", { timeout: 60_000 }, async () => {
    const back = await run(["restore", "work@1", "work-back", "--store", "store"]);
    expect([back.code, back.stdout.toString()]).toEqual([0, expect.stringMatching(/^restored work@1: .*equal\n$/s)]);
    expect(describeWorkspace(at("work-back"))).toEqual(describeWorkspace(at("work")));
    rmSync(at("work-back"), { recursive: true });
  });

  test("SIGINT ends a snapshot with 130, and the next goes on", { timeout: 60_000 }, async () => {
    mkdirSync(at("slow"));
    for (let i = 0; i < 8; i++) writeFileSync(at(`slow/${i}`), noise(24 * 1024 * 1024, 70 + i));
    const args = ["snapshot", "slow", "--store", "slow-store"];
    const ended = await json(args, {
      onStart: (child) => child.stdout?.once("data", () => child.kill("SIGINT")),
    });
    expect([ended.code, ended.signal, ended.last]).toEqual([
      130,
      null,
      expect.objectContaining({ type: "summary", ok: false, code: "aborted", retryable: true, exit: 130 }),
    ]);
    expect((await json(args)).last).toMatchObject({ ok: true, snapshotId: "slow@1" });
    rmSync(at("slow"), { recursive: true });
    rmSync(at("slow-store"), { recursive: true });
  });

  test("a file that never rests: made, but incomplete, exit 3", { timeout: 60_000 }, async () => {
    mkdirSync(at("busy"));
    // So long that reading it takes several turns of the scheduler: the writer gets some of them.
    const begun = noise(48 * 1024 * 1024, 5);
    writeFileSync(at("busy/x"), begun);
    const script = `const fs = require("node:fs"); for (let n = 0; ; n++) fs.appendFileSync(${JSON.stringify(at("busy/x"))}, "" + n);`;
    const writer = spawn(process.execPath, ["-e", script], { stdio: "ignore" });
    while (statSync(at("busy/x")).size === begun.length) await sleep(20);
    const ran = await json(["snapshot", "busy", "--store", "busy-store"]).finally(() => writer.kill("SIGKILL"));
    expect([ran.code, ran.last]).toEqual([
      3,
      expect.objectContaining({ ok: false, code: "snapshot_incomplete", snapshotId: "busy@1", exit: 3 }),
    ]);
    expect(ran.last.torn).toBeGreaterThan(0);
    rmSync(at("busy"), { recursive: true });
    rmSync(at("busy-store"), { recursive: true });
  });

  test("a mirror is filled by a snapshot and asked by a restore", { timeout: 60_000 }, async () => {
    const parts = (store: string) => readdirSync(at(`${store}/i/m/parts`)).filter((name) => !name.startsWith("."));
    mkdirSync(at("m"));
    for (let i = 0; i < 3; i++) writeFileSync(at(`m/${i}`), noise(9 * 1024 * 1024, 90 + i));
    const taken = await json(["snapshot", "m", "--store", "m-store", "--mirror", "m-near"]);
    expect(taken.last).toMatchObject({ ok: true, mirror: { stored: parts("m-store").length } });
    expect(parts("m-near")).toEqual(parts("m-store"));
    for (const [n, name] of parts("m-near").entries()) {
      if (n === 0) rmSync(at(`m-near/i/m/parts/${name}`));
      else if (n === 1) writeFileSync(at(`m-near/i/m/parts/${name}`), "damaged");
    }
    const back = await json(["restore", "m", "m-back", "--store", "m-store", "--mirror", "m-near"]);
    expect(back.last).toMatchObject({ ok: true, mirror: { misses: 2, damaged: 1, stored: 2 } });
    expect(back.lines.filter((line) => line.type === "warning")).toEqual([]);
    expect(describeWorkspace(at("m-back"))).toEqual(describeWorkspace(at("m")));
    for (const name of parts("m-near")) expect(sha256(readFileSync(at(`m-near/i/m/parts/${name}`)))).toBe(name);
    rmSync(at("m-back"), { recursive: true });
  });
});

describe("list, ls, cat, diff", () => {
  test("list tells each snapshot", async () => {
    const listed = await json(["list", "--store", "store"]);
    expect(listed.lines).toEqual([
      expect.objectContaining({ type: "snapshot", snapshotId: "work@1", epoch: 1, torn: 0, excludes: [] }),
      { type: "summary", ok: true, snapshots: 1, exit: 0 },
    ]);
    expect((await run(["list", "--store", "store"])).stdout.toString()).toMatch(/^work@1 .* stored .* files\n$/);
  });

  test("ls is valid JSON whatever the names are", async () => {
    const listed = await json(["ls", "work", "--store", "store"]);
    expect(listed.code).toBe(0);
    const odd = listed.lines.find((line) => line.pathHex === "fffe8020");
    expect(odd).toMatchObject({ path: "\ufffd\ufffd\ufffd ", entryType: "file" });
    expect(listed.lines.find((line) => line.path === 'new\nline "quoted" \\ back')).not.toHaveProperty("pathHex");
    const names = listed.lines.slice(0, -1).map((line) => line.pathHex ?? Buffer.from(line.path).toString("hex"));
    const real = readdirSync(at("work"), { encoding: "hex" as "utf8" });
    expect(names).toEqual(real.sort());
    const inside = await json(["ls", "work", "--path-hex", "c328", "--store", "store"]);
    expect(inside.lines[0]).toMatchObject({
      pathHex: Buffer.from([0xc3, 0x28]).toString("hex") + Buffer.from("/inside").toString("hex"),
    });
  });

  test("ls --recursive finds every path, ls of a file that file", async () => {
    const all = await json(["ls", "work", "--recursive", "--store", "store"]);
    // describeWorkspace has the root and leaves sockets out.
    const files = all.lines.filter((line) => line.type === "entry" && line.entryType !== "socket");
    expect(files.length).toBe(describeWorkspace(at("work")).size - 1);
    const many = await json(["ls", "work", "many", "--store", "store"]);
    expect(many.lines.length).toBe(301);
    const one = await json(["ls", "work", "./a/another name of one/", "--store", "store"]);
    expect(one.lines[0]).toMatchObject({ path: "a/another name of one", size: 1, entryType: "file" });
    const linked = await json(["ls", "work", "one", "--store", "store"]);
    expect([one.lines[0].linkOf, linked.lines[0].linkOf].filter((name) => name !== undefined).length).toBe(1);
    expect(linked.lines[0]).toMatchObject({ mode: "4755", mtimeNs: "1234567890123456789" });
  });

  test("names cannot play with the terminal", async () => {
    mkdirSync(at("evil"));
    writeFileSync(at("evil/\x1b[31mred\x07"), "");
    await json(["snapshot", "evil", "--store", "evil-store"]);
    const shown = (await run(["ls", "evil", "--store", "evil-store"])).stdout.toString();
    expect(shown).toContain("\\x1b[31mred\\x07");
    expect(shown).not.toContain("\x1b");
  });

  test("cat gives exactly the bytes, also of hard links and holes", { timeout: 60_000 }, async () => {
    for (const name of ["big", "a-b/another name of big", "zero bytes", "sparse big", "one"]) {
      const ran = await run(["cat", "work", name, "--store", "store"]);
      expect([name, ran.code, ran.stderr]).toEqual([name, 0, ""]);
      expect(sha256(ran.stdout)).toBe(sha256(readFileSync(at(`work/${name}`))));
    }
    const hex = await run(["cat", "work", "--path-hex", "fffe8020", "--store", "store"]);
    expect(hex.stdout.toString()).toBe("name that is not utf-8");
  });

  test("cat follows nothing, and its lines go to stderr", async () => {
    for (const [name, words] of [
      ["link", /symbolic link to one/],
      ["a", /folder/],
      ["fifo", /fifo/],
    ] as const) {
      const ran = await json(["cat", "work", name, "--store", "store"]);
      expect([ran.code, ran.stdout.length]).toEqual([2, 0]);
      expect(JSON.parse(ran.stderr)).toMatchObject({
        type: "summary",
        code: "not_a_file",
        message: expect.stringMatching(words),
      });
    }
    const good = await json(["cat", "work", "one", "--store", "store"]);
    expect(good.stdout.toString()).toBe("1");
    expect(JSON.parse(good.stderr)).toEqual({
      type: "summary",
      ok: true,
      snapshotId: "work@1",
      path: "one",
      bytes: 1,
      size: 1,
      exit: 0,
    });
  });

  test("a reader that goes away is no failure", async () => {
    const ran = await run(["cat", "work", "sparse big", "--store", "store"], {
      onStart: (child) => child.stdout?.once("data", () => child.stdout?.destroy()),
    });
    expect([ran.code, ran.signal, ran.stderr]).toEqual([0, null, ""]);
  });

  test("cat of damaged bytes ends with 5", async () => {
    mkdirSync(at("hurt"));
    writeFileSync(at("hurt/x"), noise(1024 * 1024, 7));
    await json(["snapshot", "hurt", "--store", "hurt-store"]);
    const folder = at("hurt-store/i/hurt/parts");
    const sizes = readdirSync(folder).map((name) => ({ name, size: statSync(join(folder, name)).size }));
    const [largest] = sizes.sort((a, b) => b.size - a.size);
    const bytes = readFileSync(join(folder, largest!.name));
    bytes[5000] = bytes[5000]! ^ 1;
    chmodSync(join(folder, largest!.name), 0o600);
    writeFileSync(join(folder, largest!.name), bytes);
    const ran = await run(["cat", "hurt", "x", "--store", "hurt-store"]);
    expect([ran.code, ran.stdout.length]).toEqual([5, 0]);
    truncateSync(join(folder, largest!.name), 100);
    expect((await json(["cat", "hurt", "x", "--store", "hurt-store"])).code).toBe(5);
  });

  test("diff of snapshots and folders", { timeout: 60_000 }, async () => {
    mkdirSync(at("d/sub"), { recursive: true });
    for (const name of ["same", "grows", "mode", "time", "goes", "sub/file", "kind"])
      writeFileSync(at(`d/${name}`), name);
    await json(["snapshot", "d", "--store", "d-store"]);
    expect((await json(["diff", "d@1", "./d", "--store", "d-store"])).last).toMatchObject({ isEqual: true, exit: 0 });
    const quiet = await run(["diff", "d@1", "d@1", "--store", "d-store"]);
    expect([quiet.code, quiet.stdout.toString()]).toEqual([0, "d@1 and d@1 are equal\n"]);
    const { atimeMs, mtimeMs } = statSync(at("d"));
    writeFileSync(at("d/grows"), "more than before");
    chmodSync(at("d/mode"), 0o600);
    utimesSync(at("d/time"), 1, 1);
    rmSync(at("d/goes"));
    rmSync(at("d/kind"));
    mkdirSync(at("d/kind"));
    writeFileSync(at("d/sub-2"), "12345");
    utimesSync(at("d"), atimeMs / 1000, mtimeMs / 1000);
    await json(["snapshot", "d", "--store", "d-store"]);
    const wanted = {
      goes: ["removed", []],
      grows: ["changed", expect.arrayContaining(["content", "mtime"])],
      kind: ["changed", expect.arrayContaining(["type", "mode"])],
      mode: ["changed", ["mode"]],
      "sub-2": ["added", []],
      time: ["changed", ["mtime"]],
    };
    for (const sides of [
      ["d@1", "d@2"],
      ["d@1", "./d"],
      ["d@1", "d"],
    ]) {
      const ran = await json(["diff", ...sides, "--store", "d-store"]);
      const changes = ran.lines.filter((line) => line.type === "change" && line.path !== "");
      expect(Object.fromEntries(changes.map((line) => [line.path, [line.change, line.what]]))).toEqual(wanted);
      expect(ran.last).toMatchObject({ ok: true, added: 1, removed: 1, addedBytes: 5, removedBytes: 4, exit: 0 });
    }
  });
});

describe("s3", () => {
  let server: S3Server;
  afterEach(() => server.close());

  test("a snapshot lives in a bucket", { timeout: 60_000 }, async () => {
    server = await startS3Server();
    const { accessKeyId, secretAccessKey, region, endpoint } = server.settings;
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: region,
      AWS_ENDPOINT_URL: endpoint,
    };
    const store = ["--store", "s3://a-bucket/deep/prefix"];
    const taken = await json(["snapshot", "work", "--id", "in-s3", ...store], { env });
    expect(taken.last).toMatchObject({ ok: true, snapshotId: "in-s3@1", exit: 0 });
    expect([...server.objects.keys()].every((key) => key.startsWith("deep/prefix/i/in-s3/"))).toBe(true);
    expect((await json(["list", ...store], { env })).lines[0]).toMatchObject({ snapshotId: "in-s3@1" });
    expect((await json(["restore", "in-s3@1", "s3-back", ...store], { env })).code).toBe(0);
    expect(describeWorkspace(at("s3-back"))).toEqual(describeWorkspace(at("work")));
    rmSync(at("s3-back"), { recursive: true });
    expect((await run(["cat", "in-s3", "one", ...store], { env })).stdout.toString()).toBe("1");
    const old = Date.now() - 30 * 3_600_000;
    for (const [key, object] of server.objects) if (key.includes("/parts/")) object.modifiedMs = old;
    server.objects.set(`deep/prefix/i/in-s3/parts/${"0".repeat(64)}`, {
      bytes: Buffer.from("x"),
      modifiedMs: old,
      hasChecksum: false,
    });
    const before = server.objects.size;
    expect((await json(["gc", "in-s3", ...store], { env })).last).toMatchObject({
      ok: true,
      partsDeleted: 1,
      bytesDeleted: 1,
    });
    expect(server.objects.size).toBe(before - 1);
    expect((await json(["list", "--store", "s3://other-bucket"], { env })).last).toMatchObject({
      code: "bucket_not_found",
      exit: 8,
    });
    const wrong = await json(["list", ...store], { env: { ...env, AWS_SECRET_ACCESS_KEY: "wrong" } });
    expect(wrong.last).toMatchObject({ code: "store_refused", exit: 7 });
  });
});
