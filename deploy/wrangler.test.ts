/** How a run of wrangler ends, and what is said of it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { createWrangler, runWrangler, type Wrangler } from "./wrangler.ts";

const base = mkdtempSync(join(tmpdir(), "soneca-wrangler-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

function programOf(source: string): string {
  const file = join(base, `${Math.random()}.mjs`);
  writeFileSync(file, source);
  return file;
}

/** Answers one after another; the last one from then on. */
function answering(...outputs: [code: number, output: string][]): Wrangler & { runs: number } {
  const wrangler = {
    runs: 0,
    run: async () => {
      const [code, output] = outputs[Math.min(wrangler.runs++, outputs.length - 1)] ?? [0, ""];
      return { code, output };
    },
  };
  return wrangler;
}
const call = { permission: "Account · D1 · Edit" };

it("gives what it is to keep to itself by standard input, with its log switched off", async () => {
  const source = `process.stdin.on("data", (text) => console.log(String(text), process.argv[2], process.env.WRANGLER_WRITE_LOGS, process.env.MORE));`;
  const wrangler = createWrangler({ MORE: "more" }, { program: programOf(source) });
  const { code, output } = await wrangler.run(["word"], { input: "secret", cwd: join(base, "made") });
  expect([code, output.trim()]).toEqual([0, "secret word false more"]);
});

it("ends one that hangs, and says so", async () => {
  const wrangler = createWrangler({}, { program: programOf("setInterval(() => {}, 1000);"), timeout: 300 });
  await expect(runWrangler(wrangler, ["deploy"], call)).rejects.toThrow("it took too long");
});

it("says what it says of errors, in one line, and which permission is missing", async () => {
  const output = `up\n✘ [ERROR] A request to the Cloudflare API (/x) failed.\n\n  Authentication error [code: 10000]\n\n  If you think this is a bug, open an issue`;
  await expect(runWrangler(answering([1, output]), ["d1", "create", "x"], call)).rejects.toMatchObject({
    code: "permission_missing",
    message: "A request to the Cloudflare API (/x) failed. Authentication error [code: 10000]",
    hint: expect.stringContaining("Account · D1 · Edit"),
  });
  await expect(runWrangler(answering([1, "✘ [ERROR] Something else"]), ["deploy"], call)).rejects.toMatchObject({
    code: "wrangler",
    message: "wrangler deploy: Something else",
  });
});

it("tries once more where the network failed it, unless it is done already", async () => {
  const lost: [number, string] = [1, "✘ [ERROR] fetch failed"];
  const twice = answering(lost, [0, "made"]);
  expect(await runWrangler(twice, ["deploy"], call)).toBe("made");
  const done = answering(lost);
  await runWrangler(done, ["d1", "create", "x"], { ...call, isDone: async () => true });
  expect([twice.runs, done.runs]).toEqual([2, 1]);
  const never = answering(lost);
  await expect(runWrangler(never, ["deploy"], call)).rejects.toMatchObject({ code: "wrangler" });
  expect(never.runs).toBe(2);
});
