/** Encrypted snapshots as users make and read them: real processes, with and without the passphrase. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startS3Server } from "../snapshot/testing/s3-server.ts";
import { type RunOptions, runCommand } from "../testing/run-command.ts";
import { describeWorkspace, noise } from "../testing/workspace.ts";

let dir: string;
const at = (name: string) => join(dir, name);
const run = (text: string, passphrase?: string, { env, ...options }: RunOptions = {}) =>
  runCommand(`${text} --json`.split(" "), {
    cwd: dir,
    ...options,
    env: {
      XDG_STATE_HOME: at("state"),
      ...(passphrase === undefined ? {} : { SONECA_PASSPHRASE: passphrase }),
      ...env,
    },
  });
const manifest = (seq: number) =>
  JSON.parse(readFileSync(at(`store/i/work/manifests/0000000${seq}-1`), "utf8")) as { encryption: unknown };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-pass-"));
  mkdirSync(at("work"));
  writeFileSync(at("work/a"), "some text");
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const readers = ["restore work out", "verify work", "verify work work", "ls work", "cat work a", "diff work@1 work@2"];

test("every command reads with the passphrase, and says what is missing without it", { timeout: 120_000 }, async () => {
  expect((await run("snapshot work --store store --encrypt", "péss wörd")).last).toMatchObject({
    ok: true,
    isEncrypted: true,
  });
  writeFileSync(at("work/b"), "more text");
  // It goes on as it began: without the option, and with the same key; é may be written in two ways.
  expect((await run("snapshot work --store store", "pe\u0301ss wo\u0308rd")).last).toMatchObject({ ok: true });
  expect(manifest(2).encryption).toEqual(manifest(1).encryption);
  for (const reader of [...readers, "snapshot work"]) {
    const none = await run(`${reader} --store store`);
    expect(none.code, reader).toBe(7);
    expect(none.stdout.toString() + none.stderr, reader).toMatch(/"code":"key_missing".*SONECA_PASSPHRASE/);
    const wrong = await run(`${reader} --store store`, "another");
    expect(wrong.code, reader).toBe(7);
    expect(wrong.stdout.toString() + wrong.stderr, reader).toContain('"code":"passphrase_wrong"');
  }
  expect(readdirSync(at("out"))).toEqual([]);
  writeFileSync(at("file"), "péss wörd\r\nanother line\n");
  for (const reader of readers)
    expect((await run(`${reader} --store store --passphrase-file file`)).code, reader).toBe(0);
  expect(describeWorkspace(at("out"))).toEqual(describeWorkspace(at("work")));
  const changed = await run("diff work@1 work --store store", "péss wörd");
  expect(changed.lines.filter((line) => line.type === "change").map((line) => line.path)).toEqual(["", "b"]);
  // These need no passphrase: they read manifests alone.
  expect((await run("list --store store")).lines[0]).toMatchObject({ snapshotId: "work@1", isEncrypted: true });
  expect((await run("gc work --store store --keep 1 --older-than 0")).last).toMatchObject({ manifestsDeleted: 1 });
  expect((await run("verify work --store store", "péss wörd")).code).toBe(0);
});

test("an instance changes its mind only when it is told to", { timeout: 120_000 }, async () => {
  expect((await run("snapshot work --store store", "unused")).last).toMatchObject({ isEncrypted: false });
  expect((await run("snapshot work --store store --encrypt", "first")).last).toMatchObject({ isEncrypted: true });
  expect((await run("snapshot work --store store --no-encrypt")).last).toMatchObject({ isEncrypted: false });
  expect((await run("snapshot work --store store")).last).toMatchObject({ isEncrypted: false });
  // The key is that of the second snapshot, so its passphrase is as well.
  expect((await run("snapshot work --store store --encrypt", "second")).last).toMatchObject({
    code: "passphrase_wrong",
  });
  expect((await run("snapshot work --store store --encrypt", "first")).last).toMatchObject({
    isEncrypted: true,
    snapshotId: "work@5",
    newPlainBytes: 0,
  });
  expect(manifest(5).encryption).toEqual(manifest(2).encryption);
  // A manifest that cannot be read does not make the next snapshot a plain one.
  writeFileSync(at("store/i/work/manifests/00000006-1"), "{");
  expect((await run("snapshot work --store store")).last).toMatchObject({ code: "key_missing" });
  expect((await run("diff work@1 work@2 --store store", "first")).last).toMatchObject({
    code: "not_comparable",
    exit: 2,
  });
  for (const seq of [1, 2, 3, 4, 5])
    expect((await run(`verify work@${seq} work --store store`, "first")).code, String(seq)).toBe(0);
});

test("what is no passphrase is refused before anything is done", { timeout: 60_000 }, async () => {
  writeFileSync(at("empty"), "\nsecond line\n");
  writeFileSync(at("bytes"), Buffer.from([0xff, 0xfe, 0x0a]));
  writeFileSync(at("long"), "x".repeat(5000));
  for (const [text, passphrase] of [
    ["--encrypt", ""],
    ["--encrypt --passphrase-file empty", "given"],
    ["--encrypt --passphrase-file bytes"],
    ["--encrypt --passphrase-file long"],
    ["--encrypt --passphrase-file missing"],
    ["--encrypt --passphrase-file work"],
    ["--encrypt --no-encrypt", "given"],
  ] as const) {
    const { code, last } = await run(`snapshot work --store store ${text}`, passphrase);
    expect([code, last.code], text).toEqual([2, "usage"]);
  }
  expect((await run("snapshot work --store store --encrypt")).last).toMatchObject({ code: "key_missing", exit: 7 });
  expect(readdirSync(dir)).not.toContain("store");
});

test("killed again and again, an encrypted snapshot goes on; it lies in S3 and in a mirror as any other", {
  timeout: 180_000,
}, async () => {
  for (let i = 0; i < 5; i++) writeFileSync(at(`work/${i}`), noise(20 * 1024 * 1024, 200 + i));
  const server = await startS3Server();
  try {
    const { accessKeyId, secretAccessKey, region, endpoint } = server.settings;
    const env = {
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_REGION: region,
      AWS_ENDPOINT_URL: endpoint,
    };
    const store = `s3://${server.bucket}/crypt`;
    const text = `snapshot work --store ${store} --encrypt --mirror near`;
    const parts = () => [...server.objects.keys()].filter((key) => key.includes("/parts/")).length;
    for (const goal of [1, 3]) {
      let timer: NodeJS.Timeout | undefined;
      const onStart: RunOptions["onStart"] = (child) => {
        timer = setInterval(() => parts() >= goal && child.kill("SIGKILL"), 5);
      };
      await run(text, "secret", { env, onStart });
      clearInterval(timer);
    }
    const found = parts();
    expect(found).toBeGreaterThan(1);
    // No manifest names the key yet; the state folder has it, wrapped.
    const { last } = await run(text, "secret", { env });
    expect(last).toMatchObject({ ok: true, torn: 0 });
    expect(last.parts - last.newParts).toBeGreaterThanOrEqual(found - 1);
    // From now on the manifest has it.
    rmSync(at("state"), { recursive: true });
    expect((await run(text, "secret", { env })).last).toMatchObject({ ok: true, newPlainBytes: 0 });
    const back = await run(`restore work back --store ${store} --mirror near`, "secret", { env });
    // A kill may come after a part went to the main store and before it went to the mirror: not all need be there.
    expect(back.last).toMatchObject({ ok: true, mirror: { hits: expect.any(Number), damaged: 0 } });
    expect(back.last.mirror.hits).toBeGreaterThan(0);
    expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
  } finally {
    await server.close();
  }
});
