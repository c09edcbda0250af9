import { describe, expect, it } from "vitest";
import type { Books } from "./books.ts";
import { forecast, ownForecast } from "./forecast.ts";

const hour = 3_600_000;
const day = 24 * hour;
const gb = 1e9;

describe("before renting", () => {
  const costs = {
    awakeMicroUsdPerHour: 1_200_000,
    upMicroUsdPerGb: 20_000,
    downMicroUsdPerGb: 20_000,
    storedBytes: 70 * gb,
    uploadBytes: 70 * gb,
    wakeMs: null,
  };
  const uses = (usesPerDay: number) => ({ usesPerDay, hoursPerDay: 6, idleMs: 180_000 });

  it("70 GB at US$ 0.02 a GB, used in six blocks a day, saves under a fifth; in twelve it costs more than always on", () => {
    expect(forecast(costs, uses(6)).savedShare).toBeLessThan(0.2);
    expect(forecast(costs, uses(6)).savedShare).toBeGreaterThan(0);
    expect(forecast(costs, uses(12)).savedShare).toBeLessThan(0);
    expect(forecast(costs, uses(6)).cycleTrafficMicroUsd).toBe(2_800_000);
  });

  it("is a bound while the time of a wake is not known, and unknown without a price of traffic", () => {
    const bound = forecast(costs, uses(2));
    const known = forecast({ ...costs, wakeMs: 15 * 60_000 }, uses(2));
    expect(bound.isAtMost).toBe(true);
    expect(known).toMatchObject({ isAtMost: false });
    expect(known.savedShare!).toBeLessThan(bound.savedShare!);
    expect(known.breakEvenMs!).toBeGreaterThan(bound.breakEvenMs!);
    expect(forecast({ ...costs, upMicroUsdPerGb: null }, uses(2))).toMatchObject({
      savedShare: null,
      breakEvenMs: null,
    });
  });

  it("saves nearly all of the idle time of a small workspace", () => {
    const small = { ...costs, storedBytes: gb, uploadBytes: gb, wakeMs: 180_000 };
    expect(forecast(small, { usesPerDay: 2, hoursPerDay: 4, idleMs: 180_000 }).savedShare).toBeGreaterThan(0.8);
  });

  it("never counts more than a day of a day", () => {
    const all = forecast({ ...costs, wakeMs: hour }, { usesPerDay: 100, hoursPerDay: 24, idleMs: hour });
    expect(all.savedShare).toBeCloseTo(-(100 * 2.8 + (24 * 70 * 0.015) / 730) / 28.8, 6);
  });
});

describe("from its own days", () => {
  const machine = (epoch: number, from: number, to: number) => ({
    epoch,
    fromAt: from * hour,
    toAt: to * hour,
    microUsdPerHour: 1_000_000,
  });
  const cycle = (epoch: number, slept: number, ready: number) => ({
    sleptAt: slept * hour,
    epoch,
    asked: false,
    microUsdPerHour: 1_000_000,
    wokenAt: ready * hour,
    readyAt: ready * hour,
    readyEpoch: epoch + 1,
    endedAt: null,
  });
  const books: Books = {
    machines: [machine(1, 0, 4), machine(2, 12, 16), machine(3, 24, 28), machine(4, 36, 40)],
    moved: [],
    stored: [],
    cycles: [cycle(1, 4, 12), cycle(2, 16, 24), cycle(3, 28, 36)],
  };

  it("is the share that was saved", () => {
    expect(ownForecast(books, 0, 40 * hour)).toEqual({ days: 40 / 24, usesPerDay: 1.8, savedShare: 0.6 });
  });

  it("says nothing of too short a time or too few sleeps, and nothing certain of what had no price", () => {
    expect(ownForecast(books, 20 * hour, 40 * hour)).toBeNull();
    expect(ownForecast({ ...books, cycles: books.cycles.slice(1) }, 0, 2 * day)).toBeNull();
    const [first, ...rest] = books.machines;
    const unpriced = { ...books, machines: [{ ...first!, microUsdPerHour: null }, ...rest] };
    expect(ownForecast(unpriced, 0, 40 * hour)).toMatchObject({ savedShare: null });
  });
});
