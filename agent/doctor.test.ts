/** Each thing that can be wrong is named, with what to do. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Check, DoctorOptions } from "./checks/check.ts";
import { checkAgents, checkDisk, checkHome, checkUpdate, checkWorkspace } from "./checks/home.ts";
import { checkGpus, checkNode, checkSeal, checkUser } from "./checks/machine.ts";
import { checkAdmission, checkControlPlane, checkRoots, checkSettings } from "./checks/network.ts";
import { runDoctor } from "./doctor.ts";
import type { Env } from "./identity.ts";

const now = Date.parse("2026-11-29T12:00:00Z");
const claims = { instance: "i-abcdefghij", epoch: 2, iat: now / 1000 - 60, exp: now / 1000 + 600 };
const token = `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
let folder: string;
let home: string;
let env: Env;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-doctor-"));
  home = join(folder, "home");
  for (const name of ["home", "workspace", "bin", "proc"]) mkdirSync(join(folder, name));
  env = {
    PATH: `${join(folder, "bin")}:${process.env.PATH}`,
    HOME: folder,
    SONECA_URL: "https://soneca.test",
    SONECA_TOKEN: token,
    SONECA_HOME: home,
    SONECA_WORKSPACE: join(folder, "workspace"),
  };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const options = (more: Partial<DoctorOptions> = {}): DoctorOptions => ({
  env,
  hasNative: true,
  now: () => now,
  ...more,
});
const bad = (found: string, advice = "") =>
  expect.objectContaining({
    ok: false,
    found: expect.stringContaining(found),
    advice: expect.stringContaining(advice),
  });
const answers = (response: () => Response) => ({ fetch: (async () => response()) as typeof fetch });
const fails = (code: string) => ({
  fetch: (async () => {
    throw new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
  }) as typeof fetch,
});
const smi = (text: string) => writeFileSync(join(folder, "bin/nvidia-smi"), text, { mode: 0o755 });

describe("the machine", () => {
  it("an old node", () => {
    expect(checkNode(options({ nodeVersion: "18.20.4" }))).toEqual(bad("18.20.4", "Install Node 22"));
    expect(checkNode(options()).ok).toBe(true);
  });

  it("no root", () => {
    expect(checkUser(options({ uid: 1000 }))).toEqual(bad("user 1000, not root", "as root"));
    expect(checkUser(options({ uid: 0 })).ok).toBe(true);
  });

  it("nvidia-smi that is missing, hangs or fails", async () => {
    const only = { env: { ...env, PATH: join(folder, "bin") } };
    expect(await checkGpus(options(only))).toEqual(bad("nvidia-smi is not installed", "start this one with its GPUs"));
    smi("#!/bin/sh\nexec /bin/sleep 60\n");
    expect(await checkGpus(options({ smiTimeoutMs: 100 }))).toEqual(
      bad("no answer within", "wakes on another machine"),
    );
    smi("#!/bin/sh\necho 'Driver/library version mismatch' >&2; exit 18\n");
    expect(await checkGpus(options())).toEqual(bad("code 18: Driver/library version mismatch", "counts as busy"));
    smi('#!/bin/sh\necho "0, GPU-1, NVIDIA GeForce RTX 4090, 7, 3, 24564"\n');
    expect(await checkGpus(options())).toMatchObject({ ok: true, found: "0 NVIDIA GeForce RTX 4090 7 %" });
    expect(await checkGpus(options({ env: { ...env, GPU_COUNT: "2" } }))).toEqual(bad("1 not listed"));
  });

  it("no /proc, and one that hides what others do", async () => {
    expect(await checkSeal(options({ proc: join(folder, "proc") }))).toEqual(bad("is not mounted", "mount -t proc"));
    for (const pid of ["self", "41", "42"]) mkdirSync(join(folder, "proc", pid));
    writeFileSync(join(folder, "proc/self/stat"), "");
    writeFileSync(join(folder, "proc/42/stat"), `42 (secret) S 1 42 42 0 -1 4194560 ${"0 ".repeat(20)}`);
    const hidden = await checkSeal(options({ proc: join(folder, "proc") }));
    expect(hidden).toEqual(bad("1 processes may not be looked into", "hidepid"));
    expect(hidden.essential).toBe(false);
    expect((await checkSeal(options())).found).toContain('scope "');
  });

  it("a process that may not be stopped", async () => {
    // As where a seccomp profile does not let a process be made or signalled.
    const { PATH } = process.env;
    process.env.PATH = join(folder, "bin");
    try {
      expect(await checkSeal(options())).toEqual(bad("a process cannot be stopped", "seccomp"));
    } finally {
      process.env.PATH = PATH;
    }
  });
});

describe("the disk", () => {
  it("no workspace, and a file in its place", () => {
    rmSync(join(folder, "workspace"), { recursive: true });
    expect(checkWorkspace(options())).toEqual(bad("ENOENT", "SONECA_WORKSPACE"));
    writeFileSync(join(folder, "workspace"), "");
    expect(checkWorkspace(options())).toEqual(bad("is no folder"));
  });

  it("a home that cannot be written, or lies in the workspace", () => {
    writeFileSync(join(folder, "file"), "");
    expect(checkHome(options({ env: { ...env, SONECA_HOME: join(folder, "file/home") } }))).toEqual(bad("read-only"));
    const inside = join(folder, "workspace/home");
    expect(checkHome(options({ env: { ...env, SONECA_HOME: inside } }))).toEqual(bad("inside the workspace"));
  });

  it("a full disk", () => {
    const freeBytes = (path: string) => (path === home ? 5 * 1024 * 1024 : 1e12);
    expect(checkDisk(options({ freeBytes }))).toEqual(bad(`5 MB free at ${home}`, "free some"));
    expect(checkDisk(options({ freeBytes: () => 1e12 })).ok).toBe(true);
  });

  it("no agent, and a second one of the same workspace", async () => {
    expect(checkAgents(options())).toEqual(bad("does not run, nothing would start it again", "install line"));
    writeFileSync(join(home, "start.sh"), "");
    expect(checkAgents(options()).advice).toBe(`Run: sh ${join(home, "start.sh")}`);
    const program = join(folder, "soneca-agent.mjs");
    writeFileSync(program, "console.log(1); setInterval(() => {}, 1000)");
    const other = spawn(process.execPath, [program, "run"], { env, stdio: ["ignore", "pipe", "inherit"] });
    try {
      await new Promise((done) => other.stdout.once("data", done));
      expect(checkAgents(options())).toEqual(bad(`another one runs as process ${other.pid}`, "end the one"));
    } finally {
      other.kill("SIGKILL");
    }
  });

  it("a new agent on trial, and one that did not work", () => {
    expect(checkUpdate(options()).ok).toBe(true);
    writeFileSync(join(home, "bad-builds"), `${"a".repeat(64)}\n`);
    writeFileSync(join(home, "rolled-back"), `${"a".repeat(64)} did not report within 300 s\n`);
    expect(checkUpdate(options())).toEqual(bad("aaaaaaaaaaaa (the last: did not report within 300 s)", "bad-builds"));
    writeFileSync(join(home, "trial"), `${"b".repeat(64)}\n`);
    writeFileSync(join(home, "trial.starts"), "2\n");
    expect(checkUpdate(options())).toEqual(bad("build bbbbbbbbbbbb is on trial, start 2 of 3", "comes back by itself"));
  });
});

describe("the way to the control plane", () => {
  it.each([
    ["ENOTFOUND", "is not found"],
    ["EAI_AGAIN", "/etc/resolv.conf"],
    ["ENETUNREACH", "no way to that address"],
    ["ECONNREFUSED", "Nothing listens at soneca.test"],
    ["CERT_NOT_YET_VALID", "clock"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"],
    ["UND_ERR_CONNECT_TIMEOUT", "firewall"],
  ])("%s", async (code, advice) => {
    const [check] = await checkControlPlane(options(fails(code)));
    expect(check).toEqual(bad(code, advice));
  });

  it("no address, and a server that fails", async () => {
    expect(await checkControlPlane(options({ env: { ...env, SONECA_URL: "" } }))).toEqual([
      bad("SONECA_URL is not set"),
    ]);
    const [check] = await checkControlPlane(options(answers(() => new Response("", { status: 502 }))));
    expect(check).toEqual(bad("answered 502"));
  });

  it("a clock that is ahead or behind", async () => {
    const at = (ms: number) => answers(() => new Response("", { headers: { date: new Date(now + ms).toUTCString() } }));
    const clock = async (ms: number) => (await checkControlPlane(options(at(ms))))[1];
    expect(await clock(0)).toMatchObject({ ok: true, found: "agrees with the control plane" });
    expect(await clock(-300_000)).toEqual(bad("300 s ahead of", "certificates"));
    expect(await clock(300_000)).toEqual(bad("300 s behind"));
  });

  it("a token that is missing, has expired, or is of a machine that was replaced", async () => {
    expect(checkSettings(options({ now: () => now + 3_600_000 }))).toEqual(bad("valid until 2026-11-29T12:10:00.000Z"));
    expect(checkSettings(options({ env: { ...env, SONECA_TOKEN: "" } }))).toEqual(bad("SONECA_INSTANCE is missing"));
    const refused = async (status: number, code: string) =>
      (await checkAdmission(options(answers(() => Response.json({ error: { code, message: "No." } }, { status })))))[0];
    expect(await refused(401, "token_expired")).toEqual(bad("token_expired: No.", "soneca instance adopt"));
    expect(await refused(403, "epoch_fenced")).toEqual(bad("epoch_fenced", "Another machine owns the workspace"));
    expect(await refused(500, "internal")).toEqual(bad("internal", "Ask whoever"));
    expect((await checkAdmission(options(answers(() => Response.json({ objects: [] })))))[0]).toMatchObject({
      ok: true,
    });
    expect(await checkAdmission(options(fails("ENOTFOUND")))).toEqual([]);
  });

  it("no roots of TLS", () => {
    const none = checkRoots(options({ rootCertificates: [join(folder, "none")] }));
    expect(none).toEqual(bad("none but Node's own", "Install ca-certificates"));
    writeFileSync(join(folder, "roots"), "");
    expect(checkRoots(options({ rootCertificates: [join(folder, "roots")] })).ok).toBe(true);
  });
});

it("ends with 1 where something essential is wrong, and says all of it as JSON too", async () => {
  smi('#!/bin/sh\necho "0, GPU-1, NVIDIA GeForce RTX 4090, 7, 3, 24564"\n');
  let out = "";
  const write = (text: string) => {
    out += text;
  };
  expect(await runDoctor({ ...options(fails("ENOTFOUND")), json: false, write })).toBe(1);
  expect(out).toContain(
    "BAD   control plane: https://soneca.test: fetch failed: ENOTFOUND\n      -> The name soneca.test is not found",
  );
  out = "";
  expect(await runDoctor({ ...options(answers(() => Response.json({}))), json: true, write })).toBe(0);
  const { ok, checks } = JSON.parse(out) as { ok: boolean; checks: Check[] };
  expect(ok).toBe(true);
  expect(checks.map((check) => check.name)).toContain("admission");
});
