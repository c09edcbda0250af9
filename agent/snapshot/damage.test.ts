/** Stored objects with damage anywhere: each ends in a clear code or in the exact folder, in bounded time, and nothing else. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { file, folder, hardLink, link, putHandMade } from "../testing/hand-made.ts";
import { describeWorkspace, noise } from "../testing/workspace.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { verifySnapshot } from "./verify.ts";

const codes = [
  "snapshot_damaged",
  "snapshot_format_unknown",
  "snapshot_hostile",
  "manifest_invalid",
  "part_damaged",
  "part_missing",
  // The store refuses an object that is longer than any may be, or is no file.
  "store_failed",
];
let dir: string;
const at = (name: string) => join(dir, name);
const shared = () => ({ id: "i-fuzz", seq: 1, epoch: 1, store: openFolderStore(at("store")), stateDir: at("state") });

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "soneca-damage-"));
  const texts = [
    "text",
    "x".repeat(5000),
    noise(3000, 4)
      .toString("latin1")
      .replace(/[^ -~]/g, "?"),
  ];
  await putHandMade(openFolderStore(at("good")), "i-fuzz", {
    entries: [
      folder(""),
      file("a", texts[0]!, { xattrs: [["user.note", Buffer.from("note")]] }),
      file("b", texts[1]!),
      folder("c"),
      file("c/d", texts[2]!, { holes: [{ offset: 10, length: 5 }] }),
      link("e", "a"),
      hardLink("f", "a"),
    ],
    texts,
  });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function objects(): string[] {
  return ["parts", "manifests"].flatMap((kind) =>
    readdirSync(at(`good/i/i-fuzz/${kind}`)).map((name) => `i/i-fuzz/${kind}/${name}`),
  );
}

test("flipped, cut, longer, swapped and emptied objects", { timeout: 120_000 }, async () => {
  cpSync(at("good"), at("store"), { recursive: true });
  expect(await restoreSnapshot({ ...shared(), root: at("right") })).toMatchObject({ ok: true });
  const right = describeWorkspace(at("right"));
  let state = 12_345;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const outcomes = new Set<string>();
  const names = objects();
  for (let run = 0; run < 250; run++) {
    const name = names[run % names.length]!;
    const bytes = Uint8Array.from(readFileSync(at(`good/${name}`)));
    const way = random(6);
    const other = readFileSync(at(`good/${names[random(names.length)]}`));
    const broken =
      way === 0
        ? bytes.slice(0, random(bytes.length))
        : way === 1
          ? Buffer.concat([bytes, noise(random(50) + 1, run)])
          : way === 2
            ? other
            : bytes.map((byte, i) =>
                i === random(bytes.length) || i === (run * 7) % bytes.length ? byte ^ (1 << random(8)) : byte,
              );
    writeFileSync(at(`store/${name}`), broken);
    rmSync(at("back"), { recursive: true, force: true });
    mkdirSync(at("back"));
    const startedAt = performance.now();
    const restored = await restoreSnapshot({ ...shared(), root: at("back") });
    const verified = await verifySnapshot(shared());
    const decoded = await verifySnapshot({ ...shared(), data: true });
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    if (restored.ok) expect(describeWorkspace(at("back")), `run ${run}`).toEqual(right);
    else expect(codes, `run ${run}: ${restored.message}`).toContain(restored.code);
    if (!verified.ok) expect(codes, `run ${run}: ${verified.message}`).toContain(verified.code);
    // Either reads every byte; whatever it takes for whole, a restore must too.
    if (verified.ok) expect(restored).toMatchObject({ ok: true });
    expect(decoded).toEqual(verified.ok ? { ...verified, checked: "data" } : verified);
    if (name.includes("/parts/") && Buffer.compare(broken, bytes) !== 0) expect(verified.ok, `run ${run}`).toBe(false);
    outcomes.add(restored.ok ? "ok" : restored.code);
    writeFileSync(at(`store/${name}`), bytes);
  }
  expect([...outcomes]).toEqual(expect.arrayContaining(["ok", "snapshot_damaged", "manifest_invalid", "part_damaged"]));
});

test("a manifest whose every field is another", { timeout: 60_000 }, async () => {
  cpSync(at("good"), at("store"), { recursive: true });
  const [name] = objects().filter((object) => object.includes("manifests"));
  const manifest = JSON.parse(readFileSync(at(`good/${name}`), "utf8")) as Record<string, unknown>;
  const values = [
    null,
    0,
    -1,
    1.5,
    2 ** 53,
    "",
    "../../x",
    "0".repeat(64),
    [],
    {},
    [{ key: "0".repeat(64), bytes: 1 }],
    true,
  ];
  for (const field of Object.keys(manifest)) {
    for (const value of values) {
      writeFileSync(at(`store/${name}`), JSON.stringify({ ...manifest, [field]: value }));
      const result = await restoreSnapshot({ ...shared(), root: at("back") });
      if (!result.ok) expect(codes, `${field} = ${JSON.stringify(value)}: ${result.message}`).toContain(result.code);
    }
  }
  writeFileSync(at(`store/${name}`), "[".repeat(1_000_000));
  expect(await restoreSnapshot({ ...shared(), root: at("back") })).toMatchObject({
    ok: false,
    code: "manifest_invalid",
  });
});
