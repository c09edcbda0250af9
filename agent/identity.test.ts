import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Env, readClaims, readSettings, takeLock } from "./identity.ts";

const instance = "i-abcdefghij";
let folder: string;
let env: Env;

const jwt = (claims: object) => `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
const token = (iat: number, more: object = {}) => jwt({ instance, epoch: 3, iat, exp: iat + 1000, ...more });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-id-"));
  env = {
    SONECA_URL: "http://127.0.0.1:1/",
    SONECA_TOKEN: token(100),
    SONECA_HOME: join(folder, "home"),
    SONECA_WORKSPACE: join(folder, "workspace"),
    HOME: folder,
  };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const read = () => {
  const outcome = readSettings(env);
  if (!outcome.ok) throw new Error(outcome.message);
  return outcome;
};
const refusal = () => {
  const outcome = readSettings(env);
  return outcome.ok ? null : outcome.message;
};

describe("readSettings", () => {
  it("takes instance and epoch from the token where the environment has none", () => {
    expect(read().settings).toMatchObject({
      url: "http://127.0.0.1:1",
      instance,
      epoch: 3,
      home: join(folder, "home"),
    });
    env.SONECA_TOKEN = "opaque";
    expect(refusal()).toContain("SONECA_INSTANCE");
    env.SONECA_INSTANCE = instance;
    expect(refusal()).toContain("SONECA_EPOCH");
    env.SONECA_EPOCH = "4";
    expect(read().settings).toMatchObject({ epoch: 4 });
    expect(read().tokens.current()).toBe("opaque");
  });

  it("the workspace is DATA_DIRECTORY where nothing else is named", () => {
    env.DATA_DIRECTORY = join(folder, "data");
    expect(read().settings.workspace).toBe(join(folder, "workspace"));
    env.SONECA_WORKSPACE = "";
    expect(read().settings.workspace).toBe(join(folder, "data"));
    expect(existsSync(join(folder, "data"))).toBe(true);
  });

  it("refuses a home inside the workspace, also by way of a link", () => {
    env.SONECA_HOME = join(folder, "workspace", ".soneca");
    expect(refusal()).toContain("inside the workspace");
    env.SONECA_HOME = join(folder, "workspace");
    expect(refusal()).toContain("inside the workspace");
    mkdirSync(join(folder, "workspace", "real"), { recursive: true });
    symlinkSync(join(folder, "workspace", "real"), join(folder, "link"));
    env.SONECA_HOME = join(folder, "link");
    expect(refusal()).toContain("inside the workspace");
    env.SONECA_HOME = join(folder, "workspace-2");
    expect(refusal()).toBeNull();
  });

  it.each([undefined, "", "nonsense", "ftp://x"])("refuses %j as the address", (url) => {
    env.SONECA_URL = url;
    expect(refusal()).toContain("SONECA_URL");
  });

  it("the newer token of the same instance and epoch wins", () => {
    mkdirSync(join(folder, "home"));
    const save = (text: string) => writeFileSync(join(folder, "home", "token"), text);
    save(token(200));
    expect(read().tokens.current()).toBe(token(200));
    save(token(50));
    expect(read().tokens.current()).toBe(token(100));
    for (const other of [token(900, { epoch: 2 }), token(900, { instance: "i-bbbbbbbbbb" }), "garbage"]) {
      save(other);
      expect(read().tokens.current()).toBe(token(100));
    }
    save(token(200));
    delete env.SONECA_TOKEN;
    expect(read().tokens.current()).toBe(token(200));
    save("garbage");
    expect(refusal()).toContain("SONECA_INSTANCE");
  });

  it("a renewed token is saved for its owner alone, and an older or strange one is not taken", () => {
    const { tokens } = read();
    expect(tokens.renew(token(50))).toBe(false);
    expect(tokens.renew(token(300, { epoch: 9 }))).toBe(false);
    expect(tokens.renew(token(300))).toBe(true);
    expect(tokens.current()).toBe(token(300));
    const file = join(folder, "home", "token");
    expect(readFileSync(file, "utf8").trim()).toBe(token(300));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(read().tokens.current()).toBe(token(300));
  });

  it("reads claims without a promise that they are true", () => {
    expect(readClaims(jwt({ sub: instance, epoch: 2, iat: 5, exp: 7 }))).toEqual({
      instance,
      epoch: 2,
      issuedAt: 5000,
      expiresAt: 7000,
    });
    for (const text of ["", "a", "a.b.c", "a.bnVsbA.c"]) expect(readClaims(text)).toBeNull();
  });
});

describe("takeLock", () => {
  const inOther = (home: string) =>
    spawn(process.execPath, [
      "--input-type=module-typescript",
      "-e",
      `
      import { takeLock } from "${import.meta.dirname}/identity.ts";
      console.log(JSON.stringify(await takeLock(${JSON.stringify(home)})));
      setInterval(() => {}, 1000);`,
    ]);

  it("one agent per home; a lock whose holder died is taken over", async () => {
    const other = inOther(folder);
    const said = await new Promise<string>((done) => other.stdout.once("data", (text) => done(String(text))));
    expect(JSON.parse(said)).toEqual({ ok: true });
    expect(await takeLock(folder)).toEqual({ ok: false, pid: other.pid });
    other.kill("SIGKILL");
    await new Promise((done) => other.on("exit", done));
    const lock = await takeLock(folder);
    expect(lock.ok).toBe(true);
    if (lock.ok) lock.release();
    expect(existsSync(join(folder, "agent.lock"))).toBe(false);
  });

  it("a pid that another process has by now, an earlier boot and a damaged file hold nothing", async () => {
    const file = join(folder, "agent.lock");
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    for (const text of [
      JSON.stringify({ pid: 1, startTime: 12345678, bootId }),
      JSON.stringify({ pid: 1, startTime: 0, bootId: "x" }),
      "{ ha",
    ]) {
      writeFileSync(file, text);
      const lock = await takeLock(folder);
      expect(lock.ok).toBe(true);
      if (lock.ok) lock.release();
    }
  });
});
