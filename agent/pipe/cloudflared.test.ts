import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLogger } from "../log.ts";
import { listStats, readStat } from "../proc.ts";
import { findWriters } from "../seal.ts";
import { type Cloudflared, type CloudflaredOptions, createCloudflared } from "./cloudflared.ts";

/** As it comes from Cloudflare: JSON in base64. */
const token = Buffer.from(JSON.stringify({ a: "account", t: "tunnel", s: "s3cret".repeat(8) })).toString("base64");
const otherToken = Buffer.from(JSON.stringify({ a: "account", t: "other", s: "0ther".repeat(8) })).toString("base64");

let home: string;
let lines: string[];
let running: Cloudflared[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-cloudflared-"));
  [lines, running] = [[], []];
});
afterEach(async () => {
  for (const one of running) await one.stop();
  rmSync(home, { recursive: true, force: true });
});

/** A program whose arguments go to `args` and which then does what `body` says; `$P` is the protocol, `$T` the token. */
function program(body: string): string {
  const path = join(home, "fake-cloudflared");
  const head = `#!/bin/sh\necho "$@" >> ${home}/args\nP=$6; T=$(cat "$9")\n`;
  writeFileSync(path, `${head}${body}\n`, { mode: 0o755 });
  return path;
}
const connects = `echo "2026 INF Registered tunnel connection connIndex=0 location=x protocol=$P" >&2`;
const waits = "exec sleep 600";

function create(body: string, change: Partial<CloudflaredOptions> = {}): Cloudflared {
  const one = createCloudflared({
    home,
    log: createLogger({ write: (line) => lines.push(line) }),
    env: {
      ...process.env,
      SONECA_TOKEN: "agent-token",
      TUNNEL_TOKEN: "somebody-elses",
      SONECA_CLOUDFLARED: program(body),
    },
    backoffMs: 20,
    maxBackoffMs: 100,
    graceMs: 500,
    ...change,
  });
  running.push(one);
  return one;
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let i = 0; i < 500; i++) {
    if (isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`it does not come; ${JSON.stringify(running.map((one) => one.state()))} ${lines.join("")}`);
}
const isConnected = (one: Cloudflared) => () => one.state().phase === "connected";
const events = () => lines.map((line) => JSON.parse(line).event);
const lives = (pid: number) => !["Z", undefined].includes(readStat(pid)?.state);

describe("running", () => {
  it("takes the arguments of the real one, and says when it is connected", async () => {
    const phases: string[] = [];
    const one = create(`${connects}\n${waits}`, { onChange: () => phases.push(one.state().phase) });
    expect(await one.run({ token })).toEqual({ ok: true });
    await until(isConnected(one));
    expect(readFileSync(join(home, "args"), "utf8").trim()).toBe(
      `tunnel --no-autoupdate --metrics 127.0.0.1:0 --protocol quic run --token-file ${home}/tunnel/token`,
    );
    expect(phases).toEqual(["starting", "connected"]);
    await one.stop();
    expect(phases.at(-1)).toBe("stopped");
  });

  it("the token is in a file for its owner alone, and in no argument, environment, log or state", async () => {
    const one = create(`${connects}\necho "ERR cannot use $T at all"\necho "WRN or eyJ\${T#eyJ}"; ${waits}`);
    await one.run({ token });
    await until(() => one.state().tail.length >= 3);
    expect(statSync(join(home, "tunnel/token")).mode & 0o777).toBe(0o600);
    for (const stat of [...listStats().values()].filter(({ session }) => session === one.state().pid)) {
      expect(readFileSync(`/proc/${stat.pid}/cmdline`, "utf8")).not.toContain(token);
      expect(readFileSync(`/proc/${stat.pid}/environ`, "utf8")).not.toContain(token);
    }
    await one.stop();
    expect(JSON.stringify([lines, one.state()])).not.toContain(token);
    expect(one.state().tail.join()).toContain("cannot use [redacted] at all");
    expect(() => statSync(join(home, "tunnel/token"))).toThrow();
  });

  it("sees neither the agent's token nor settings of another tunnel, and stands in /", async () => {
    const one = create(`${connects}\n${waits}`);
    await one.run({ token });
    await until(isConnected(one));
    const environ = readFileSync(`/proc/${one.state().pid}/environ`, "utf8");
    expect(environ).not.toContain("agent-token");
    expect(environ).not.toContain("somebody-elses");
    expect(readlinkSync(`/proc/${one.state().pid}/cwd`)).toBe("/");
  });

  it("the same order goes on, another token begins anew", async () => {
    const one = create(`${connects}\n${waits}`);
    await one.run({ token });
    await until(isConnected(one));
    const { pid } = one.state();
    await one.run({ token });
    expect(one.state().pid).toBe(pid);
    await one.run({ token: otherToken });
    await until(isConnected(one));
    expect(one.state().pid).not.toBe(pid);
    expect(lives(pid!)).toBe(false);
    expect(readFileSync(join(home, "tunnel/token"), "utf8")).toBe(otherToken);
  });

  it("without a program says so", async () => {
    const one = create("", { env: { PATH: "/nowhere" } });
    expect(await one.run({ token })).toMatchObject({ ok: false, code: "no_cloudflared" });
    expect(one.state().phase).toBe("stopped");
  });

  it("a failure stands for a while, however often it is asked", async () => {
    let searches = 0;
    const one = create("", {
      findBinary: async () => {
        searches++;
        return { ok: false, code: "wrong_hash", message: "x" };
      },
    });
    for (let n = 0; n < 3; n++) expect(await one.run({ token })).toMatchObject({ code: "wrong_hash" });
    expect(searches).toBe(1);
    await one.run({ token, binary: { url: "http://elsewhere", sha256: "0".repeat(64) } });
    expect(searches).toBe(2);
  });

  it("a stop does not wait for a download", async () => {
    const one = create("", {
      findBinary: (_, signal) =>
        new Promise((resolve) => {
          signal.onabort = () => resolve({ ok: false, code: "download_failed", message: "aborted" });
        }),
    });
    const run = one.run({ token });
    await new Promise((resolve) => setTimeout(resolve, 20));
    await one.stop();
    expect(await run).toMatchObject({ ok: false, code: "download_failed" });
  });

  it("a program that cannot be started is tried again, and stopped all the same", async () => {
    const one = create("", { findBinary: async () => ({ ok: true, path: "/nowhere/cloudflared" }) });
    await one.run({ token });
    await until(() => one.state().starts > 2);
    await one.stop();
    expect(one.state().phase).toBe("stopped");
  });
});

describe("when it ends", () => {
  it("it is started again, and again", async () => {
    const one = create(`${connects}\nsleep 0.05; exit 1`);
    await one.run({ token });
    await until(() => one.state().starts >= 4);
    expect(events()).toContain("tunnel_ended");
  });

  it("after a kill it is connected again", async () => {
    const one = create(`${connects}\n${waits}`);
    await one.run({ token });
    await until(isConnected(one));
    const { pid } = one.state();
    process.kill(pid!, "SIGKILL");
    await until(() => one.state().pid !== pid && isConnected(one)());
  });

  it("the pauses grow", async () => {
    const one = create("exit 1", { backoffMs: 40, maxBackoffMs: 10_000 });
    await one.run({ token });
    await until(() => one.state().starts >= 4);
    const pauses = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === "tunnel_ended");
    expect(pauses.every(({ pauseMs }, n) => pauseMs <= 40 * 2 ** n)).toBe(true);
  });
});

describe("the protocol", () => {
  it("is the other one when it is said so", async () => {
    const one = create(`${connects}\n${waits}`);
    await one.run({ token });
    await until(isConnected(one));
    one.switchProtocol();
    await until(() => one.state().starts === 2 && isConnected(one)());
    expect(one.state()).toMatchObject({ protocol: "http2" });
    expect(readFileSync(join(home, "args"), "utf8")).toMatch(/--protocol quic .*\n.*--protocol http2 /);
  });

  it("is another one when the order says another, and goes on when it says the same", async () => {
    const one = create(`${connects}\n${waits}`);
    await one.run({ token });
    await until(isConnected(one));
    await one.run({ token, protocol: "http2" });
    await until(() => one.state().starts === 2 && isConnected(one)());
    await one.run({ token, protocol: "http2" });
    expect(one.state()).toMatchObject({ protocol: "http2", starts: 2, phase: "connected" });
  });

  it("is the other one when this one does not connect", async () => {
    const one = create(`[ $P = http2 ] && ${connects}\n${waits}`, { patienceMs: 100 });
    await one.run({ token });
    await until(isConnected(one));
    expect(one.state().protocol).toBe("http2");
    expect(events()).toContain("tunnel_not_connected");
  });

  it("begins with the one that was asked for", async () => {
    const one = create(`${connects}\n${waits}`);
    await one.run({ token, protocol: "http2" });
    await until(isConnected(one));
    expect(one.state().protocol).toBe("http2");
  });

  it("a connection that is lost counts no more, one of several does not matter", async () => {
    const second = connects.replace("connIndex=0", "connIndex=1");
    const lost = (n: number) => `echo "WRN Connection terminated error=x connIndex=${n}"`;
    const one = create(`${connects}\n${second}\nsleep 0.1\n${lost(0)}\nsleep 0.2\n${lost(1)}\n${waits}`);
    const phases: string[] = [];
    await one.run({ token });
    await until(() => {
      if (phases.at(-1) !== one.state().phase) phases.push(one.state().phase);
      return one.state().tail.length === 4;
    });
    expect([...phases, one.state().phase].filter((phase, i, all) => phase !== all[i - 1])).toEqual([
      "starting",
      "connected",
      "starting",
    ]);
  });
});

describe("stopping", () => {
  it("ends the whole group, one that does not listen too", async () => {
    const one = create(`trap "" TERM\nsleep 600 &\n${connects}\nwait; sleep 600`);
    await one.run({ token });
    await until(isConnected(one));
    const pids = [...listStats().values()].filter(({ session }) => session === one.state().pid).map(({ pid }) => pid);
    expect(pids.length).toBe(2);
    await one.stop();
    expect(pids.filter(lives)).toEqual([]);
    expect(one.state()).toMatchObject({ phase: "stopped", pid: null });
    await one.stop();
  });

  it("one that an agent before left running is ended before the next begins", async () => {
    const before = create(`${connects}\n${waits}`);
    await before.run({ token });
    await until(isConnected(before));
    const left = before.state().pid!;
    const file = readFileSync(join(home, "tunnel/cloudflared.json"));
    const next = create(`${connects}\n${waits}`);
    await next.run({ token });
    await until(isConnected(next));
    expect(lives(left)).toBe(false);
    expect(file.toString()).toContain(String(left));
    expect(events()).toContain("tunnel_leftover_ended");
  });
});

describe("under a seal", () => {
  it("it is not stopped: it is the agent's child", async () => {
    const one = create(`${connects}\n${waits}`);
    await one.run({ token });
    await until(isConnected(one));
    // The widest scope: all that is in the container and not of the agent's family.
    const writers = findWriters({ root: home, scope: "container", self: process.pid, env: {} });
    expect(writers.map(({ pid }) => pid)).not.toContain(one.state().pid);
  });
});
