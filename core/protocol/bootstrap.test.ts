import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
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
import { nodeRelease, nodeTarballPath } from "./node-release.ts";

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
setInterval(() => { if (fs.existsSync(home + "/end")) process.exit(Number(fs.readFileSync(home + "/end", "utf8"))); }, 20);
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
  const lines = readFileSync(file, "utf8").trim().split("\n");
  return lines.map((line) => ({ pid: Number.parseInt(line, 10), words: line.slice(line.indexOf(" ") + 1) }));
}

/** Everything that was started here, found as the stand-in finds it. */
function ownProcesses(): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && read(`/proc/${pid}/environ`).includes(`HOME=${folder}\0`));
}

function loops(): number[] {
  return ownProcesses().filter(
    (pid) => read(`/proc/${pid}/cmdline`).startsWith("sh\0") && read(`/proc/${pid}/cmdline`).includes("start.sh\0loop"),
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
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
    const alive = starts().filter(({ pid }) => existsSync(`/proc/${pid}`));
    expect(alive).toHaveLength(1);
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
    const bin = join(folder, "bin");
    mkdirSync(bin);
    for (const name of ["sh", "date", "mkdir", "chmod", "mv", "rm", "sleep", "tr", "sed", "head", "nohup"]) {
      symlinkSync((await run("/bin/sh", ["-c", `command -v ${name}`])).stdout.trim(), join(bin, name));
    }
    symlinkSync(process.execPath, join(bin, "node"));
    await onstart(environment({ PATH: bin }));
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
  });

  it("says what is missing where there is no node", async () => {
    const bin = join(folder, "bin");
    mkdirSync(bin);
    for (const name of ["sh", "date", "mkdir", "chmod", "sleep", "tr", "sed", "head", "setsid"]) {
      symlinkSync((await run("/bin/sh", ["-c", `command -v ${name}`])).stdout.trim(), join(bin, name));
    }
    writeFileSync(join(bin, "node"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const hasOther = existsSync("/usr/local/bin/node");
    await onstart(environment({ PATH: bin }));
    if (!hasOther) await vi.waitFor(() => expect(log()).toContain("node 22 or newer is missing"), within);
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
    await vi.waitFor(() => expect(starts()).toHaveLength(1), within);
    expect(starts()[0]!.words).toContain("it's a token");
  });
});
