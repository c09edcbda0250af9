/** A store that has lost bytes: what they were for is named, and with `partial` all else is restored. */
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runCommand } from "../testing/run-command.ts";
import { describeWorkspace, noise } from "../testing/workspace.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

let dir: string;
const at = (name: string) => join(dir, name);
const shared = () => ({ id: "i-part", epoch: 1, store: openFolderStore(at("store")) });
const restore = (partial: boolean) =>
  restoreSnapshot({ ...shared(), seq: 2, root: at("back"), stateDir: at("state2"), partial });
const take = async (seq: number) =>
  expect(
    await takeSnapshot({ ...shared(), seq, root: at("work"), stateDir: at("state"), alreadyQuiet: true }),
  ).toMatchObject({ ok: true });
const partNames = () => readdirSync(at("store/i/i-part/parts"));
const partPath = (name: string) => at(`store/i/i-part/parts/${name}`);

let damagedPart: string;
let missingPart: string;
let bytesOf: Record<string, Buffer>;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-partial-"));
  mkdirSync(at("work/folder"), { recursive: true });
  const large = noise(700_000, 1);
  writeFileSync(at("work/folder/large"), large);
  linkSync(at("work/folder/large"), at("work/other name"));
  writeFileSync(at("work/small"), "small and whole");
  await take(1);
  const before = new Set(partNames());
  const inside = (name: string) => readFileSync(partPath(name)).indexOf(large.subarray(1000, 1100));
  damagedPart = [...before].find((name) => inside(name) >= 0)!;
  const later = noise(5000, 2);
  writeFileSync(at("work/later"), later);
  await take(2);
  missingPart = partNames().find((name) => !before.has(name) && readFileSync(partPath(name)).includes(later))!;
  bytesOf = Object.fromEntries([damagedPart, missingPart].map((name) => [name, readFileSync(partPath(name))]));
  const broken = Buffer.from(bytesOf[damagedPart]!);
  broken[inside(damagedPart)]! ^= 1;
  writeFileSync(partPath(damagedPart), broken);
  rmSync(partPath(missingPart));
}, 60_000);
afterEach(() => rmSync(dir, { recursive: true, force: true }), 60_000);

test("without `partial` the files are named, and a whole store makes it good", async () => {
  expect(await restore(false)).toMatchObject({
    ok: false,
    code: "snapshot_damaged",
    paths: expect.arrayContaining(["folder/large", "later"]),
  });
  for (const [name, bytes] of Object.entries(bytesOf)) writeFileSync(partPath(name), bytes);
  expect(await restore(false)).toMatchObject({ ok: true });
});

test("with `partial` all else is exact, each lost name is told with its part, and nothing of it counts as known", async () => {
  mkdirSync(at("back"));
  writeFileSync(at("back/later"), "of before");
  const result = await restore(true);
  expect(result).toMatchObject({ ok: false, code: "restore_partial", retryable: false });
  if (result.ok) return;
  expect(new Map(result.lost!.map(({ path, reason }) => [path, reason]))).toEqual(
    new Map([
      ["folder/large", `part ${damagedPart} is damaged`],
      ["other name", `part ${damagedPart} is damaged`],
      ["later", `part ${missingPart} is missing`],
    ]),
  );
  expect("digest" in result).toBe(false);
  // A large file is absent or whole; what lay in a lost file's place stays.
  expect(existsSync(at("back/folder/large"))).toBe(false);
  expect(existsSync(at("back/other name"))).toBe(false);
  expect(readFileSync(at("back/later"), "utf8")).toBe("of before");
  expect(readFileSync(at("back/small"), "utf8")).toBe("small and whole");
  expect(readdirSync(at("state2")).filter((name) => /^(stat|segments|journal)-/.test(name))).toEqual([]);
  for (const [name, bytes] of Object.entries(bytesOf)) writeFileSync(partPath(name), bytes);
  expect(await restore(true)).toMatchObject({ ok: true });
  expect(describeWorkspace(at("back"))).toEqual(describeWorkspace(at("work")));
});

test("the command ends with 3, a warning for each name and no digest", { timeout: 30_000 }, async () => {
  const args = ["restore", "i-part@2", at("back"), "--store", at("store"), "--state", at("state2"), "--json"];
  expect(await runCommand(args)).toMatchObject({ code: 5, last: { code: "snapshot_damaged" } });
  const { code, last, lines } = await runCommand([...args, "--partial"]);
  expect(code).toBe(3);
  expect(last).toMatchObject({ type: "summary", ok: false, exit: 3, code: "restore_partial", lost: 3, digest: null });
  const warned = lines.filter((line) => line.type === "warning").map((line) => line.path);
  expect(warned.sort()).toEqual(["folder/large", "later", "other name"]);
});

test("a content with more places than one message to a thread names is in all of them", {
  timeout: 60_000,
}, async () => {
  for (let i = 0; i < 9000; i++) writeFileSync(at(`work/folder/copy-${i}`), i % 3 === 0 ? `own ${i}` : "the same");
  await take(3);
  for (const [name, bytes] of Object.entries(bytesOf)) writeFileSync(partPath(name), bytes);
  const root = at("many");
  expect(await restoreSnapshot({ ...shared(), seq: 3, root, stateDir: at("state2") })).toMatchObject({ ok: true });
  expect(describeWorkspace(root)).toEqual(describeWorkspace(at("work")));
});
