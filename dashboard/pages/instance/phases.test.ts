import { describe, expect, it } from "vitest";
import type { EventView } from "../../../core/protocol/views.ts";
import { lastSleep, lastWake } from "./phases.ts";

const start = Date.UTC(2026, 10, 24, 10);
/** Newest first, as the page has them; `at` in seconds. */
function log(...rows: [at: number, type: string, params?: EventView["params"]][]): EventView[] {
  return rows
    .map(([at, event_type, params = {}], seq) => ({
      ...{ seq, instance_id: "i-aaaaaaaaaa", event_type, timestamp: new Date(start + at * 1000).toISOString() },
      ...{ actor: "rule", actor_name: null, gpu_utilization: null, snapshot_id: null, reason: null, params },
    }))
    .reverse();
}

describe("how long the last ones took", () => {
  const sleep = [
    [0, "woke_up", { rent_ms: 3_000, boot_ms: 40_000, restore_ms: 0 }],
    [100, "snapshot_started"],
    [120, "snapshot_taken"],
    [123, "snapshot_proved"],
    [125, "sealed"],
    [126, "destroy_accepted"],
    [133, "machine_gone"],
    [133, "hibernated"],
  ] as [number, string, EventView["params"]?][];

  it("a sleep, from its snapshot to the end of its machine", () => {
    expect(lastSleep(log(...sleep))).toEqual({
      at: new Date(start + 100_000).toISOString(),
      totalMs: 33_000,
      phases: [
        { name: "snapshot", ms: 20_000 },
        { name: "prove", ms: 3_000 },
        { name: "seal", ms: 2_000 },
        { name: "destroy", ms: 8_000 },
      ],
    });
  });

  it("of a sleep that was tried twice, the try that came off", () => {
    const twice = log([0, "woke_up"], [10, "snapshot_started"], [20, "snapshot_failed"], ...sleep.slice(1));
    expect(lastSleep(twice)?.totalMs).toBe(33_000);
  });

  it("a wake by its own numbers; a phase that there was not is not shown", () => {
    expect(lastWake(log(...sleep))).toMatchObject({
      totalMs: 43_000,
      phases: [
        { name: "rent", ms: 3_000 },
        { name: "boot", ms: 40_000 },
      ],
    });
  });

  it("none yet, and one that is still under way, is none", () => {
    expect(lastSleep(log([0, "created"], [5, "snapshot_started"]))).toBeNull();
    expect(lastWake(log([0, "created"]))).toBeNull();
  });
});
