/** Requests to a service, in the small world: what wakes, what waits, what is turned away. */
import { describe, expect, it } from "vitest";
import type { AutoHibernation } from "../protocol/config.ts";
import { defaultProxy, type ProxySettings } from "../protocol/proxy.ts";
import { judgeKnock } from "./knock.ts";
import { Scenario, step } from "./testing/scenario.ts";
import { defaultTimings } from "./timings.ts";

const minute = 60_000;
const hour = 3_600_000;

function auto(proxy: Partial<ProxySettings> = {}, change: Partial<AutoHibernation> = {}): Scenario {
  const world = new Scenario();
  world.create({ wake_method: "auto", grace_minutes: 0, proxy: { ...defaultProxy, ...proxy }, ...change });
  return world.until("running");
}

function asleep(proxy: Partial<ProxySettings> = {}, change: Partial<AutoHibernation> = {}): Scenario {
  const world = auto(proxy, change);
  world.hibernate();
  world.until("hibernated").run(2 * minute);
  return world;
}

describe("awake", () => {
  it("it is open, to whatever comes", () => {
    const world = auto();
    expect(world.knock()).toEqual({ kind: "open" });
    expect(world.knock({ isUse: false })).toEqual({ kind: "open" });
  });

  it("while a snapshot is taken it is open; once everything stands still a request calls the rule's sleep off", () => {
    const world = auto().quietFor(0).until(step("taking"));
    expect(world.knock()).toEqual({ kind: "open" });
    world.until(step("sealing"));
    expect(world.knock({ isUse: false })).toEqual({ kind: "waits" });
    expect(world.state.now.status).toBe("snapshotting");
    expect(world.knock()).toEqual({ kind: "wakes" });
    expect(world.state.now.status).toBe("running");
  });

  it("a sleep that a person asked for is not called off by traffic", () => {
    const world = auto();
    world.hibernate();
    world.until(step("sealing"));
    expect(world.knock()).toEqual({ kind: "waits" });
    expect(world.state.now.status).toBe("snapshotting");
  });
});

describe("asleep", () => {
  it("a request wakes it, and a hundred more join", () => {
    const world = asleep();
    const rents = world.count("rent");
    const verdicts = Array.from({ length: 101 }, () => world.knock().kind);
    expect(verdicts).toEqual(["wakes", ...Array(100).fill("waits")]);
    world.until("running").run(10 * minute);
    expect(world.count("rent")).toBe(rents + 1);
  });

  it("a request that comes while the machine goes wakes it as soon as it is gone", () => {
    const world = auto();
    world.hibernate();
    world.until("destroying");
    expect(world.knock()).toEqual({ kind: "wakes" });
    expect(world.knock()).toEqual({ kind: "waits" });
    world.until("provisioning").until("running");
  });

  it("nothing wakes one that is not set to be woken by requests", () => {
    for (const wake_method of ["manual", "scheduled"] as const) {
      const world = asleep({}, { wake_method });
      expect(world.knock()).toEqual({ kind: "asleep", code: "wake_not_automatic" });
      expect(world.state.now.status).toBe("hibernated");
    }
  });

  it("no health check, no robot, and nothing outside of the allow list", () => {
    const world = asleep();
    for (const knock of [{ isUse: false }, { fits: false }])
      expect(world.knock(knock)).toEqual({ kind: "asleep", code: "request_does_not_wake" });
    expect(world.state.now.status).toBe("hibernated");
  });

  it("one new wake a minute, whoever asks", () => {
    const world = asleep();
    world.wake();
    world.until("running");
    world.hibernate();
    world.until("hibernated");
    const wakeAt = world.state.lastWakeAt!;
    if (world.now < wakeAt + defaultTimings.wakeEveryMs) {
      const retryAfterMs = wakeAt + defaultTimings.wakeEveryMs - world.now;
      expect(world.knock()).toEqual({ kind: "limited", code: "wake_rate_limited", retryAfterMs });
    }
    world.run(minute);
    expect(world.knock()).toEqual({ kind: "wakes" });
  });
});

describe("budgets", () => {
  function cycle(world: Scenario): void {
    world.until("running");
    world.hibernate();
    world.until("hibernated").run(2 * minute);
  }

  it("so many wakes in any hour, and the next one when the first has left it", () => {
    const world = asleep({ wakes_per_hour: 2 });
    const firstAt = world.now;
    for (let i = 0; i < 2; i++) {
      expect(world.knock()).toEqual({ kind: "wakes" });
      cycle(world);
    }
    const retryAfterMs = firstAt + hour - world.now;
    expect(world.knock()).toEqual({ kind: "limited", code: "wakes_per_hour_spent", retryAfterMs });
    // A person is not counted, and not bound.
    world.wake();
    cycle(world);
    world.run(firstAt + hour - world.now - 1);
    expect(world.knock().kind).toBe("limited");
    world.run(1);
    expect(world.knock()).toEqual({ kind: "wakes" });
  });

  it("a key's own budget binds that key alone", () => {
    const world = asleep();
    const knock = { by: "key:a", wakesPerHour: 1 };
    expect(world.knock(knock)).toEqual({ kind: "wakes" });
    cycle(world);
    expect(world.knock(knock)).toMatchObject({ kind: "limited", code: "wakes_per_hour_spent" });
    expect(world.knock({ by: "key:b" })).toEqual({ kind: "wakes" });
  });

  it("none at all is none, and joins do not count", () => {
    const world = asleep({ wakes_per_hour: 0 });
    expect(world.knock()).toEqual({ kind: "limited", code: "wakes_per_hour_spent", retryAfterMs: hour });
    world.wake();
    expect(world.knock()).toEqual({ kind: "waits" });
    expect(world.state.knocked).toBeUndefined();
  });

  it("so much money in any day", () => {
    const world = asleep({ max_micro_usd_per_day: 1 });
    const refused = world.knock();
    expect(refused).toMatchObject({ kind: "limited", code: "money_per_day_spent" });
    world.run((refused as { retryAfterMs: number }).retryAfterMs);
    expect(world.knock()).toEqual({ kind: "wakes" });
  });

  it("nothing is asked of the books where no budget of money is set", () => {
    const world = asleep();
    const knock = { by: "anybody", isUse: true, fits: true, wakesPerHour: null };
    const books = () => {
      throw new Error("asked");
    };
    expect(judgeKnock(world.state, knock, books, { now: world.now, timings: defaultTimings })).toEqual({
      kind: "wakes",
    });
  });
});
