/** What reaches beyond the API: the config file, the browser, SSH, the shell's completion. With stand-ins for ssh and scp that say what they were told. */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { placeOf } from "./commands/shell.ts";
import { program, runProgram } from "./testing/program.ts";
import {
  errorAnswer,
  hibernatedView,
  instanceView,
  meAnswer,
  startTestServer,
  summary,
  type TestServer,
  testId,
} from "./testing/server.ts";

const token = "snu_kept-in-the-file-alone";
let server: TestServer;
let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-edges-"));
  mkdirSync(join(home, "bin"));
  for (const name of ["ssh", "scp"]) {
    const file = join(home, "bin", name);
    writeFileSync(file, `#!/bin/sh\nprintf '%s\\n' "${name}" "$@"\nexit 7\n`);
    chmodSync(file, 0o755);
  }
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
beforeEach(async () => {
  rmSync(join(home, ".config"), { recursive: true, force: true });
  server = await startTestServer();
  server.on("GET /api/me", { json: meAnswer("Ana") });
  server.on("GET /api/instances", { json: { instances: [summary()] } });
  server.on(`GET /api/instances/${testId}`, { json: instanceView() });
});
afterEach(() => server.close());

function soneca(args: string[], { input, env }: { input?: string; env?: Record<string, string> } = {}) {
  const own = { PATH: `${join(home, "bin")}:${process.env.PATH}`, HOME: home };
  return runProgram(args, { env: { ...own, ...env }, cwd: home, input });
}
const connected = () => ({ env: { SONECA_URL: server.url, SONECA_TOKEN: token } });
const configFile = () => join(home, ".config", "soneca", "config.json");

describe("login", () => {
  test("keeps address and token where nobody else can read them, and every later command finds them", async () => {
    const signedIn = await soneca(["login", server.url], { input: `${token}\n` });
    expect([signedIn.code, signedIn.err]).toEqual([0, ""]);
    expect(signedIn.out).toContain("as Ana");
    expect(signedIn.out + signedIn.err).not.toContain(token);
    expect(statSync(configFile()).mode & 0o777).toBe(0o600);
    const later = await soneca(["whoami"]);
    expect([later.code, later.out.includes("Ana")]).toEqual([0, true]);
    expect(server.asked.at(-1)?.authorization).toBe(`Bearer ${token}`);
    const out = await soneca(["logout"]);
    expect(out.out).toContain("still valid");
    expect(JSON.parse(readFileSync(configFile(), "utf8"))).toEqual({ url: server.url });
    expect((await soneca(["whoami"])).code).toBe(2);
  });

  test("a token that is refused is not kept, and what somebody wrote by hand is not overwritten", async () => {
    server.on("GET /api/me", errorAnswer("unauthenticated"));
    expect((await soneca(["login", server.url, "--token", "snu_wrong"])).code).toBe(5);
    expect(() => statSync(configFile())).toThrow();
    mkdirSync(join(home, ".config", "soneca"), { recursive: true });
    writeFileSync(configFile(), "not json");
    const refused = await soneca(["login", server.url, "--token", token]);
    expect([refused.code, readFileSync(configFile(), "utf8")]).toEqual([2, "not json"]);
    expect((await soneca(["login"], { input: "\n" })).code).toBe(2);
  });
});

describe("ssh and cp", () => {
  test("go to where the machine is now, with a host key of that machine, and end as they end", async () => {
    const shell = await soneca(["ssh", "train", "--", "nvidia-smi", "-L"], connected());
    expect(shell.code).toBe(7);
    expect(shell.out.trim().split("\n")).toEqual([
      ...["ssh", "-p", "4022", "-o", `HostKeyAlias=soneca-${testId}-1`, "-o", "StrictHostKeyChecking=accept-new"],
      ...["root@192.0.2.7", "nvidia-smi", "-L"],
    ]);
    const copied = await soneca(["cp", "-r", "train:/workspace/models", "./here"], connected());
    expect(copied.out.trim().split("\n")).toEqual([
      ...["scp", "-P", "4022", "-o", `HostKeyAlias=soneca-${testId}-1`, "-o", "StrictHostKeyChecking=accept-new", "-r"],
      ...["root@192.0.2.7:/workspace/models", "./here"],
    ]);
  });

  test("one that sleeps is woken only where that was said", async () => {
    server.on(`GET /api/instances/${testId}`, { json: hibernatedView() });
    const refused = await soneca(["ssh", "train"], connected());
    expect([refused.code, refused.out]).toEqual([6, ""]);
    expect(refused.err).toContain("--wake");
    server.on(`GET /api/instances/${testId}`, { json: hibernatedView() }, { json: instanceView() });
    server.on(`POST /api/instances/${testId}/wake`, {
      status: 202,
      json: instanceView({ status: "waking", state: "provisioning" }),
    });
    const woken = await soneca(["ssh", "train", "--wake"], connected());
    expect(woken.out).toContain("root@192.0.2.7");
  });

  test("one that is about to go is asked to stay with --wake; without, it is said what it is about to do", async () => {
    const leaving = instanceView({ status: "hibernating", state: "snapshotting" });
    const gone = { ...leaving, state: "destroying" as const };
    const woken = instanceView({
      epoch: 2,
      machine: { ...leaving.machine!, epoch: 2, ssh: "ssh -p 4023 root@192.0.2.8" },
    });
    const at = `GET /api/instances/${testId}`;
    // Its sleep is called off; it was too late for that, and it comes back on another machine.
    for (const [before, after, host] of [
      [leaving, instanceView(), "root@192.0.2.7"],
      [gone, woken, "root@192.0.2.8"],
    ] as const) {
      server.on(at, { json: before }, { json: before }, { json: after });
      server.on(`POST /api/instances/${testId}/wake`, { status: 202, json: before });
      const asked = server.asked.length;
      const shell = await soneca(["ssh", "train", "--wake"], connected());
      expect(shell.out).toContain(host);
      expect(server.asked.slice(asked).filter((one) => one.path.endsWith("/wake"))).toHaveLength(1);
    }
    server.on(at, { json: leaving });
    const plain = await soneca(["ssh", "train"], connected());
    expect(plain.out).toContain("root@192.0.2.7");
    expect(plain.err).toContain("its machine is about to go");
  });

  test("a path says where it lies as scp reads it; two here, or two there, are refused", async () => {
    expect([placeOf("a:b"), placeOf("./a:b"), placeOf("/x"), placeOf("i-a:")]).toEqual([
      { id: "a", path: "b" },
      { id: null, path: "./a:b" },
      { id: null, path: "/x" },
      { id: "i-a", path: "" },
    ]);
    expect((await soneca(["cp", "a", "b"], connected())).code).toBe(2);
    expect((await soneca(["cp", "train:a", "train:b"], connected())).code).toBe(2);
  });

  test("without a client it says so", async () => {
    const { env } = connected();
    const missing = await soneca(["ssh", "train"], { env: { ...env, PATH: "/nowhere" } });
    expect([missing.code, missing.err.includes("no ssh")]).toEqual([2, true]);
  });
});

test("open prints where the dashboard shows it", async () => {
  const [all, one] = await Promise.all([
    soneca(["open", "--print"], connected()),
    soneca(["open", "train", "--print", "--json"], connected()),
  ]);
  expect(all.out).toBe(`${server.url}/\n`);
  expect(JSON.parse(one.out)).toEqual({ url: `${server.url}/i/${testId}` });
});

test("rename", async () => {
  server.on(`PUT /api/instances/${testId}`, { json: instanceView({ name: "other" }) });
  const renamed = await soneca(["instance", "rename", "train", "other"], connected());
  expect(renamed.out).toBe(`${testId} is other now.\n`);
  expect(server.asked.at(-1)?.body).toEqual({ name: "other" });
});

describe("around the instances", () => {
  test("machines that nothing manages, with what to do about them", async () => {
    const machine = {
      vast_instance_id: 31337042,
      gpu_type: "RTX 4090",
      gpu_count: 1,
      region: "BR",
      micro_usd_per_hour: 400_000,
      status: "running",
      image: null,
      label: null,
      started_at: null,
    };
    server.on("GET /api/machines", { json: { machines: [machine] } });
    const some = await soneca(["machines"], connected());
    expect([some.code, some.err]).toEqual([0, ""]);
    expect(some.out).toMatch(/31337042 +.*RTX 4090 +BR .*0\.40.* running +unknown/);
    expect(some.out).toContain("soneca instance adopt 31337042");
    server.on("GET /api/machines", { json: { machines: [] } });
    expect((await soneca(["machines"], connected())).out).toContain("Every machine of the account is managed");
  });

  test("health: what is late is said, and so is a database that does not answer", async () => {
    const time = "2026-11-29T12:00:00.000Z";
    const cron = { sweep: { at: "2026-11-29T11:50:00.000Z", age_seconds: 600, is_late: true }, provider: null };
    server.on("GET /api/health", { json: { ok: true, version: "0.1.0", time, cron, clock: null } });
    const late = await soneca(["health"], connected());
    expect([late.code, late.err]).toEqual([1, ""]);
    expect(late.out).toMatch(/Overdue looked at +10 ?min.* ago, which is late/);
    expect(late.out).toMatch(/Provider's list compared +not yet/);
    const clock = { late_instances: 2, next_due_at: "2026-11-29T11:40:00.000Z", largest_skew_seconds: -95 };
    server.on("GET /api/health", { json: { ok: true, version: "0.1.0", time, cron, clock } });
    const told = (await soneca(["health"], connected())).out;
    expect(told).toMatch(/Instances late +2, past their deadline/);
    expect(told).toMatch(/Next one due +20 min ago/);
    expect(told).toMatch(/Agents' clocks +one is 1 min behind/);
    server.on("GET /api/health", { json: { ok: true, version: "0.1.0", time, cron: null, clock: null } });
    expect((await soneca(["health"], connected())).out).toMatch(/Database +does not answer/);
    const { out } = await soneca(["health", "--json"], connected());
    expect(JSON.parse(out)).toMatchObject({ cron: null });
    const well = { sweep: { at: time, age_seconds: 0, is_late: false }, provider: null };
    server.on("GET /api/health", { json: { ok: true, version: "0.1.0", time, cron: well, clock: null } });
    const { SONECA_URL } = connected().env;
    expect((await soneca(["health"], { env: { SONECA_URL } })).code).toBe(0);
  });
});

describe("completion", () => {
  const words = async (...typed: string[]) => {
    const { out, code } = await soneca(["completion", "words", "--", ...typed], connected());
    expect(code).toBe(0);
    return out.trim() === "" ? [] : out.trim().split("\n");
  };

  test("commands, options, instances, and nothing where nothing fits", async () => {
    expect(await words("inst")).toEqual(["instance"]);
    expect(await words("instance", "wa")).toEqual(["wake"]);
    expect(await words("instance", "wake", "")).toEqual(["train", testId]);
    expect(await words("instance", "wake", "tr")).toEqual(["train"]);
    expect(await words("instance", "wake", "train", "--max-p")).toEqual(["--max-price"]);
    expect(await words("instance", "wake", "train", "")).toEqual([]);
    expect(await words("nonsense", "")).toContain("instance");
  });

  test("a control plane that does not answer is no error, and takes no time", async () => {
    server.on("GET /api/instances", { fault: "hang" });
    const from = Date.now();
    expect(await words("ssh", "")).toEqual([]);
    expect(Date.now() - from).toBeLessThan(6_000);
  });

  test("bash takes its lines", async () => {
    const { out } = await soneca(["completion", "bash"], connected());
    const script = `soneca() { "${process.execPath}" "${program}" "$@"; }\n${out}\nCOMP_WORDS=(soneca instance wa); COMP_CWORD=2; _soneca; echo "$COMPREPLY"`;
    const child = spawn("bash", ["-c", script], { env: { ...connected().env, HOME: home, PATH: process.env.PATH } });
    let said = "";
    child.stdout.on("data", (chunk) => (said += chunk));
    await new Promise((resolve) => child.on("close", resolve));
    expect(said.trim()).toBe("wake");
    for (const shell of ["zsh", "fish"])
      expect((await soneca(["completion", shell], connected())).out).toContain("soneca completion words");
  });
});
