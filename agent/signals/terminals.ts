/**
 * Since when nobody has typed. Every terminal of a session, over SSH, in tmux or screen, in a notebook, is a file of
 * /dev/pts whose access time the kernel moves when input is read from it (in steps of 8 s). Output moves it not. A tmux
 * client's own terminal counts as well, so a client that is attached elsewhere is seen here too.
 *
 * The time of an input is kept on the monotonic clock once it was seen: a clock that is set does not make it older.
 */
import { readdirSync, type Stats, statSync } from "node:fs";
import { environValue, listStats, readEnviron } from "../proc.ts";
import { type Sensor, unknown } from "./sensor.ts";

export interface TerminalSensorOptions {
  folder?: string;
  /** Wall clock and monotonic clock, ms. */
  wallNow?: () => number;
  now?: () => number;
  /** Who sits at this terminal, by its device number. */
  findUser?: (device: number) => string | null;
}

interface Seen {
  accessMs: number;
  inputAt: number;
}

export function createTerminalSensor(options: TerminalSensorOptions = {}): Sensor {
  const {
    folder = "/dev/pts",
    wallNow = Date.now,
    now = () => performance.now(),
    findUser = findTerminalUser,
  } = options;
  let seen = new Map<string, Seen>();

  return {
    names: ["terminal"],
    leastMs: 1_000,
    async read() {
      let names: string[];
      try {
        names = readdirSync(folder).filter((name) => /^\d+$/.test(name));
      } catch (error) {
        return { terminal: unknown(`${folder} cannot be read: ${(error as Error).message}`) };
      }
      const present = new Map<string, Seen & { device: number }>();
      for (const name of names) {
        let stat: Stats | undefined;
        try {
          stat = statSync(`${folder}/${name}`, { throwIfNoEntry: false });
        } catch (error) {
          return { terminal: unknown(`terminal ${name}: ${(error as Error).message}`) };
        }
        // It was closed just now.
        if (!stat) continue;
        const before = seen.get(name);
        const accessMs = stat.atimeMs;
        const inputAt = !before
          ? now() - Math.max(0, wallNow() - accessMs)
          : before.accessMs === accessMs
            ? before.inputAt
            : now();
        present.set(name, { accessMs, inputAt, device: stat.rdev });
      }
      seen = present;
      const newest = [...present].sort(([, a], [, b]) => b.inputAt - a.inputAt)[0];
      if (!newest) return { terminal: { value: null, none: true } };
      const [name, { inputAt, device }] = newest;
      const who = [`pts/${name}`, findUser(device), present.size > 1 ? `${present.size} open` : null];
      return {
        terminal: { value: Math.max(0, Math.round((now() - inputAt) / 1000)), detail: who.filter(Boolean).join(", ") },
      };
    },
  };
}

/** What the processes at a terminal say of where its person is. */
export function findTerminalUser(device: number): string | null {
  for (const stat of listStats().values()) {
    if (stat.terminal !== device) continue;
    const environ = readEnviron(stat.pid);
    const from = environValue(environ, "SSH_CONNECTION")?.split(" ")[0];
    if (from) return `SSH from ${from}`;
    if (environValue(environ, "TMUX")) return "tmux";
  }
  return null;
}
