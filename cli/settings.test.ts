import { expect, test } from "vitest";
import { Failure } from "./failure.ts";
import { readDurationMs, readPrice, readSchedule, readSettings } from "./settings.ts";

test("nothing asked, nothing changed", () => expect(readSettings({})).toBeNull());

test("options become the plan's fields", () => {
  expect(
    readSettings({
      enabled: "off",
      pause: "5",
      delete: "0",
      threshold: "7.5",
      interval: "10",
      "wake-method": "scheduled",
      schedule: "9:00-18:30 America/Sao_Paulo",
    }),
  ).toEqual({
    enabled: false,
    pause_after_idle_minutes: 5,
    delete_after_pause_minutes: 0,
    gpu_usage_threshold: 7.5,
    check_interval_seconds: 10,
    wake_method: "scheduled",
    schedule: { wake_time: "09:00", sleep_time: "18:30", timezone: "America/Sao_Paulo" },
  });
});

test("the pause may be auto", () => {
  expect(readSettings({ pause: "auto" })).toEqual({ pause_after_idle_minutes: "auto" });
  expect(readSettings({ set: ["pause_after_idle_minutes=auto"] })).toEqual({ pause_after_idle_minutes: "auto" });
});

test("--set takes the fields themselves", () => {
  expect(readSettings({ set: ["enabled=true", "wake_method=auto", "schedule.wake_time=08:30"] })).toEqual({
    enabled: true,
    wake_method: "auto",
    schedule: { wake_time: "08:30" },
  });
  expect(readSettings({ set: ["schedule=none"] })).toEqual({ schedule: null });
  expect(readSettings({ set: ["schedule=08:00-17:00"] })).toEqual({
    schedule: { wake_time: "08:00", sleep_time: "17:00" },
  });
});

test.each<Parameters<typeof readSettings>[0]>([
  { pause: "soon" },
  { pause: "0" },
  { threshold: "200" },
  { interval: "" },
  { enabled: "maybe" },
  { "wake-method": "magic" },
  { schedule: "tomorrow" },
  { schedule: "25:00-18:00" },
  { schedule: "09:00-18:00 Mars/Olympus" },
  { set: ["colour=blue"] },
  { set: ["enabled"] },
  { set: ["enabled=5"] },
  { set: ["enabled.x=true"] },
  { set: ["__proto__=1"] },
  { set: ["schedule.moon=1"] },
])("%j is refused before it travels", (flags) => {
  expect(() => readSettings(flags)).toThrow(Failure);
});

test("a schedule may leave the zone as it is, or go", () => {
  expect(readSchedule("09:00-18:00")).toEqual({ wake_time: "09:00", sleep_time: "18:00" });
  expect(readSchedule("none")).toBeNull();
});

test("prices are US$ per hour", () => {
  expect([readPrice("--max-price", "0.45"), readPrice("--max-price", "US$ 0.45/h")]).toEqual([450_000, 450_000]);
  for (const bad of ["0", "-1", "cheap", "1e400"]) expect(() => readPrice("--max-price", bad)).toThrow(Failure);
});

test("durations", () => {
  expect(["90", "90s", "30m", "1.5h"].map((text) => readDurationMs("--timeout", text))).toEqual([
    90_000, 90_000, 1_800_000, 5_400_000,
  ]);
  for (const bad of ["0", "-3s", "2 weeks", ""]) expect(() => readDurationMs("--timeout", bad)).toThrow(Failure);
});

test("signals are switched and tuned by their names", () => {
  expect(readSettings({ set: ["signals.cpu=on", "signals.cpu.threshold=50", "signals.disk=off"] })).toEqual({
    signals: { cpu: { enabled: true, threshold: 50 }, disk: { enabled: false } },
  });
  for (const wrong of ["signals.gravity=on", "signals.cpu=maybe", "signals.cpu.threshold=lots", "signals.cpu.a.b=1"])
    expect(() => readSettings({ set: [wrong] }), wrong).toThrow();
});

test("checkpoints are switched and set by name", () => {
  expect(readSettings({ set: ["checkpoint=off"] })).toEqual({ checkpoint: { enabled: false } });
  const set = ["checkpoint.interval_minutes=10", "checkpoint.min_change_mb=500", "checkpoint.enabled=true"];
  expect(readSettings({ set })).toEqual({ checkpoint: { interval_minutes: 10, min_change_mb: 500, enabled: true } });
  expect(() => readSettings({ set: ["checkpoint.often=1"] })).toThrow();
  expect(() => readSettings({ set: ["checkpoint.interval_minutes.x=1"] })).toThrow();
});

test("scripts are set by name, and taken off with none", () => {
  const set = ["hooks.before_sleep=cd run && ./save --now=1", "hooks.after_wake=none", "hooks.timeout_seconds=90"];
  expect(readSettings({ set })).toEqual({
    hooks: { before_sleep: "cd run && ./save --now=1", after_wake: null, timeout_seconds: 90 },
  });
  expect(() => readSettings({ set: ["hooks=x"] })).toThrow();
});

test("services are set by name, lists with commas", () => {
  const set = [
    "proxy.port=8888",
    "proxy.more_ports=6006,8080",
    "proxy.wake_methods=GET,POST",
    "proxy.wake_paths=/v1/*",
  ];
  expect(
    readSettings({
      set: [...set, "proxy.access=public", "proxy.max_micro_usd_per_day=none", "proxy.quiet_paths=none"],
    }),
  ).toEqual({
    proxy: {
      ...{ port: 8888, more_ports: [6006, 8080], wake_methods: ["GET", "POST"], wake_paths: ["/v1/*"] },
      ...{ access: "public", max_micro_usd_per_day: null, quiet_paths: [] },
    },
  });
  for (const wrong of ["proxy=x", "proxy.port=0", "proxy.wake_methods=BREW", "proxy.wake_paths=v1", "proxy.a.b=1"])
    expect(() => readSettings({ set: [wrong] }), wrong).toThrow();
});
