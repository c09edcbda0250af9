import { describe, expect, test } from "vitest";
import { defaultAutoHibernation as config } from "../../../core/protocol/config.ts";
import {
  conflictsOf,
  draftOf,
  type Edits,
  inheritedFrom,
  issuesByName,
  previewOf,
  rebased,
  requestsOf,
  sourceOf,
  tabOf,
  withEdit,
} from "./form.ts";

const inherited = inheritedFrom([], null, config);
const set = (edits: Edits, name: Parameters<typeof withEdit>[1], value: unknown) =>
  withEdit(edits, name, config, { is: "value", value });
const request = (edits: Edits) => requestsOf(edits, draftOf(config, edits, inherited));

describe("changes", () => {
  test("of what is as it was are none", () => {
    const changed = set({}, "gpu_usage_threshold", 8);
    expect(Object.keys(changed)).toEqual(["gpu_usage_threshold"]);
    expect(set(changed, "gpu_usage_threshold", 5)).toEqual({});
  });

  test("of a schedule that means the same are none", () => {
    const windows = [{ start: "09:00", end: "18:00" }];
    expect(set({}, "schedule", { ...config.schedule, windows })).toEqual({});
  });

  test("are over the settings, and what cannot be sent is not", () => {
    let edits = set({}, "signals.cpu.threshold", 40);
    edits = withEdit(edits, "grace_minutes", config, { is: "bad", raw: "x", problem: "number" });
    const draft = draftOf(config, edits, inherited);
    expect(draft.signals.cpu).toEqual({ enabled: false, threshold: 40 });
    expect(draft.grace_minutes).toBe(config.grace_minutes);
    expect(draft.signals.disk).toBe(config.signals.disk);
  });
});

describe("what is sent", () => {
  test("is what changed, and nothing else", () => {
    let edits = set({}, "pause_after_idle_minutes", "auto");
    edits = set(edits, "signals.terminal.threshold", 600);
    edits = set(edits, "retention.keep_days", 7);
    edits = withEdit(edits, "grace_minutes", config, { is: "unset" });
    expect(request(edits)).toEqual({
      schedule: null,
      config: {
        auto_hibernation: {
          pause_after_idle_minutes: "auto",
          signals: { terminal: { threshold: 600 } },
          retention: { keep_days: 7 },
        },
        unset: ["grace_minutes"],
      },
    });
  });

  test("is null where a value is taken away", () => {
    const edits = withEdit(
      {},
      "hooks.after_wake",
      { ...config, hooks: { ...config.hooks, after_wake: "run" } },
      {
        is: "value",
        value: null,
      },
    );
    expect(request(edits).config).toEqual({ auto_hibernation: { hooks: { after_wake: null } } });
  });

  test("a schedule that acts goes by its route, which turns the wake method", () => {
    const next = { ...config.schedule!, timezone: "Europe/Lisbon" };
    const edits = set(set({}, "schedule", next), "wake_method", "scheduled");
    expect(request(edits)).toEqual({ schedule: { ...next, enabled: true }, config: null });
  });

  test("one that is only kept leaves the wake method alone", () => {
    const next = { ...config.schedule!, timezone: "Europe/Lisbon" };
    expect(request(set({}, "schedule", next))).toEqual({
      schedule: null,
      config: { auto_hibernation: { schedule: next } },
    });
  });

  test("the wake method alone is a setting like others", () => {
    expect(request(set({}, "wake_method", "scheduled"))).toEqual({
      schedule: null,
      config: { auto_hibernation: { wake_method: "scheduled" } },
    });
  });

  test("a schedule given back to the defaults is unset as a whole", () => {
    expect(request(withEdit({}, "schedule", config, { is: "unset" })).config).toEqual({ unset: ["schedule"] });
  });
});

describe("what the defaults say", () => {
  const policies = [
    { gpu_type: null, auto_hibernation: { grace_minutes: 9, gpu_usage_threshold: 7 }, updated_at: "" },
    { gpu_type: "RTX 4090", auto_hibernation: { grace_minutes: 11 }, updated_at: "" },
  ];

  test("the GPU type's before all instances' before the product's", () => {
    const of = inheritedFrom(policies, "RTX_4090", config);
    expect([of("grace_minutes"), of("gpu_usage_threshold"), of("not_now_minutes")]).toEqual([11, 7, 30]);
    expect(inheritedFrom(policies, "H100", config)("grace_minutes")).toBe(9);
  });

  test("a schedule is made of its parts", () => {
    const part = [{ gpu_type: null, auto_hibernation: { schedule: { wake_time: "07:00" } }, updated_at: "" }];
    expect(inheritedFrom(part, null, config)("schedule")).toEqual({ ...config.schedule, wake_time: "07:00" });
  });

  test("is told to a preview, which knows no unset", () => {
    const of = inheritedFrom(policies, null, config);
    const own = { ...config, grace_minutes: 1 };
    const edits = withEdit({}, "grace_minutes", own, { is: "unset" });
    expect(previewOf(edits, draftOf(own, edits, of))).toEqual({ grace_minutes: 9 });
  });

  test("of a group, its source is the most specific of its values", () => {
    const sources = { "signals.cpu.enabled": "user", "signals.cpu.threshold": "instance", enabled: "default" } as const;
    expect(sourceOf(sources, ["signals.cpu.enabled", "signals.cpu.threshold"])).toBe("instance");
    expect(sourceOf(sources, ["enabled"])).toBe("default");
    expect(sourceOf({ "schedule.timezone": "gpu_type" }, ["schedule"])).toBe("gpu_type");
  });
});

describe("what somebody else changed meanwhile", () => {
  const edits = set(set({}, "grace_minutes", 5), "enabled", false);

  test("is a conflict where it was changed here as well, to something else", () => {
    expect(conflictsOf(edits, config)).toEqual([]);
    expect(conflictsOf(edits, { ...config, not_now_minutes: 1 })).toEqual([]);
    expect(conflictsOf(edits, { ...config, grace_minutes: 5 })).toEqual([]);
    expect(conflictsOf(edits, { ...config, grace_minutes: 8 })).toEqual(["grace_minutes"]);
  });

  test("is none once it was seen", () => {
    const fresh = { ...config, grace_minutes: 8 };
    const seen = rebased(edits, ["grace_minutes"], fresh);
    expect(conflictsOf(seen, fresh)).toEqual([]);
    expect(request(seen).config).toEqual({ auto_hibernation: { grace_minutes: 5, enabled: false } });
  });
});

describe("what the API does not take", () => {
  test("is at the field", () => {
    const issues = [
      { path: "auto_hibernation.grace_minutes", message: "too big" },
      { path: "auto_hibernation.schedule.windows.0.end", message: "same" },
    ];
    expect(issuesByName(issues, false)).toEqual({ grace_minutes: "too big", schedule: "same" });
    expect(issuesByName([{ path: "windows.0.end", message: "same" }], true)).toEqual({ schedule: "same" });
  });

  test("and in its tab", () => {
    expect(["grace_minutes", "schedule", "hooks.timeout_seconds", "proxy.port", "wake_method"].map(tabOf)).toEqual([
      "idle",
      "schedule",
      "snapshot",
      "service",
      "service",
    ]);
  });
});
