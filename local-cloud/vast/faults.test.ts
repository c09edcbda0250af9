import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FAULTS, type FaultName, kindOf } from "./faults.ts";

/** A fault's row in docs/LOCAL-CLOUD.md. */
function describeFault(name: FaultName): string {
  const { does, at, variants, ms, amount } = kindOf(name);
  const options = [
    ...(variants ? [variants.map((variant) => `\`${variant}\``).join(" ")] : []),
    ...(ms === undefined ? [] : [`\`ms\` ${ms}`]),
    ...(amount ? [`\`amount\` ${amount.default}: ${amount.means}`] : []),
  ];
  return `| \`${name}\` | ${at.join(", ")} | ${does} | ${options.join("; ")} |`;
}

it("the table in docs/LOCAL-CLOUD.md is the one in the code", () => {
  const text = readFileSync(join(import.meta.dirname, "..", "..", "docs", "LOCAL-CLOUD.md"), "utf8");
  const table = text.slice(text.indexOf("| fault | at |")).split("\n\n")[0]!;
  const rows = table.split("\n").slice(2);
  expect(rows).toEqual((Object.keys(FAULTS) as FaultName[]).map(describeFault));
});

it("every fault is shown over HTTP by one of the tests beside it", () => {
  const tests = ["calls", "market", "lists", "machines"].map((name) =>
    readFileSync(join(import.meta.dirname, `faults-${name}.test.ts`), "utf8"),
  );
  const missing = Object.keys(FAULTS).filter((name) => !tests.some((text) => text.includes(`"${name}"`)));
  expect(missing).toEqual([]);
  const shapes = (Object.keys(FAULTS) as FaultName[]).flatMap((name) => kindOf(name).variants ?? []);
  expect(shapes.filter((shape) => !tests.some((text) => text.includes(`"${shape}"`)))).toEqual([]);
});
