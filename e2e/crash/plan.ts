/**
 * What one cycle does: how the workspace changes, whether somebody goes on writing, and what goes wrong while it falls
 * asleep and while it wakes. A function of the seed and the cycle's number alone, so that a cycle can be repeated.
 */
import { createRandom, type Random } from "../../bench/random.ts";
import type { FaultOrder } from "../../local-cloud/vast/fault-rules.ts";
import { anyHalf, asleepRules, type RuleDraft, wakeRules } from "./rules.ts";

export type Half = "sleep" | "wake";
export type Step = "running" | "snapshot" | "prove" | "seal" | "destroy" | "rent" | "boot" | "restore";
export const stepsOf: Record<Half, readonly Step[]> = {
  sleep: ["running", "snapshot", "prove", "seal", "destroy"],
  wake: ["rent", "boot", "restore"],
};

/** When: at the step, so many ms after it was first seen. */
export interface Moment {
  step: Step;
  afterMs: number;
}

export type Injection =
  /** A rule of the stand-in. `narrow`: only for machines of this instance. */
  | { kind: "rule"; order: FaultOrder; narrow: boolean }
  /** SIGKILL; a program that is no agent is down for `downMs`. */
  | ({ kind: "kill"; victim: "worker" | "agent" | "vast"; downMs: number } & Moment)
  /** The machine's agent stands still. */
  | ({ kind: "freeze"; forMs: number } & Moment)
  | ({ kind: "network"; mode: "down" | "stalled"; forMs: number } & Moment)
  | ({ kind: "disk"; freeBytes: number; forMs: number } & Moment)
  | ({ kind: "clock"; offsetMs: number; forMs: number } & Moment)
  /** The host dies. It comes back after `forMs`, or is gone for good. */
  | ({ kind: "host"; how: "back" | "gone" | "gone_later"; forMs: number } & Moment);

export interface CyclePlan {
  cycle: number;
  /** Of the changes to the workspace. */
  changeSeed: string;
  changes: number;
  /** Somebody writes on while the machine falls asleep. */
  writes: boolean;
  /** The machine is only stopped, and started again where it can be. */
  stops: boolean;
  injections: Record<Half, Injection[]>;
}

export interface Means {
  /** Machines have disks of their own, which can be full. */
  disks: boolean;
  /** Null for every kind. */
  only: readonly string[] | null;
}

export function planOf(seed: number, cycle: number, means: Means): CyclePlan {
  const random = createRandom(`crash ${seed} ${cycle}`);
  const changes = 1 + random.below(8);
  const writes = random.next() < 0.3;
  const sleep = drawHalf(random, "sleep");
  const wake = drawHalf(random, "wake");
  const possible = (one: Injection) =>
    (one.kind !== "disk" || means.disks) && (means.only === null || means.only.includes(one.kind));
  return {
    cycle,
    changeSeed: `changes ${seed} ${cycle}`,
    changes,
    writes,
    stops: createRandom(`pause mode ${seed} ${cycle}`).next() < 0.4,
    injections: { sleep: sleep.filter(possible), wake: wake.filter(possible) },
  };
}

/** Mostly one or two things at once; now and then none, now and then a bad day. */
function drawHalf(random: Random, half: Half): Injection[] {
  const count = random.pick([0, 1, 1, 1, 2, 2, 3]);
  return Array.from({ length: count }, () => draw(random, half));
}

function draw(random: Random, half: Half): Injection {
  const die = random.next();
  const moment = (): Moment => ({ step: random.pick(stepsOf[half]), afterMs: random.pick([0, 0, 20, 80, 200, 500]) });
  if (die < 0.5) return drawRule(random, half);
  if (die < 0.62) return { kind: "kill", victim: "agent", downMs: 0, ...moment() };
  if (die < 0.7) return { kind: "kill", victim: "worker", downMs: random.below(1_500), ...moment() };
  if (die < 0.76) return { kind: "kill", victim: "vast", downMs: random.below(2_000), ...moment() };
  if (die < 0.8) return { kind: "freeze", forMs: 200 + random.below(4_000), ...moment() };
  if (die < 0.88) {
    return { kind: "network", mode: random.pick(["down", "stalled"]), forMs: 100 + random.below(7_000), ...moment() };
  }
  if (die < 0.92) {
    return { kind: "disk", freeBytes: random.pick([0, 4_096, 200_000]), forMs: 500 + random.below(3_000), ...moment() };
  }
  if (die < 0.96) {
    const offsetMs = random.pick([-86_400_000, -3_600_000, -20_000, 20_000, 3_600_000, 30 * 86_400_000]);
    return { kind: "clock", offsetMs, forMs: 500 + random.below(6_000), ...moment() };
  }
  return {
    kind: "host",
    how: random.pick(["back", "gone", "gone_later"]),
    forMs: 300 + random.below(5_000),
    ...moment(),
  };
}

function drawRule(random: Random, half: Half): Injection {
  const drafts = random.next() < 0.35 ? anyHalf : half === "sleep" ? asleepRules : wakeRules;
  const { narrow = false, variants, ms, most = 3, ...rest } = random.pick<RuleDraft>(drafts);
  const order: FaultOrder = {
    ...rest,
    times: 1 + random.below(most),
    after: random.pick([0, 0, 0, 1, 2]),
    ...(variants && { variant: random.pick(variants) }),
    ...(ms && { ms: ms[0] + random.below(ms[1] - ms[0]) }),
  };
  return { kind: "rule", order, narrow };
}

/** For people and for the counts: `kill worker`, `rule destroy_fails`. */
export function nameOf(injection: Injection): string {
  switch (injection.kind) {
    case "rule":
      return `rule ${injection.order.name}${injection.order.on ? ` on ${injection.order.on}` : ""}`;
    case "kill":
      return `kill ${injection.victim} at ${injection.step}`;
    case "network":
      return `network ${injection.mode}`;
    case "host":
      return `host ${injection.how} at ${injection.step}`;
    default:
      return injection.kind;
  }
}
