import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compileKernels } from "./build-kernels.ts";

test("the committed kernels are those of the sources", { timeout: 120_000 }, () => {
  const committed = readFileSync(new URL("../core/snapshot/kernels/wasm.ts", import.meta.url), "utf8");
  expect(compileKernels() === committed, "run: node tools/build-kernels.ts").toBe(true);
});
