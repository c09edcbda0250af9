/**
 * Asks every sensor at its own pace and gives, for the time between two takes, the reading of each signal that says most
 * for "busy". A sensor that fails, hangs or has not answered for three rounds is not known: never quiet.
 */
import { type SignalReading, type SignalReadings, worseReading } from "../../core/protocol/signals.ts";
import { describeError } from "../log.ts";
import { type Sensor, unknown } from "./sensor.ts";

export interface Signals {
  start(): void;
  stop(): void;
  setPace(pace: { intervalMs: number }): void;
  /** Of the time since the last take. */
  take(): SignalReadings;
}

export interface PollerOptions {
  sensors: Sensor[];
  now?: () => number;
  /** A sensor that needs longer is not known. */
  limitMs?: number;
}

type Name = keyof SignalReadings;
const LONGEST_MS = 10_000;

export function createSignals({ sensors, now = () => performance.now(), limitMs = 8_000 }: PollerOptions): Signals {
  const collected: SignalReadings = {};
  const newest = new Map<Name, { reading: SignalReading; freshUntilMs: number }>();
  const waiting = new Map<Sensor, { timer: NodeJS.Timeout; askedAtMs: number }>();
  let intervalMs = 30_000;
  let running = false;

  const periodOf = (sensor: Sensor) => Math.max(sensor.leastMs, Math.min(LONGEST_MS, intervalMs / 3));

  const keep = (sensor: Sensor, readings: SignalReadings) => {
    for (const name of sensor.names) {
      const reading = readings[name] ?? unknown("the sensor said nothing");
      const other = collected[name];
      collected[name] = other ? worseReading(name, other, reading) : reading;
      newest.set(name, { reading, freshUntilMs: now() + 3 * periodOf(sensor) });
    }
  };

  const ask = async (sensor: Sensor) => {
    const all = (why: string) => Object.fromEntries(sensor.names.map((name) => [name, unknown(why)])) as SignalReadings;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<SignalReadings>((resolve) => {
      timer = setTimeout(() => resolve(all(`no answer within ${limitMs / 1000} s`)), limitMs);
    });
    const answer = Promise.resolve()
      .then(() => sensor.read())
      .catch((error) => all(describeError(error)));
    keep(sensor, await Promise.race([answer, late]));
    clearTimeout(timer);
    // One that hangs is not asked a second time meanwhile.
    await answer;
  };

  const loop = async (sensor: Sensor) => {
    waiting.delete(sensor);
    const askedAtMs = now();
    await ask(sensor);
    if (running) wait(sensor, askedAtMs);
  };

  const wait = (sensor: Sensor, askedAtMs: number) => {
    clearTimeout(waiting.get(sensor)?.timer);
    const timer = setTimeout(() => void loop(sensor), Math.max(0, askedAtMs + periodOf(sensor) - now()));
    waiting.set(sensor, { timer, askedAtMs });
  };

  return {
    start() {
      if (running) return;
      running = true;
      for (const sensor of sensors) void loop(sensor);
    },
    stop() {
      running = false;
      for (const { timer } of waiting.values()) clearTimeout(timer);
      waiting.clear();
    },
    setPace(pace) {
      if (pace.intervalMs === intervalMs) return;
      intervalMs = pace.intervalMs;
      // A wait at the old, slower pace would outlast the time for which the last reading counts.
      for (const [sensor, { askedAtMs }] of waiting) wait(sensor, askedAtMs);
    },
    take() {
      const taken: SignalReadings = {};
      for (const sensor of sensors) {
        for (const name of sensor.names) {
          const last = newest.get(name);
          const isFresh = last !== undefined && now() <= last.freshUntilMs;
          taken[name] =
            collected[name] ?? (isFresh ? last.reading : unknown(last ? "no reading in time" : "no reading yet"));
          delete collected[name];
        }
      }
      return taken;
    },
  };
}
