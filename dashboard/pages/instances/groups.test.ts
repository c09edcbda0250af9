import { describe, expect, it } from "vitest";
import type { Glance, InstanceSummary } from "../../../core/protocol/views.ts";
import { burnOf } from "../../parts/burn.ts";
import { chipOf, groupOf, groupsOf, matches } from "./groups.ts";

const glance: Glance = {
  state_since: "2026-11-24T10:00:00.000Z",
  actions: [],
  gpu_count: 1,
  next: null,
  progress: null,
  wake: null,
  trouble: null,
  last_report_at: null,
  storage: null,
  burn: { micro_usd_per_hour: 0, unpriced: 0 },
  created_by: null,
  snapshot: null,
  awake_because: null,
  held_until: null,
  use: [],
};

function row(
  name: string,
  status: InstanceSummary["status"],
  perHour: number,
  more: Partial<Glance> = {},
): InstanceSummary {
  return {
    ...{ id: `i-${name}`, name, user_id: "u-aaaaaaaaaa", status, state: status, gpu_type: "RTX 4090", region: "CA" },
    ...{ gpu_utilization: null, last_activity: null, idle_since: null, hibernated_at: null, snapshot_id: null },
    created_at: "2026-11-24T09:00:00.000Z",
    updated_at: "2026-11-24T10:00:00.000Z",
    vast_instance_id: null,
    micro_usd_per_hour: perHour || null,
    recovery_point_at: null,
    glance: { ...glance, burn: { micro_usd_per_hour: perHour, unpriced: 0 }, ...more },
  };
}

const stored = (perMonth: number) => ({
  storage: { bytes: 1, micro_usd_per_month: perMonth, measured_at: "2026-11-24T10:00:00.000Z" },
});

describe("groups of the list", () => {
  const rows = [
    row("cheap", "running", 100_000),
    row("asleep", "hibernated", 0, stored(730_000)),
    row("broken", "failed", 50_000),
    row("dear", "running", 900_000, stored(730_000)),
    row("gone", "deleted", 0),
    // Its machine is not given back yet: it costs, whatever its state is called.
    row("leaving", "hibernated", 70_000),
  ];

  it("what costs money comes first, in it what needs somebody, then what costs most", () => {
    const groups = groupsOf(rows, "need");
    expect(groups.map(({ name, rows: own }) => [name, own.map((one) => one.name)])).toEqual([
      ["paid", ["broken", "dear", "cheap", "leaving"]],
      ["asleep", ["asleep"]],
      ["gone", ["gone"]],
    ]);
  });

  it("the sums of the groups are the header's sum, storage of what is awake too", () => {
    const sum = groupsOf(rows, "name").reduce((total, group) => total + group.microUsdPerHour, 0);
    expect(sum).toBeCloseTo(burnOf(rows).microUsdPerHour, 6);
    expect(sum).toBeCloseTo(100_000 + 50_000 + 901_000 + 70_000 + 1_000, 6);
  });

  it("a machine without a known price costs all the same, and is in no sum", () => {
    const unpriced = row("unknown", "hibernated", 0, { burn: { micro_usd_per_hour: 0, unpriced: 1 } });
    expect(groupOf(unpriced)).toBe("paid");
    expect(burnOf([unpriced])).toEqual({ microUsdPerHour: 0, unpriced: 1 });
  });

  it("a row of an earlier version has only its columns", () => {
    const old = { ...row("old", "running", 40_000), glance: null };
    expect(groupOf(old)).toBe("paid");
    expect(burnOf([old]).microUsdPerHour).toBe(40_000);
  });

  it("what sleeps or wakes is in transition; a search finds name, id, GPU and place", () => {
    expect([chipOf(row("a", "waking", 0)), chipOf(row("a", "hibernating", 0))]).toEqual(["moving", "moving"]);
    expect(matches(rows[0]!, " CHEAP ")).toBe(true);
    expect(matches(rows[0]!, "4090")).toBe(true);
    expect(matches(rows[0]!, "ca")).toBe(true);
    expect(matches(rows[0]!, "h100")).toBe(false);
  });
});
