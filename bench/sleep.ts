/** `npm run bench:sleep`: how well `auto` decides, beside a fixed three minutes and the break-even, and how fast. */
import { cycleCost } from "../core/lifecycle/auto.ts";
import { simulate } from "../core/lifecycle/simulation/simulate.ts";
import type { Trace } from "../core/lifecycle/simulation/trace.ts";
import type { SimulatedWorld } from "../core/lifecycle/simulation/world.ts";
import {
  costsOfSetting,
  floorDecides,
  generators,
  gridOf,
  hourMs,
  idleRatio,
  minuteMs,
  type PlayedPolicy,
  Player,
  seeded,
} from "../core/lifecycle/testing/gaps.ts";
import { median } from "./statistics.ts";

const policies: PlayedPolicy[] = ["fixed", "breakEven", "auto"];
const floorMs = 3 * minuteMs;
const grid = gridOf([0.3, 0.8, 1.5, 4], [5, 20, 70], [20, 60, 160], [0, 0.005]).map(costsOfSetting);

interface Ratios {
  mean: number;
  worst: number;
}

/** Idle ratios over all habits and settings: of those that keep the bound, and of all. */
function ratios(): Record<"bounded" | "everywhere", { count: number; policies: Record<string, Ratios> }> {
  const traces = Object.values(generators).flatMap((make) => [1, 2].map((seed) => make(seeded(seed * 7919))));
  const ratiosOf = (policy: PlayedPolicy) =>
    grid.map((one) => traces.map((gaps) => idleRatio(gaps, one, policy, floorMs)));
  const all = policies.map((policy) => ({ policy, perSetting: ratiosOf(policy) }));
  const sum = (isIn: (setting: number) => boolean) => {
    const measured: Record<string, Ratios> = {};
    let count = 0;
    for (const { policy, perSetting } of all) {
      const values = perSetting.filter((_, i) => isIn(i)).flat();
      count = values.length;
      measured[policy] = { mean: values.reduce((total, one) => total + one, 0) / count, worst: Math.max(...values) };
    }
    return { count, policies: measured };
  };
  return { bounded: sum((i) => !floorDecides(grid[i]!, floorMs)), everywhere: sum(() => true) };
}

/** Each of 400 gaps ends right after the machine went: the worst of (paid - one cycle) / clairvoyant over all settings. */
function adversary(policy: PlayedPolicy): number {
  const settings = grid.filter((one) => !floorDecides(one, floorMs));
  return Math.max(
    ...settings.map((costs) => {
      const player = new Player(policy, floorMs);
      let startAt = 0;
      for (let i = 0; i < 400; i++) {
        const tauMs = player.tauFor(costs, startAt);
        const lengthMs = (tauMs ?? 0) + 1;
        player.play(costs, { startAt, lengthMs }, tauMs);
        startAt += lengthMs + 20 * minuteMs;
      }
      return (player.paid - cycleCost(costs)) / player.best;
    }),
  );
}

const world: SimulatedWorld = {
  microUsdPerHour: 1_200_000,
  upMicroUsdPerGb: 3_000,
  downMicroUsdPerGb: 3_000,
  storedBytes: 10e9,
  uploadBytes: 10e9,
  changedBytesPerHour: 0,
  upBytesPerSecond: 100e6,
  downBytesPerSecond: 140e6,
  bootMs: 2 * minuteMs,
  scanMs: 5_000,
  sealMs: 5_000,
  endMs: 10_000,
  intervalMs: 30_000,
  threshold: 5,
  memory: "held",
  isMeasured: true,
};

/** 28 days of blocks between `shortest` and `longest`, use and idleness in turn. */
function month(use: [number, number], idle: [number, number], seed: number): Trace {
  const random = seeded(seed);
  const rows: { atMs: number; util: number }[] = [];
  let atMs = 0;
  while (atMs < 28 * 24 * hourMs) {
    const isUse = rows.length % 2 === 0;
    const [from, to] = isUse ? use : idle;
    rows.push({ atMs, util: isUse ? 90 : 0 });
    atMs += Math.round((from + (to - from) * random()) * minuteMs);
  }
  return { rows, endMs: atMs };
}

function cpuSeconds(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

const stalls = month([2, 30], [1, 4], 11);
const mixed = month([5, 60], [1, 90], 12);
const busy = month([28 * 24 * 60, 28 * 24 * 60 + 1], [1, 2], 13);
const simulated = (trace: Trace) =>
  median([1, 2, 3].map(() => cpuSeconds(() => void simulate(trace, { kind: "auto" }, world))));

const results = {
  ...ratios(),
  adversary: Object.fromEntries(policies.map((policy) => [policy, adversary(policy)])),
  sleepsInStalls: Object.fromEntries(
    (["auto", "fixed"] as const).map((name) => {
      const policy = name === "auto" ? { kind: "auto" as const } : { kind: "fixed" as const, minutes: 3 };
      return [name, simulate(stalls, policy, world).sleeps];
    }),
  ),
  monthCpuSeconds: { mixed: simulated(mixed), stalls: simulated(stalls), alwaysBusy: simulated(busy) },
};

if (process.argv.includes("--json")) console.log(JSON.stringify(results, null, 2));
else {
  const row = (name: string, value: (policy: string) => number) =>
    `| ${name} | ${policies.map((policy) => value(policy).toFixed(2)).join(" | ")} |`;
  const { bounded, everywhere, adversary: worst, sleepsInStalls, monthCpuSeconds } = results;
  console.log(
    [
      "| | fixed 3 min | break-even | auto |",
      "|---|---|---|---|",
      row(`idle ratio, mean of ${bounded.count} traces and settings`, (name) => bounded.policies[name]!.mean),
      row("idle ratio, the worst of them", (name) => bounded.policies[name]!.worst),
      row(
        `mean of ${everywhere.count}, those where the floor decides included`,
        (name) => everywhere.policies[name]!.mean,
      ),
      row("the worst of those", (name) => everywhere.policies[name]!.worst),
      row("adversary of 400 gaps: (paid - one cycle) / clairvoyant", (name) => worst[name]!),
      `| sleeps inside data stalls of 1 to 4 min, 28 days | ${sleepsInStalls.fixed} | | ${sleepsInStalls.auto} |`,
      "",
      `CPU seconds for 28 days at one sample per 30 s (median of 3): ${Object.entries(monthCpuSeconds)
        .map(([name, seconds]) => `${name} ${seconds.toFixed(2)}`)
        .join(", ")}`,
    ].join("\n"),
  );
}
