import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, it, vi } from "vitest";
import type { SignalReadings } from "../../core/protocol/signals.ts";
import { createSignals, type Signals } from "./poller.ts";
import type { Sensor } from "./sensor.ts";

let signals: Signals | null = null;
afterEach(() => signals?.stop());

const sensor = (name: keyof SignalReadings, read: () => Promise<SignalReadings>, leastMs = 20): Sensor => ({
  names: [name],
  leastMs,
  read,
});
function start(sensors: Sensor[], options: { limitMs?: number; now?: () => number } = {}): Signals {
  signals = createSignals({ sensors, ...options });
  signals.setPace({ intervalMs: 60 });
  signals.start();
  return signals;
}
const values =
  (...list: number[]) =>
  async () => ({ cpu: { value: list.length > 1 ? list.shift()! : list[0]! } });

it("knows nothing before the first reading", () => {
  expect(start([sensor("cpu", () => new Promise(() => {}))]).take()).toMatchObject({ cpu: { value: null } });
});

it("gives the reading that says most for busy, for the time between two takes", async () => {
  const all = start([sensor("cpu", values(1, 90, 2, 3))]);
  await sleep(150);
  expect(all.take().cpu).toEqual({ value: 90 });
  await sleep(60);
  expect(all.take().cpu).toEqual({ value: 3 });
});

it("for a terminal little says most, and a known nothing says least", async () => {
  const list: SignalReadings[] = [
    { terminal: { value: null, none: true } },
    { terminal: { value: 4 } },
    { terminal: { value: 60 } },
  ];
  const all = start([sensor("terminal", async () => (list.length > 1 ? list.shift()! : list[0]!))]);
  await sleep(150);
  expect(all.take().terminal).toEqual({ value: 4 });
});

it("I12: one failed reading of an interval makes it unknown, whatever the others say", async () => {
  let n = 0;
  const all = start([
    sensor("cpu", async () => {
      if (n++ === 1) throw new Error("no such file");
      return { cpu: { value: 99 } };
    }),
  ]);
  await sleep(150);
  expect(all.take().cpu).toEqual({ value: null, detail: "no such file" });
  await sleep(60);
  expect(all.take().cpu).toEqual({ value: 99 });
});

it("keeps the last reading for an interval without one, and not for long", async () => {
  let at = 0;
  let asked = 0;
  const all = start([sensor("cpu", async () => (asked++ === 0 ? { cpu: { value: 7 } } : new Promise(() => {})))], {
    now: () => at,
  });
  await vi.waitFor(() => expect(all.take().cpu).toEqual({ value: 7 }));
  at = 50;
  expect(all.take().cpu).toEqual({ value: 7 });
  at = 70;
  expect(all.take().cpu).toEqual({ value: null, detail: "no reading in time" });
});

it("I12: a sensor that hangs is unknown, is not asked twice, and holds no other up", async () => {
  const hangs = vi.fn(() => new Promise<SignalReadings>(() => {}));
  const all = start([sensor("jupyter", hangs), sensor("cpu", values(5))], { limitMs: 50 });
  await sleep(200);
  const taken = all.take();
  expect(taken.jupyter).toEqual({ value: null, detail: "no answer within 0.05 s" });
  expect(taken.cpu).toEqual({ value: 5 });
  expect(hangs).toHaveBeenCalledTimes(1);
});

it("takes up a quicker pace at once: no sensor sits out the rest of a slow wait", async () => {
  let asked = 0;
  signals = createSignals({ sensors: [sensor("cpu", async () => ({ cpu: { value: ++asked } }))] });
  signals.start();
  await vi.waitFor(() => expect(asked).toBe(1));
  signals.setPace({ intervalMs: 60 });
  await vi.waitFor(() => expect(asked).toBeGreaterThan(2));
});

it("keeps a reading for as long as its own pace gave it", async () => {
  let at = 0;
  let asked = 0;
  const read = async () => (asked++ === 0 ? { cpu: { value: 7 } } : new Promise<SignalReadings>(() => {}));
  signals = createSignals({ sensors: [sensor("cpu", read)], now: () => at });
  signals.setPace({ intervalMs: 3_000 });
  signals.start();
  await vi.waitFor(() => expect(signals!.take().cpu).toEqual({ value: 7 }));
  at = 1_000;
  signals.setPace({ intervalMs: 60 });
  await vi.waitFor(() => expect(asked).toBe(2));
  expect(signals.take().cpu).toEqual({ value: 7 });
  at = 3_001;
  expect(signals.take().cpu).toMatchObject({ value: null });
});
