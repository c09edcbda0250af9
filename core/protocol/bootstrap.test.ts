import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { startScript } from "./boot/start-script.ts";
import { installCommand, installScript, onstartMaxChars, onstartScript } from "./bootstrap.ts";
import { kill, otherPids, read } from "./testing/processes.ts";

const run = promisify(execFile);

// Says that it began, keeps a lock as the real one does, and ends with what the file `end` says.
const stub = `
import fs from "node:fs";
const home = process.env.SONECA_HOME;
fs.appendFileSync(home + "/starts", process.pid + " " + process.argv.slice(2).join(" ") + " " + process.env.SONECA_TOKEN + " " + process.cwd() + "\\n");
const lock = home + "/stub.lock";
const holder = fs.existsSync(lock) ? Number(fs.readFileSync(lock, "utf8")) : 0;
if (holder) { try { process.kill(holder, 0); process.exit(6); } catch {} }
fs.writeFileSync(lock, String(process.pid));
const end = () => { const code = Number(fs.readFileSync(home + "/end", "utf8")); fs.rmSync(home + "/end"); process.exit(code); };
setInterval(() => { if (fs.existsSync(home + "/end")) end(); }, 20);
`;

let folder: string;
let home: string;
let server: Server;
let url: string;
let files: Map<string, string>;
const mark = `soneca-test-${process.pid}`;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "soneca-boot-"));
  home = join(folder, "agent");
  mkdirSync(join(folder, "workspace"));
  files = new Map();
  server = createServer((request, response) => {
    const text = files.get(request.url ?? "");
    response.writeHead(text === undefined ? 404 : 200).end(text ?? "nothing here");
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const pid of ownProcesses()) kill(pid);
  await vi.waitFor(() => expect(ownProcesses()).toEqual([]), 5_000);
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
  rmSync(folder, { recursive: true, force: true });
});

function publish(text: string): void {
  files.set("/agent/soneca-agent.mjs", text);
  files.set("/agent/soneca-agent.mjs.sha256", `${sha256Of(text)}  soneca-agent.mjs\n`);
  files.set("/agent/start.sh", startScript());
  files.set("/agent/install.sh", installScript());
}

function sha256Of(text: string | Buffer): string {
  return createHash("sha256").update(text).digest("hex");
}

function environment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: folder,
    SONECA_HOME: home,
    SONECA_URL: url,
    SONECA_TOKEN: "a-token",
    CONTAINER_ID: mark,
    DATA_DIRECTORY: join(folder, "workspace"),
    ...extra,
  };
}

/** As vast.ai does it, or its stand-in: by `sh`, in the workspace. */
async function onstart(env = environment()): Promise<void> {
  const file = join(folder, "onstart.sh");
  writeFileSync(file, onstartScript(sha256Of(installScript())));
  await run("/bin/sh", [file], { env, cwd: join(folder, "workspace"), timeout: 5_000 });
}

function starts(): { pid: number; words: string }[] {
  const file = join(home, "starts");
  if (!existsSync(file)) return [];
  // The file is there a moment before its first line.
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => ({ pid: Number.parseInt(line, 10), words: line.slice(line.indexOf(" ") + 1) }));
}

/** Everything that was started here, found as the stand-in finds it. */
function ownProcesses(): number[] {
  return otherPids().filter((pid) => read(`/proc/${pid}/environ`).includes(`HOME=${folder}\0`));
}

function loops(): number[] {
  return ownProcesses().filter(
    (pid) => read(`/proc/${pid}/cmdline`).startsWith("sh\0") && read(`/proc/${pid}/cmdline`).includes("start.sh\0loop"),
  );
}

/** A folder for PATH with what every Debian has, but for setsid, and with these. */
async function makeBin(...more: string[]): Promise<string> {
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const usual = "sh date mkdir chmod mv rm sleep tr sed head tail cat grep uname id cp df sha256sum nohup".split(" ");
  for (const name of [...usual, ...more])
    symlinkSync((await run("/bin/sh", ["-c", `command -v ${name}`])).stdout.trim(), join(bin, name));
  return bin;
}

const log = () => read(join(home, "agent.log"));
const within = { timeout: 8_000, interval: 30 };

vi.setConfig({ testTimeout: 20_000 });

describe("onstart", () => {
  it("is a POSIX script with its mark, within vast.ai's limit", async () => {
    const text = onstartScript(sha256Of(installScript()));
    expect(text.split("\n").slice(0, 2)).toEqual(["#!/bin/sh", "# soneca-onstart"]);
    expect(text.length).toBeLessThan(onstartMaxChars);
    writeFileSync(join(folder, "x.sh"), text);
    await run("/bin/sh", ["-n", join(folder, "x.sh")]);
  });

  it("fetches the agent, starts it in a session of its own and returns", async () => {
    publish(stub);
    await onstart();
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    expect(starts()[0]!.words).toBe(`run --log ${home}/agent.log a-token /`);
    expect(read(join(home, "soneca-agent.mjs"))).toBe(stub);
    expect(readdirSync(home).filter((name) => name.startsWith("soneca-agent.mjs."))).toEqual([]);
    expect(read(`/proc/${starts()[0]!.pid}/cmdline`)).not.toContain("a-token");
  });

  it("twice makes one agent", async () => {
    publish(stub);
    await Promise.all([onstart(), onstart()]);
    await onstart();
    await vi.waitFor(() => expect(loops()).toHaveLength(1), within);
    const alive = () => starts().filter(({ pid }) => existsSync(`/proc/${pid}`));
    await vi.waitFor(() => expect(alive()).toHaveLength(1), within);
  });

  it("starts an agent again that was killed", async () => {
    publish(stub);
    await onstart();
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    kill(starts()[0]!.pid);
    await vi.waitFor(() => expect(starts()).toHaveLength(2), within);
    expect(log()).toContain("ended with 137");
  });

  it("does not start a replaced agent again", async () => {
    publish(stub);
    await onstart();
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    writeFileSync(join(home, "end"), "7");
    await vi.waitFor(() => expect(ownProcesses()).toEqual([]), within);
    expect(log()).toContain("ended with 7");
    expect(starts()).toHaveLength(1);
  });

  it("keeps the agent it has when the new one does not come, or comes damaged", async () => {
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "soneca-agent.mjs"), stub);
    publish("throw new Error('new')");
    files.set("/agent/soneca-agent.mjs.sha256", `${"0".repeat(64)}  soneca-agent.mjs\n`);
    await onstart();
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    expect(log()).toContain("checksum is wrong");
    expect(read(join(home, "soneca-agent.mjs"))).toBe(stub);
  });

  it("waits for a control plane that is not there yet", async () => {
    await onstart();
    await vi.waitFor(() => expect(log()).toContain("could not be fetched"), within);
    publish(stub);
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
  });

  it("does without curl and wget", async () => {
    publish(stub);
    const bin = await makeBin("bash");
    symlinkSync(process.execPath, join(bin, "node"));
    await onstart(environment({ PATH: bin }));
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
  });

  it("says what is missing where there is no node", async () => {
    publish(stub);
    const bin = await makeBin("bash");
    writeFileSync(join(bin, "node"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const hasOther = existsSync("/usr/local/bin/node");
    await onstart(environment({ PATH: bin }));
    if (!hasOther) await vi.waitFor(() => expect(log()).toContain("node 22 or newer is missing"), within);
  });
});

describe("a new agent", () => {
  const agent = () => read(join(home, "soneca-agent.mjs"));
  const isGone = (name: string) => !existsSync(join(home, name));

  /** Is tried once the one that runs has ended for it. */
  async function offer(text: string, env = environment()): Promise<void> {
    publish(stub);
    await onstart(env);
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    writeFileSync(join(home, "soneca-agent.mjs.next"), text);
    writeFileSync(join(home, "end"), "8");
  }

  it("stays once it has said that it works, and the one before is kept", async () => {
    const better = `${stub}\nfs.rmSync(home + "/trial");`;
    await offer(better);
    await vi.waitFor(() => expect(starts()).toHaveLength(2), within);
    await vi.waitFor(() => expect(isGone("trial")).toBe(true), within);
    expect(agent()).toBe(better);
    expect(read(join(home, "soneca-agent.mjs.previous"))).toBe(stub);
    kill(starts()[1]!.pid);
    await vi.waitFor(() => expect(starts()).toHaveLength(3), within);
    // What is served is the older one: at the end of an agent that is taken, on trial.
    await vi.waitFor(() => expect(log()).toContain("ended with 137"), within);
    expect(agent()).toBe(better);
  });

  it("that ends three times goes back to the one before, and is not fetched again", async () => {
    const bad = "process.exit(1)";
    await offer(bad);
    await vi.waitFor(() => expect(log()).toContain("the new agent ended 3 times before it had reported"), within);
    await vi.waitFor(() => expect(starts()).toHaveLength(2), within);
    expect(agent()).toBe(stub);
    expect(read(join(home, "bad-builds"))).toBe(`${sha256Of(bad)}\n`);
    expect(read(join(home, "rolled-back"))).toBe(`${sha256Of(bad)} ended 3 times before it had reported\n`);
    expect(isGone("trial")).toBe(true);
    publish(bad);
    writeFileSync(join(home, "end"), "1");
    await vi.waitFor(() => expect(starts()).toHaveLength(3), within);
    expect(agent()).toBe(stub);
    expect(isGone("soneca-agent.mjs.next")).toBe(true);
  });

  it("that hangs is ended, and the one before is back", async () => {
    await offer(
      'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000)',
      environment({ SONECA_TRIAL_SECONDS: "1" }),
    );
    await vi.waitFor(() => expect(log()).toContain("the new agent did not report within 1 s"), within);
    await vi.waitFor(() => expect(starts()).toHaveLength(2), within);
    expect(agent()).toBe(stub);
  });

  it("is tried at a start of the container too, and a move that was cut short is seen", async () => {
    publish(`${stub}//new`);
    mkdirSync(home, { recursive: true });
    writeFileSync(join(home, "soneca-agent.mjs"), stub);
    await onstart();
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    expect(agent()).toBe(`${stub}//new`);
    expect(read(join(home, "trial"))).toBe(`${sha256Of(agent())}\n`);
    for (const pid of ownProcesses()) kill(pid);
    // Killed between the two moves, then before the first.
    renameSync(join(home, "soneca-agent.mjs"), join(home, "soneca-agent.mjs.next"));
    await onstart();
    await vi.waitFor(() => expect(starts()).toHaveLength(2), within);
    expect(agent()).toBe(`${stub}//new`);
    expect(isGone("trial")).toBe(false);
    for (const pid of ownProcesses()) kill(pid);
    renameSync(join(home, "soneca-agent.mjs.previous"), join(home, "soneca-agent.mjs"));
    files.clear();
    await onstart();
    await vi.waitFor(() => expect(starts()).toHaveLength(3), within);
    expect(isGone("trial")).toBe(true);
    expect(agent()).toBe(stub);
  });
});

describe("install", () => {
  it("is one line that starts the agent on a machine that has none", async () => {
    publish(stub);
    files.set("/agent/install.sh", installScript());
    const line = installCommand({ url: `${url}/`, token: "it's a token" });
    expect(line).not.toContain("\n");
    const { SONECA_URL: _, SONECA_TOKEN: __, ...env } = environment();
    const child: ChildProcess = spawn("/bin/sh", ["-c", line], {
      env,
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout!.on("data", (text) => {
      out += text;
    });
    await new Promise((done) => child.on("exit", done));
    await sleep(20);
    expect(out).toContain("the agent is starting");
    // These tests run on somebody's computer, which has a crontab or systemd, and is not the machine.
    expect(out).toContain("whose start is left alone");
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    expect(starts()[0]!.words).toContain("it's a token");
  });
});
