/**
 * The stand-in's side of the switch (switch.ts). An address of this host in a machine's environment is written anew, so
 * that the machine reaches it through the switch; the provider's rows go on showing what was asked for.
 */
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { readStat } from "./machines.ts";
import type { SwitchCommand, SwitchFile, Wire } from "./switch.ts";

export interface Network {
  /** Ports of the switch by ports of this host that the environment names. */
  link(machine: number, env: Readonly<Record<string, string>>): Promise<Record<string, number>>;
  unlink(machine: number): Promise<void>;
  rewrite(env: Readonly<Record<string, string>>, links: Readonly<Record<string, number>>): Record<string, string>;
  /** null when the machine reaches nobody through the switch. */
  set(machine: number, change: Partial<Pick<Wire, "mode" | "bytesPerSecond">>): Promise<Wire | null>;
  read(machine: number): Promise<Wire | null>;
  readTraffic(machine: number): Promise<Pick<Wire, "upBytes" | "downBytes"> | null>;
  /** Ends the switch; machines are cut off. Their ports are kept for the next start. */
  end(): Promise<void>;
}

const HERE = /^http:\/\/(?:127\.0\.0\.1|localhost)(?::(\d+))?(?=\/|$)/;
const ANSWER_MS = 5_000;
const START_MS = 20_000;

const portOf = (address: string) => {
  const found = HERE.exec(address);
  return found && Number(found[1] ?? 80);
};

const isAlive = ({ pid, startTime }: SwitchFile) => {
  const stat = readStat(pid);
  return stat !== null && stat.state !== "Z" && stat.startTime === startTime;
};

export async function startNetwork(stateDir: string): Promise<Network> {
  const file = join(stateDir, "switch.json");
  const read = (): SwitchFile | null => {
    try {
      return JSON.parse(readFileSync(file, "utf8"));
    } catch {
      return null;
    }
  };

  let starting: Promise<SwitchFile> | null = null;
  const findSwitch = async (): Promise<SwitchFile> => {
    const known = read();
    if (known && isAlive(known)) return known;
    starting ??= start().finally(() => {
      starting = null;
    });
    return starting;
  };

  const start = async (): Promise<SwitchFile> => {
    // Its environment names no machine: the seal of one must not stop what carries the others.
    const child = spawn(process.execPath, ["--no-warnings", join(import.meta.dirname, "switch.ts"), file], {
      cwd: "/",
      env: { PATH: process.env.PATH },
      detached: true,
      stdio: "ignore",
    });
    child.on("error", () => undefined);
    child.unref();
    for (const until = Date.now() + START_MS; Date.now() < until; await sleep(20)) {
      const now = read();
      if (now && now.pid === child.pid) return now;
    }
    throw new Error("the switch between the machines and this host does not start");
  };

  const tryCommand = async (order: SwitchCommand): Promise<Wire | null> => {
    const { port, token } = await findSwitch();
    const response = await fetch(`http://127.0.0.1:${port}/`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify(order),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const answer = (await response.json()) as { wire: Wire | null; error?: string };
    if (!response.ok) throw new Error(`the switch refuses: ${answer.error}`);
    return answer.wire;
  };

  /** Every command may be repeated; one that met the switch in its death is. */
  const command = async (order: SwitchCommand): Promise<Wire | null> => {
    try {
      return await tryCommand(order);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      await sleep(100);
      return tryCommand(order);
    }
  };

  await findSwitch();
  return {
    async link(machine, env) {
      const targets = [...new Set(Object.values(env).map(portOf))].filter((port) => port !== null);
      if (targets.length === 0) return {};
      return (await command({ do: "link", machine, targets }))!.ports;
    },
    async unlink(machine) {
      await command({ do: "unlink", machine });
    },
    rewrite: (env, links) =>
      Object.fromEntries(
        Object.entries(env).map(([name, value]) => {
          const port = links[portOf(value) ?? ""];
          return [name, port === undefined ? value : value.replace(HERE, `http://127.0.0.1:${port}`)];
        }),
      ),
    set: (machine, change) => command({ do: "set", machine, change }),
    read: (machine) => command({ do: "read", machine }),
    async readTraffic(machine) {
      const wire = read()?.wires[machine];
      const live = await command({ do: "read", machine }).catch(() => wire);
      return live ? { upBytes: live.upBytes, downBytes: live.downBytes } : null;
    },
    async end() {
      const known = read();
      if (!known || !isAlive(known)) return;
      process.kill(known.pid, "SIGKILL");
      while (isAlive(known)) await sleep(10);
      if (Object.keys(known.wires).length === 0) rmSync(file, { force: true });
    },
  };
}
