import { describe, expect, test } from "vitest";
import { Families, versionsOf } from "./siblings.ts";

const siblingsIn = (paths: string[], path: string, size = 1000): string[] => {
  const families = new Families();
  for (const other of paths) families.add(other, size);
  return [...families.siblingsOf(path, size)].map((sibling) => sibling.path);
};
const bytesOf = (text: string) => Buffer.from(text).toString("latin1");

describe("siblings by name", () => {
  test.each([
    ["checkpoint-1200/model.safetensors", "checkpoint-1100/model.safetensors"],
    ["checkpoint-1200/model.safetensors", "checkpoint-900/model.safetensors"],
    ["model-0001200.bin", "model-0001100.bin"],
    ["model-0001200.bin", "model-900.bin"],
    ["step_1200.pt", "step_1100.pt"],
    ["runs/a/iter_0002000/mp_rank_00/model_optim_rng.pt", "runs/a/iter_0001000/mp_rank_00/model_optim_rng.pt"],
    ["c-500/global_step500/rank_0.pt", "c-400/global_step400/rank_0.pt"],
    ["epoch=3-step=1200.ckpt", "epoch=2-step=800.ckpt"],
    ["c-2/model-00001-of-00004.safetensors", "c-1/model-00001-of-00004.safetensors"],
    [bytesOf("modèle-2/ação №7.bin"), bytesOf("modèle-1/ação №7.bin")],
    [bytesOf("权重-20.bin"), bytesOf("权重-10.bin")],
    ["\xff\xfe-2.bin", "\xff\xfe-1.bin"],
    ["a#2.bin", "a#1.bin"],
    ["v1/2/3.bin", "v1/2/4.bin"],
    ["ckpt_000000000000002.bin", "ckpt_000000000000001.bin"],
    ["7", "6"],
  ])("%s beside %s", (path, other) => {
    expect(siblingsIn([path, other], path)).toEqual([other]);
    expect(siblingsIn([path, other], other)).toEqual([path]);
  });

  test.each([
    ["checkpoint-1200/model.safetensors", "checkpoint-1200/optimizer.safetensors"],
    ["checkpoint-1200/model.safetensors", "checkpoint-1100/model.safetensors.bak"],
    ["checkpoint-1200/a/model.safetensors", "checkpoint-1100/b/model.safetensors"],
    ["checkpoint-1200/model.safetensors", "checkpoint-best/model.safetensors"],
    ["model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors"],
    ["model_1of4.bin", "model_2of4.bin"],
    ["model.bin", "model.bin"],
    ["model.bin", "model2.bin"],
    ["c-500/global_step500/x.pt", "c-400/global_step300/x.pt"],
    ["1234567890123456789.bin", "1234567890123456788.bin"],
    ["a#1.bin", "a11.bin"],
  ])("%s not beside %s", (path, other) => {
    expect(siblingsIn([path, other], path)).toEqual([]);
  });

  test("the nearest number comes first, the later of two that are as near, folders before names", () => {
    const steps = [100, 900, 1000, 1050, 1100, 1200, 20_000].map((n) => `checkpoint-${n}/m-3.bin`);
    expect(siblingsIn([...steps, "checkpoint-1100/m-4.bin"], "checkpoint-1100/m-3.bin")).toEqual([
      "checkpoint-1050/m-3.bin",
      "checkpoint-1200/m-3.bin",
      "checkpoint-1000/m-3.bin",
      "checkpoint-900/m-3.bin",
      "checkpoint-100/m-3.bin",
      "checkpoint-20000/m-3.bin",
      "checkpoint-1100/m-4.bin",
    ]);
  });

  test("the nearest folder comes before those above it", () => {
    const versions = versionsOf("run-7/checkpoint-10/model.bin");
    expect(versions.map((version) => version.family)).toEqual([
      "run-7/checkpoint-#/model.bin",
      "run-#/checkpoint-10/model.bin",
    ]);
    expect(versions.map((version) => version.number)).toEqual([10, 7]);
  });

  test("sizes differ by at most one per cent", () => {
    const families = new Families();
    for (const [n, size] of [990, 989, 1010, 1011].entries()) families.add(`m-${n}`, size);
    expect([...families.siblingsOf("m-9", 1000)].map((sibling) => sibling.size)).toEqual([1010, 990]);
  });

  test("names full of numbers cost little", () => {
    const path = `${Array.from({ length: 200 }, (_, n) => `d${n}`).join("/")}/m.bin`;
    expect(versionsOf(path).map((version) => version.number)).toEqual([199, 198, 197, 196, 195, 194]);
    expect(versionsOf("1of".repeat(80))).toEqual([]);
  });
});
