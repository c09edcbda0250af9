/**
 * What the documents tell their reader to type: every command exists with its options, and what can be done without an account is
 * done, in the order in which it is written.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CloudflareApi } from "../deploy/testing/cloudflare-api.ts";
import { startTestCloud, type TestCloud } from "./testing/cloud.ts";
import { commandsOf, type DocumentCommand, root, splitWords } from "./testing/documents.ts";
import { complaintOf } from "./testing/known-commands.ts";

const files = ["README.md", "README.pt-BR.md", "docs/QUICKSTART.md", "docs/OPERATIONS.md"];
const all = files.flatMap(commandsOf);

it("finds them", () => {
  for (const file of files) expect(all.filter((one) => one.file === file).length, file).toBeGreaterThan(3);
});

it.each(all.map((one) => [`${one.file}:${one.line} ${one.text}`, one.words] as const))("%s", (_, words) => {
  expect(complaintOf([...words])).toBeNull();
});

it("knows what does not exist", () => {
  for (const text of [
    "npm run dploy",
    "npm run deploy -- --dry",
    "npm run local -- explode",
    "npm run soneca -- instance hybernate ID",
    "soneca instance wake ID --gpus 2",
    "soneca-agent levitate ./work",
    "npx wrangler d1 explode",
    "npx wrangler tail --nope",
    "export SONECA_TOKEM=x",
    "frobnicate",
  ]) {
    expect(complaintOf(splitWords(text)), text).not.toBeNull();
  }
});

describe("on one's own machine", () => {
  let test: TestCloud;
  let api: CloudflareApi;
  beforeAll(async () => {
    api = await CloudflareApi.start();
    test = await startTestCloud();
  });
  afterAll(async () => {
    await api?.stop();
    await test?.end();
  });

  /** Runs a command of the repository as `npm run` would, with the names of a document filled in. */
  function run({ words }: DocumentCommand, more: string[] = []): Promise<{ code: number | null; output: string }> {
    const script = words[words.indexOf("run") + 1] ?? "";
    const args = words[0] === "soneca" ? words.slice(1) : words.slice(words.indexOf("--") + 1);
    const name = words[0] === "soneca" ? "soneca" : script;
    const built = join(root, "dist/soneca.mjs");
    const programs: Record<string, string> = {
      soneca: existsSync(built) ? built : join(root, "cli/main.ts"),
      local: join(root, "local-cloud/local.ts"),
      deploy: join(root, "deploy/main.ts"),
      undeploy: join(root, "deploy/undeploy-main.ts"),
      smoke: join(root, "deploy/smoke/main.ts"),
    };
    const filled = args.map((word) =>
      word === "ID" ? "nest" : word.startsWith("https://soneca.") ? test.cloud.url : word,
    );
    const { cloud } = test;
    const env = {
      ...process.env,
      ...{ SONECA_URL: cloud.url, SONECA_TOKEN: cloud.apiToken, SONECA_ADMIN_TOKEN: cloud.adminToken },
      ...{ VAST_URL: cloud.vastUrl, VAST_API_KEY: cloud.vastApiKey, NO_COLOR: "1" },
      ...{ CLOUDFLARE_API_BASE_URL: api.url, CLOUDFLARE_API_TOKEN: api.account.token, CLOUDFLARE_ACCOUNT_ID: "" },
    };
    const argv = ["--no-warnings", programs[name] ?? name, ...filled, ...more];
    return new Promise((done) => {
      const child = spawn(process.execPath, argv, { env, cwd: test.base });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (output += chunk));
      child.on("close", (code) => done({ code, output: `${filled.join(" ")}\n${output}` }));
      child.stdin.end();
    });
  }

  async function mustSucceed(command: DocumentCommand, more: string[] = []): Promise<string> {
    const { code, output } = await run(command, more);
    expect(code, output).toBe(0);
    return output;
  }

  it("QUICKSTART, from a machine to its sleep and back", async () => {
    const account = all.find((one) => one.file === "docs/QUICKSTART.md" && one.text === "npx wrangler login");
    const steps = all.filter(
      (one) => one.file === "docs/QUICKSTART.md" && one.line < (account?.line ?? 0) && /^npm run /.test(one.text),
    );
    expect(steps.map((one) => one.text.split(" ")[5])).toEqual(expect.arrayContaining(["create", "hibernate", "wake"]));
    for (const step of steps) await mustSucceed(step);
    const [{ status } = { status: "none" }] = (
      await test.cloud.api<{ instances: { status: string }[] }>("GET", "/api/instances")
    ).body.instances;
    expect(["running", "idle"]).toContain(status);
  });

  it("README's commands that only look", async () => {
    const looks =
      /^soneca (instance (list|show|snapshots ID$|series|cost)|savings|offers|machines|health|estimate)\b(?!.*--(follow|proof))/;
    const commands = all.filter((one) => one.file === "README.md" && one.isInBlock && looks.test(one.text));
    expect(commands.length).toBeGreaterThan(8);
    await test.cloud.runCron(["* * * * *", "*/5 * * * *"]);
    await Promise.all(commands.map((one) => mustSucceed(one)));
  });

  it("a dry run of a deployment and of its end, against the stand-in for Cloudflare's API", async () => {
    const dry = all.filter((one) => /^npm run (un)?deploy -- --dry-run$/.test(one.text));
    expect(new Set(dry.map((one) => one.text)).size).toBe(2);
    for (const text of new Set(dry.map((one) => one.text))) {
      const output = await mustSucceed(dry.find((one) => one.text === text)!);
      expect(output).toMatch(/would do|Nothing of/);
    }
    expect(api.changes).toEqual([]);
  });

  it("the smoke test passes, and says of each check that it leaves out why", async () => {
    await test.cloud.runCron(["* * * * *", "*/5 * * * *"]);
    const smoke = all.find((one) => one.file === "docs/QUICKSTART.md" && one.text.startsWith("npm run smoke"));
    const output = await mustSucceed(smoke!, ["--json"]);
    const lines = output.split("\n").filter((line) => line.startsWith("{"));
    const checks = lines.map(
      (line) => JSON.parse(line) as { event: string; name: string; outcome: string; detail: string },
    );
    const end = checks.at(-1) as unknown as { passed: number; failed: number };
    expect(end).toMatchObject({ failed: 0, event: "end" });
    expect(end.passed).toBeGreaterThanOrEqual(16);
    for (const { outcome, detail, name } of checks.slice(0, -1)) {
      if (outcome === "skipped") expect(detail, name).not.toBe("");
    }
  });
});
