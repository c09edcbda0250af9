import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listFiles, workForADay } from "./day.ts";
import { type Checkpoint, loadCheckpoints, type MlpConfig, train } from "./mlp.ts";
import { installPackages } from "./packages.ts";
import { sizes } from "./sizes.ts";
import { syntheticSources } from "./sources.ts";
import { bf16OfFp16, bf16OfFp32, onnxExtents, toBf16 } from "./weights.ts";
import { type Inputs, type Kind, kinds, writeWorkspace } from "./workspace.ts";

const scratch = mkdtempSync(join(tmpdir(), "soneca-bench-data-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const contents = (root: string) =>
  listFiles(root).map((path) => [
    path.slice(root.length + 1),
    createHash("sha256").update(readFileSync(path)).digest("hex"),
  ]);

async function collect(config: MlpConfig): Promise<Checkpoint[]> {
  const found: Checkpoint[] = [];
  for await (const checkpoint of train(config)) found.push(checkpoint);
  return found;
}

describe("the workspace", () => {
  let inputs: Inputs;
  beforeAll(async () => {
    const size = sizes.tiny;
    const checkpoints = await loadCheckpoints(scratch, size.mlp);
    inputs = { size, sources: syntheticSources(), checkpoints, cacheDir: scratch };
  });
  test("is the same each time, before and after a day's work; every file is of a kind or a checkpoint's", () => {
    const roots = ["a", "b"].map((name) => join(scratch, name));
    const totals = roots.map((root) => writeWorkspace(root, inputs));
    const [first, second] = roots.map(contents);
    expect(first).toEqual(second);
    expect(totals[0]).toEqual(totals[1]);
    expect(first!.length).toBe(totals[0]!.files);
    const paths = first!.map(([path]) => path!);
    for (const kind of Object.keys(kinds) as Kind[])
      expect(
        paths.some((path) => kinds[kind].test(path)),
        kind,
      ).toBe(true);
    expect(paths.filter((path) => kinds.code.test(path)).length).toBe(inputs.size.codeFiles);
    const days = roots.map((root) => workForADay(root, inputs));
    expect(days[0]).toEqual(days[1]);
    const [after, afterB] = roots.map(contents);
    expect(after).toEqual(afterB);
    const before = new Set(first!.map(([, hash]) => hash));
    // Of the new contents, 4 are a checkpoint's, 3 logs, 1 the database, 10 pictures, 1 source file, 1 a changed byte.
    expect(after!.filter(([, hash]) => !before.has(hash)).length).toBe(20);
    expect(after!.filter(([path]) => path!.includes("-renamed/")).length).toBeGreaterThan(0);
  });
});

describe("weights", () => {
  test("FP32 and FP16 are rounded to the nearest BF16, ties to even", () => {
    const bits = (values: number[]) => {
      const bytes = bf16OfFp32(Float32Array.from(values));
      return values.map((_, i) => bytes.readUInt16LE(2 * i));
    };
    expect(bits([1, -2, 0, 1 + 2 ** -8, 1 + 3 * 2 ** -8])).toEqual([0x3f80, 0xc000, 0, 0x3f80, 0x3f82]);
    expect([0x3c00, 0xc000, 0x0001, 0x7c00, 0x8000].map(bf16OfFp16)).toEqual([0x3f80, 0xc000, 0x3380, 0x7f80, 0x8000]);
    const file = {
      name: "x",
      dtype: "fp16" as const,
      load: () => Buffer.from([9, 0x00, 0x3c, 9]),
      extents: [{ offset: 1, bytes: 2 }],
    };
    expect([...toBf16(file)]).toEqual([0x80, 0x3f]);
  });
  test("tensors of a type are found in an ONNX file", () => {
    const field = (number: number, body: number[]) => [number * 8 + 2, body.length, ...body];
    const tensor = (type: number, data: number[]) => field(5, [2 * 8, type, ...field(9, data)]);
    const file = Buffer.from([8, 7, ...field(7, [...tensor(10, [1, 2, 3, 4]), ...tensor(1, [5, 6, 7, 8])])]);
    expect(onnxExtents(file, "fp16").map(({ offset, bytes }) => [...file.subarray(offset, offset + bytes)])).toEqual([
      [1, 2, 3, 4],
    ]);
    expect(() => onnxExtents(Buffer.from([0x0b]), "fp16")).toThrow("not a protobuf");
  });
  test("training is deterministic, moves the weights, and fills both moments", async () => {
    const all = () => collect(sizes.tiny.mlp);
    const [first, again] = [await all(), await all()];
    expect(first).toEqual(again);
    expect(first.map(({ step }) => step)).toEqual(sizes.tiny.mlp.steps);
    expect(first[0]!.weights).not.toEqual(first[1]!.weights);
    expect(first[2]!.adamV.some((v) => v > 0)).toBe(true);
  });
  test("steps at the small rate move the weights far less than steps at the great one", async () => {
    const [a, b, c, d] = await collect({ layers: [8, 32, 4], batch: 8, steps: [90, 100, 101, 111], coolStep: 101 });
    const moved = (from: Checkpoint, to: Checkpoint) => Math.hypot(...to.weights.map((w, i) => w - from.weights[i]!));
    expect(moved(c!, d!)).toBeGreaterThan(0);
    expect(moved(c!, d!)).toBeLessThan(moved(a!, b!) / 10);
  });
});

describe("packages", () => {
  test("an install that fails says why and leaves nothing", async () => {
    const cache = mkdtempSync(join(scratch, "cache-"));
    const absent = await installPackages(cache, { npm: "/nowhere/npm" });
    expect(absent).toMatchObject({ ok: false, why: expect.stringContaining("/nowhere/npm") });
    const failing = await installPackages(cache, { npm: "false" });
    expect(failing).toMatchObject({ ok: false, why: expect.stringContaining("exit 1") });
    expect(readdirSync(cache)).toEqual([]);
    expect(statSync(cache).isDirectory()).toBe(true);
  });
});
