/** What a simulated machine, its link and its prices are; and what follows from them. */
import { breakEvenMs } from "../auto.ts";
import type { Costs } from "../auto-state.ts";
import { storageMicroUsdPerHour } from "../costs.ts";
import { floorMs } from "../vetoes.ts";

export interface SimulatedWorld {
  microUsdPerHour: number;
  upMicroUsdPerGb: number;
  downMicroUsdPerGb: number;
  /** What the store holds of the workspace, and a restore brings back. */
  storedBytes: number;
  /** What an upload has to send after a wake. Parts of one that was called off stay sent. */
  uploadBytes: number;
  /** What an hour of use adds to it, up to `uploadBytes`. */
  changedBytesPerHour: number;
  upBytesPerSecond: number;
  downBytesPerSecond: number;
  /** From the rental to the agent's first word. */
  bootMs: number;
  /** A look at the workspace without anything to send. */
  scanMs: number;
  /** Until every process is stopped and the workspace is looked at once more. */
  sealMs: number;
  /** From the destroy to the provider's word that the machine is gone. */
  endMs: number;
  /** Between two reports. */
  intervalMs: number;
  /** Micro-dollars per hour of a disk that is kept while it sleeps; none without. */
  keptDiskMicroUsdPerHour?: number;
  /** Percent; below it a GPU is idle. */
  threshold: number;
  memory: "held" | "free" | "unknown";
  /** Whether prices and times are known from an earlier cycle, or the first sleep has to show them. */
  isMeasured: boolean;
}

export type Policy =
  | { kind: "auto" }
  | { kind: "never" }
  | { kind: "fixed"; minutes: number }
  /** Fixed so that the machine goes at the break-even, or as early after it as the floor and the upload allow. */
  | { kind: "breakEven" };

export const proveMs = 1_000;

export function uploadMs(world: SimulatedWorld, bytes: number): number {
  return world.scanMs + (bytes / world.upBytesPerSecond) * 1000;
}

export function restoreMs(world: SimulatedWorld): number {
  return (world.storedBytes / world.downBytesPerSecond) * 1000;
}

/** What the clairvoyant reckons with, and what an instance measures. */
export function costsOfWorld(world: SimulatedWorld): Costs {
  return {
    awakeMicroUsdPerHour: world.microUsdPerHour,
    asleepMicroUsdPerHour: storageMicroUsdPerHour(world.storedBytes) + (world.keptDiskMicroUsdPerHour ?? 0),
    uploadMs: uploadMs(world, world.uploadBytes) + proveMs,
    wakeMs: world.bootMs + restoreMs(world),
    trafficMicroUsd: (world.uploadBytes * world.upMicroUsdPerGb + world.storedBytes * world.downMicroUsdPerGb) / 1e9,
    waitingMicroUsdPerHour: 0,
  };
}

/** The setting that a policy stands for; null for "not by itself". */
export function settingOf(policy: Policy, world: SimulatedWorld): number | "auto" | null {
  switch (policy.kind) {
    case "auto":
      return "auto";
    case "never":
      return null;
    case "fixed":
      return policy.minutes;
    case "breakEven": {
      const costs = costsOfWorld(world);
      const even = breakEvenMs(costs);
      return even === null ? null : Math.min(10_080, Math.max(floorMs, even - costs.uploadMs) / 60_000);
    }
  }
}
