/**
 * CPU and disk of the workspace's processes: those whose cwd, program or an open file lies in it. The agent, what started
 * it and what it starts are none of them. What a process that ended did is counted where its parent waited for it; so
 * the time of one that ends may count twice, which is on the side of "busy".
 */
import { findUse, listStats, type ProcessStat, readDiskBytes } from "../proc.ts";
import { findFamily } from "../seal.ts";
import { rate, type Sensor, unknown } from "./sensor.ts";

export interface ProcessSensorOptions {
  /** Absolute and real. */
  workspace: string;
  self?: number;
  proc?: string;
  /** Monotonic, ms. */
  now?: () => number;
}

interface Counted {
  ticks: number;
  bytes: number | null;
}

interface Sum {
  amount: number;
  most: number;
  who: string | undefined;
}

/** Linux gives all times in /proc in this unit, whatever the kernel counts in. */
const TICKS_PER_SECOND = 100;

export function createProcessSensor(options: ProcessSensorOptions): Sensor {
  const { workspace, self = process.pid, proc = "/proc", now = () => performance.now() } = options;
  let before: { atMs: number; counted: Map<string, Counted> } | null = null;

  return {
    names: ["cpu", "disk"],
    leastMs: 2_000,
    async read() {
      const atMs = now();
      const stats = listStats(proc);
      if (!stats.has(self)) {
        before = null;
        const reading = unknown(`${proc} does not show this agent's own process`);
        return { cpu: reading, disk: reading };
      }
      const family = findFamily(stats, self);
      const counted = new Map<string, Counted>();
      const cpu: Sum = { amount: 0, most: 0, who: undefined };
      const disk: Sum = { amount: 0, most: 0, who: undefined };
      let hidden: string | null = null;
      for (const stat of stats.values()) {
        if (stat.kernel || family.has(stat.pid)) continue;
        const key = `${stat.pid}.${stat.startTime}`;
        const present: Counted = { ticks: stat.cpuTicks, bytes: readDiskBytes(stat.pid, proc) };
        counted.set(key, present);
        if (!before) continue;
        const past = before.counted.get(key) ?? { ticks: 0, bytes: 0 };
        const ticks = present.ticks - past.ticks;
        const bytes = present.bytes === null ? null : present.bytes - (past.bytes ?? 0);
        if (ticks <= 0 && bytes !== null && bytes <= 0) continue;
        // One that may not be looked into may be one of the workspace's.
        if (findUse(stat.pid, workspace, proc) === "no") continue;
        add(cpu, ticks, stat);
        if (bytes !== null) add(disk, bytes, stat);
        else if (ticks > 0) hidden = `the disk use of ${words(stat)} may not be read`;
      }
      const ms = before ? atMs - before.atMs : 0;
      before = { atMs, counted };
      if (ms <= 0) return { cpu: unknown("this is the first reading"), disk: unknown("this is the first reading") };
      return {
        cpu: reading(rate((cpu.amount / TICKS_PER_SECOND) * 100, ms), cpu.who),
        disk: hidden ? unknown(hidden) : reading(rate(disk.amount, ms), disk.who),
      };
    },
  };
}

function add(sum: Sum, amount: number, stat: ProcessStat): void {
  if (amount <= 0) return;
  sum.amount += amount;
  if (amount <= sum.most) return;
  sum.most = amount;
  sum.who = words(stat);
}

function words({ name, pid }: ProcessStat): string {
  return `${name} (${pid})`;
}

function reading(value: number, detail: string | undefined) {
  return detail ? { value, detail } : { value };
}
