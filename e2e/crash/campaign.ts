/** Cycles on several instances side by side, in one local cloud, until they are done or a cycle breaks an invariant. */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { LocalCloud } from "../../local-cloud/cloud.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import { makeTestFolder, processesWith, removeFolder } from "../testing/cloud.ts";
import { type BillCheck, readBills } from "./checks.ts";
import { Lane } from "./lane.ts";
import { type CyclePlan, type Means, nameOf, planOf } from "./plan.ts";
import { Breach, World } from "./world.ts";

export interface CampaignOptions {
  cycles: number;
  seed: number;
  /** Number of the first cycle. */
  from: number;
  lanes: number;
  only: readonly string[] | null;
  /** No cycle begins after so long, ms. */
  forMs: number;
  /** The campaign ends after so many failures. */
  most: number;
  /** In place of what the seed says. */
  planOf?: (cycle: number) => CyclePlan;
  onEvent: (event: Record<string, unknown> & { event: string }) => void;
}

export interface Failure {
  cycle: number;
  message: string;
  plan: CyclePlan;
  story: string[];
}

export interface Report {
  seed: number;
  from: number;
  cycles: number;
  failed: Failure[];
  /** By name; those that came too late for their step are counted apart, as "missed: ...". */
  injected: Record<string, number>;
  injections: number;
  bytesCompared: number;
  filesCompared: number;
  /** Cycles in which a host died with what was after the newest snapshot. */
  lostCycles: number;
  machines: number;
  /** GPU seconds on the stand-in's bill of machines that no ledger has, or that it has for less time; never negative. */
  leakedSeconds: number;
  paidSeconds: number;
  ledgerSeconds: number;
  paidMicroUsd: number;
  ledgerMicroUsd: number;
  /** Machines that were left at the provider, processes that were left here, ledgers that are a cent off or more. */
  left: string[];
  disks: boolean;
  ms: number;
}

/** Quick where the lifecycle waits for others; the seal is held long enough for a worker to come back. */
const timings = {
  endEveryMs: 400,
  endMaxEveryMs: 1_500,
  goneAgainMs: 300,
  listLagMs: 4_000,
  lookEveryMs: 500,
  proveEveryMs: 300,
  labelCheckEveryMs: 600,
  silenceMinMs: 10_000,
  sealHoldMs: 60_000,
  restAfterFailureMs: 200,
  bootLimitMs: 30_000,
  startLimitMs: 15_000,
  startLagMs: 3_000,
  parkedEveryMs: 2_000,
  agentLimitMs: 40_000,
  progressLimitMs: 75_000,
  avoidHostMs: 5_000,
  avoidHostMaxMs: 20_000,
  wakeEveryMs: 500,
  verifyEveryMs: 1_000,
};
const intervals = { search: 100, create: 50, list: 50, change: 50, destroy: 50 };
/** Micro-dollars. */
const cent = 10_000;
const diskBytes = 128 * 1024 * 1024;

/** Errors: those of a cloud that does not start. Whatever it started has ended when it returns or throws. */
export async function runCampaign(options: CampaignOptions, stop: AbortSignal): Promise<Report> {
  const base = makeTestFolder();
  const means: Means = { disks: canMount(), only: options.only };
  const startedAt = Date.now();
  let cloud: LocalCloud | null = null;
  try {
    cloud = await LocalCloud.prepare({
      stateDir: join(base, "state"),
      port: await freePort(),
      bootMs: 150,
      timings,
      intervals,
      vastOptions: ["--network", "--clock", ...(means.disks ? ["--disk-bytes", String(diskBytes)] : [])],
      onStep: (step) => options.onEvent({ event: "step", step }),
    });
    stop.addEventListener("abort", () => void cloud?.stop(), { once: true });
    await cloud.start();
    const report = emptyReport(options, means);
    const world = new World(cloud, base, stop);
    await Promise.all(Array.from({ length: options.lanes }, () => runLane(world, options, means, report, stop)));
    if (!stop.aborted) await addRest(world, report);
    world.isOver = true;
    report.injected = Object.fromEntries([...world.counts].sort(([a], [b]) => (a < b ? -1 : 1)));
    report.injections = [...world.counts].reduce((sum, [name, n]) => sum + (name.startsWith("missed") ? 0 : n), 0);
    await cloud.stop();
    report.left.push(...processesWith(base).map(({ pid, argv }) => `process ${pid}: ${argv}`));
    report.ms = Date.now() - startedAt;
    return report;
  } finally {
    await cloud?.stop();
    unmountBelow(base);
    removeFolder(base);
    rmSync(base, { recursive: true, force: true });
  }
}

/** Takes the next cycle until there is none. The order depends on who is free; what a cycle does, only on its number. */
async function runLane(world: World, options: CampaignOptions, means: Means, report: Report, stop: AbortSignal) {
  const { seed, from, cycles, onEvent } = options;
  let lane: Lane | null = null;
  const until = Date.now() + options.forMs;
  const isOver = () => stop.aborted || report.failed.length >= options.most || Date.now() > until;
  for (;;) {
    const cycle = from + next(report);
    if (cycle >= from + cycles || isOver()) break;
    const plan = options.planOf?.(cycle) ?? planOf(seed, cycle, means);
    try {
      if (!lane) {
        lane = new Lane(world, String(seed));
        await lane.begin();
      }
      const { files, bytes, lost, ms } = await lane.cycle(plan);
      report.cycles++;
      report.filesCompared += files;
      report.bytesCompared += bytes;
      if (lost) report.lostCycles++;
      onEvent({ event: "cycle", cycle, ms, files, bytes, lost, injected: injectedIn(plan), story: lane.story });
    } catch (error) {
      if (stop.aborted) break;
      report.cycles++;
      const message = error instanceof Breach ? error.message : String((error as Error).stack ?? error);
      const failure = { cycle, message, plan, story: [...(lane?.story ?? []), ...(await eventsOf(lane))] };
      report.failed.push(failure);
      onEvent({ event: "failed", seed, ...failure });
      await endLane(world, lane, report, onEvent);
      lane = null;
    }
  }
  if (!stop.aborted) await endLane(world, lane, report, onEvent);
}

const taken = new WeakMap<Report, number>();
function next(report: Report): number {
  const n = taken.get(report) ?? 0;
  taken.set(report, n + 1);
  return n;
}

async function eventsOf(lane: Lane | null): Promise<string[]> {
  const events = await lane?.instance?.events().catch(() => []);
  return (events ?? [])
    .slice(-60)
    .map((one) => `${one.timestamp.slice(11, 23)} ${one.event_type} ${JSON.stringify(one.params)}`);
}

function injectedIn({ injections }: CyclePlan): string[] {
  return [...injections.sleep, ...injections.wake].map(nameOf);
}

async function endLane(world: World, lane: Lane | null, report: Report, onEvent: CampaignOptions["onEvent"]) {
  try {
    await world.stand();
    const bills = await lane?.end();
    if (bills) addBills(report, bills);
  } catch (error) {
    const message = `an instance could not be given back: ${error instanceof Error ? error.message : error}`;
    report.left.push(message);
    onEvent({ event: "left", message });
    const { instance } = lane ?? {};
    if (instance) {
      const view = await instance.view().catch(() => null);
      if (view) addBills(report, readBills(await world.bill(), instance, view));
    }
  }
}

function addBills(report: Report, bills: BillCheck): void {
  report.machines += bills.machines;
  report.paidSeconds += bills.paidSeconds;
  report.ledgerSeconds += bills.ledgerSeconds;
  report.paidMicroUsd += bills.paidMicroUsd;
  report.ledgerMicroUsd += bills.ledgerMicroUsd;
  report.leakedSeconds += Math.max(0, bills.paidSeconds - bills.ledgerSeconds - 0.5 * bills.machines);
  const apart = bills.ledgerMicroUsd - bills.paidMicroUsd;
  if (Math.abs(apart) >= cent) report.left.push(`an instance's ledger is ${apart} micro-USD apart from its bill`);
}

/** Machines that nobody's: those without a label, and those that are left at the end. */
async function addRest(world: World, report: Report): Promise<void> {
  for (const row of await world.bill()) {
    if (row.label === null) {
      report.leakedSeconds += row.gpuSeconds;
      report.left.push(`machine ${row.id} without a label, ${row.diskSeconds} s`);
    } else if (row.endedAt === null) report.left.push(`machine ${row.id} (${row.label})`);
  }
  for (const { id } of await world.machines()) {
    await fetch(`${world.cloud.vastUrl}/api/v0/instances/${id}/`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${world.cloud.vastApiKey}` },
      signal: AbortSignal.timeout(10_000),
    }).catch(() => undefined);
  }
}

function emptyReport({ seed, from }: CampaignOptions, { disks }: Means): Report {
  return {
    seed,
    from,
    cycles: 0,
    failed: [],
    injected: {},
    injections: 0,
    bytesCompared: 0,
    filesCompared: 0,
    lostCycles: 0,
    machines: 0,
    leakedSeconds: 0,
    paidSeconds: 0,
    ledgerSeconds: 0,
    paidMicroUsd: 0,
    ledgerMicroUsd: 0,
    left: [],
    disks,
    ms: 0,
  };
}

/** Disks of machines need root and a host that lets mount. */
function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const folder = makeTestFolder();
  try {
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "soneca-crash", folder]).status !== 0) return false;
    spawnSync("umount", [folder]);
    return true;
  } finally {
    removeFolder(folder);
  }
}

function unmountBelow(base: string): void {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  for (const line of mounts) {
    const [, path] = line.split(" ");
    if (path?.startsWith(`${base}/`)) spawnSync("umount", ["-l", path]);
  }
}
