/** The real start.sh with an agent that does nothing, and everything that it left taken away again. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { startScript } from "../core/protocol/boot/start-script.ts";
import type { Env } from "./identity.ts";
import { findAgent, findLoop, withKept } from "./installed.ts";
import { isAlive, isStopped, type ProcessRef, readBootId, readStat } from "./proc.ts";
import { runUninstall } from "./uninstall.ts";

const agent = `
import fs from "node:fs";
const stat = fs.readFileSync("/proc/self/stat", "utf8"), startTime = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
const bootId = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
fs.writeFileSync(process.env.SONECA_HOME + "/agent.lock", JSON.stringify({ pid: process.pid, startTime, bootId }));
process.on("SIGTERM", () => {});
setInterval(() => {}, 1000);
`;
let folder: string;
let home: string;
let env: Env;
let out: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "soneca-uninstall-"));
  home = join(folder, "agent");
  for (const name of ["agent", "workspace", "bin", "units"]) mkdirSync(join(folder, name));
  writeFileSync(join(folder, "workspace/work"), "mine");
  writeFileSync(join(home, "start.sh"), startScript());
  writeFileSync(join(home, "soneca-agent.mjs"), agent);
  env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}`, HOME: folder, SONECA_HOME: home };
  out = "";
});
afterEach(() => {
  for (const one of [findLoop(home), findAgent(home)]) if (one) process.kill(one.pid, "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

async function start(): Promise<{ loop: ProcessRef; agent: ProcessRef }> {
  const given = { SONECA_URL: "http://127.0.0.1:1", SONECA_TOKEN: "t", SONECA_WORKSPACE: join(folder, "workspace") };
  spawnSync("/bin/sh", [join(home, "start.sh")], { env: { ...env, ...given } as NodeJS.ProcessEnv });
  return vi.waitFor(
    () => {
      const [loop, running] = [findLoop(home), findAgent(home)];
      if (!loop || !running) throw new Error(readFileSync(join(home, "agent.log"), "utf8"));
      return { loop, agent: running };
    },
    { timeout: 15_000, interval: 30 },
  );
}

const uninstall = (json = false) => {
  const write = (text: string) => {
    out += text;
  };
  return runUninstall({ env, json, write, unitFolder: join(folder, "units"), endMs: 200 });
};

it("ends loop and agent, lets stopped processes go on, forgets the restart, and leaves the workspace", async () => {
  const running = await start();
  expect(withKept(env)).toMatchObject({
    SONECA_URL: "http://127.0.0.1:1",
    SONECA_WORKSPACE: join(folder, "workspace"),
  });
  const call = `[ ! -r '${home}/start.sh' ] || SONECA_SAVED=1 sh '${home}/start.sh' # soneca-agent`;
  writeFileSync(join(folder, "onstart.sh"), `#!/bin/sh\n${call}\necho theirs\n`);
  writeFileSync(join(folder, "units/soneca-agent.service"), `ExecStart=/bin/sh ${home}/start.sh\n`);
  writeFileSync(join(folder, "cron"), `0 * * * * theirs\n@reboot ${call}\n`);
  writeFileSync(
    join(folder, "bin/crontab"),
    `#!/bin/sh\nif [ "$1" = -l ]; then cat ${folder}/cron; else cat >${folder}/cron.new; mv ${folder}/cron.new ${folder}/cron; fi\n`,
    { mode: 0o755 },
  );
  const stopped = spawnSync("/bin/sh", ["-c", "sleep 60 >/dev/null 2>&1 & echo $!"], { encoding: "utf8" });
  const sleeper = readStat(Number(stopped.stdout))!;
  process.kill(sleeper.pid, "SIGSTOP");
  await vi.waitFor(() => expect(isStopped(sleeper.pid)).toBe(true));
  const { pid, startTime } = sleeper;
  const seal = { kind: "seal", untilAt: Date.now() + 60_000, bootId: readBootId(), processes: [{ pid, startTime }] };
  writeFileSync(join(home, "sealed.json"), JSON.stringify(seal));

  vi.stubEnv("PATH", `${join(folder, "bin")}:${process.env.PATH}`);
  try {
    expect(await uninstall()).toBe(0);
    expect(isAlive(running.loop)).toBe(false);
    expect(isAlive(running.agent)).toBe(false);
    expect(isStopped(pid)).toBe(false);
  } finally {
    vi.unstubAllEnvs();
    process.kill(pid, "SIGKILL");
  }
  expect(out).toContain("1 stopped processes go on");
  expect(existsSync(home)).toBe(false);
  expect(readFileSync(join(folder, "onstart.sh"), "utf8")).toBe("#!/bin/sh\necho theirs\n");
  expect(readFileSync(join(folder, "cron"), "utf8")).toBe("0 * * * * theirs\n");
  expect(readdirSync(join(folder, "units"))).toEqual([]);
  expect(readFileSync(join(folder, "workspace/work"), "utf8")).toBe("mine");
  out = "";
  expect(await uninstall()).toBe(0);
  expect(out).toContain("No agent is installed here");
});

it("keeps what is not its own in a home that was named, and the onstart that a machine was rented with", async () => {
  writeFileSync(join(home, "thesis.txt"), "not the agent's");
  // A kill left these half written.
  for (const draft of ["sealed.json.new", "token.new"]) writeFileSync(join(home, draft), "{");
  writeFileSync(join(folder, "onstart.sh"), "#!/bin/sh\n# soneca-onstart\n");
  expect(await uninstall(true)).toBe(1);
  const { ok, steps } = JSON.parse(out) as { ok: boolean; steps: { ok: boolean; what: string }[] };
  expect(ok).toBe(false);
  const told = steps.map((step) => step.what).join("\n");
  expect(told).toContain("rented with");
  expect(told).toContain("holds what is not the agent's: thesis.txt");
  expect(readdirSync(home)).toEqual(["thesis.txt"]);
  expect(readFileSync(join(folder, "onstart.sh"), "utf8")).toContain("soneca-onstart");
});
