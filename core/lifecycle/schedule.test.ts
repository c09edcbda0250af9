/** Waking and sleeping by the clock, in the small world: its time is virtual, its transitions are the real ones. */
import { describe, expect, it } from "vitest";
import type { AutoHibernation } from "../protocol/config.ts";
import { World } from "./testing/world.ts";
import { defaultTimings } from "./timings.ts";
import { transition } from "./transition.ts";

const minute = 60_000;
const hour = 3_600_000;
const saoPaulo = { wake_time: "09:00", sleep_time: "18:00", timezone: "America/Sao_Paulo" };

/** The world begins at 05:00 there. Nothing but the clock puts it to sleep. */
function scheduled(change: Partial<AutoHibernation> = {}): World {
  const config = {
    enabled: false,
    wake_method: "scheduled",
    schedule: saoPaulo,
    delete_after_pause_minutes: 30,
  } as const;
  const world = new World().create({ ...config, ...change });
  world.run(2 * minute);
  expect(world.state.now.status).toBe("running");
  return world;
}

function asleep(change: Partial<AutoHibernation> = {}): World {
  const world = scheduled(change);
  world.hibernate();
  world.run(2 * minute);
  expect(world.state.now.status).toBe("hibernated");
  return world;
}

const until = (world: World, time: string) => world.run(Date.parse(time) - world.now);
const status = (world: World) => world.state.now.status;
const day = (n: number) => `2027-01-${14 + n}`;

describe("Teste 4: Agendamento (wake 09:00, sleep 18:00, America/Sao_Paulo)", () => {
  it("wakes at nine, sleeps at six, day after day, and is ready at the time once it knows how long a wake takes", () => {
    const world = asleep();
    until(world, `${day(1)}T08:59:59-03:00`);
    expect(status(world)).toBe("deleted");
    // No wake was ever seen: it begins at the time itself.
    until(world, `${day(1)}T09:02:00-03:00`);
    expect(status(world)).toBe("running");
    until(world, `${day(1)}T17:59:59-03:00`);
    expect(status(world)).toBe("running");
    until(world, `${day(1)}T18:02:00-03:00`);
    expect(status(world)).toBe("hibernated");
    for (let n = 2; n <= 5; n++) {
      until(world, `${day(n)}T08:50:00-03:00`);
      expect(status(world)).toBe("deleted");
      until(world, `${day(n)}T09:00:00-03:00`);
      expect(status(world)).toBe("running");
      until(world, `${day(n)}T18:02:00-03:00`);
      expect(status(world)).toBe("hibernated");
    }
    expect(world.logs.filter((one) => one.type === "woke_up")).toHaveLength(5);
    expect(world.logs.filter((one) => one.type === "hibernated")).toHaveLength(6);
    world.configure({ wake_method: "manual" });
    world.rest();
  });
});

describe("the clock and people", () => {
  it("a sleep by hand is no reason to miss the next wake, a wake by hand none to miss the next sleep", () => {
    const world = asleep();
    until(world, `${day(1)}T10:00:00-03:00`);
    world.hibernate();
    until(world, `${day(1)}T19:00:00-03:00`);
    expect(status(world)).toBe("deleted");
    world.wake();
    until(world, `${day(1)}T23:00:00-03:00`);
    // After its hours it stays awake for who asked.
    expect(status(world)).toBe("running");
    until(world, `${day(2)}T18:02:00-03:00`);
    expect(status(world)).toBe("hibernated");
  });

  it("a lease holds the sleep, and what follows the lease is the sleep", () => {
    const world = scheduled();
    until(world, `${day(1)}T17:59:00-03:00`);
    world.keepAwake(2 * hour);
    until(world, `${day(1)}T19:58:00-03:00`);
    expect(status(world)).toBe("running");
    expect(world.state.schedule?.sleep).toBeDefined();
    until(world, `${day(1)}T20:02:00-03:00`);
    expect(status(world)).toBe("hibernated");
  });

  it("activity holds it where that is wanted, and only there", () => {
    const busy = scheduled();
    until(busy, `${day(1)}T17:59:00-03:00`);
    busy.busy(true);
    until(busy, `${day(1)}T18:02:00-03:00`);
    expect(status(busy)).toBe("hibernated");

    const held = scheduled({ schedule: { ...saoPaulo, hold: { activity: true } } });
    until(held, `${day(1)}T17:59:00-03:00`);
    held.busy(true);
    until(held, `${day(1)}T20:00:00-03:00`);
    expect(status(held)).toBe("running");
    held.busy(false);
    held.run(2 * minute);
    expect(status(held)).toBe("hibernated");
  });

  it("who wants it while its sleep is held keeps it", () => {
    const world = scheduled();
    until(world, `${day(1)}T17:59:00-03:00`);
    world.keepAwake(hour);
    until(world, `${day(1)}T18:30:00-03:00`);
    world.wake();
    until(world, `${day(1)}T22:00:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("who wakes it just before its hours end gets it", () => {
    const world = asleep();
    until(world, `${day(1)}T10:00:00-03:00`);
    world.hibernate();
    until(world, `${day(1)}T17:59:50-03:00`);
    world.wake();
    until(world, `${day(1)}T21:00:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("a wake at the very time joins the clock's, and one machine comes", () => {
    const world = asleep();
    until(world, `${day(1)}T08:59:59-03:00`);
    world.wake();
    until(world, `${day(1)}T09:10:00-03:00`);
    expect(status(world)).toBe("running");
    expect(world.provider.machines).toHaveLength(2);
  });
});

describe("ready at the time", () => {
  /** Eight of ten wakes took five minutes, two a quarter of an hour. */
  const taught = (world: World) => {
    const took = (ms: number) => ({ at: 0, rentMs: 0, bootMs: ms, restoreMs: 0, wakeMs: ms });
    const wakes = [5, 5, 5, 5, 15, 5, 5, 15, 5, 5].map((minutes) => took(minutes * minute));
    world.state = { ...world.state, wakes };
    return world;
  };
  const byRule = { enabled: true, pause_after_idle_minutes: 3, grace_minutes: 3 } as const;

  it("what comes up early is kept until its time and the grace after it, and then the idle rule goes on as it is set", () => {
    const world = taught(asleep(byRule));
    world.provider.bootMs = 5 * minute;
    until(world, `${day(1)}T08:52:00-03:00`);
    expect(status(world)).toBe("running");
    until(world, `${day(1)}T09:05:00-03:00`);
    expect(status(world)).toBe("running");
    until(world, `${day(1)}T09:10:00-03:00`);
    expect(status(world)).toBe("hibernated");
  });

  it("nor does a network that is away for some minutes let it go before", () => {
    const world = taught(asleep(byRule));
    world.provider.bootMs = 2 * minute;
    until(world, `${day(1)}T08:50:00-03:00`);
    world.net.downUntil = world.now + 3 * minute;
    world.run(2 * minute);
    expect(status(world)).toBe("unreachable");
    until(world, `${day(1)}T09:05:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("a person's wake that the clock's joins is kept as long", () => {
    const world = taught(asleep(byRule));
    world.provider.bootMs = 3 * minute;
    until(world, `${day(1)}T08:44:00-03:00`);
    world.wake();
    until(world, `${day(1)}T09:05:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("a person's wake that waits already, for whatever it is, is tried and kept for as long as the clock's", () => {
    const at = Date.parse(`${day(1)}T09:00:00-03:00`);
    const wants = {
      actor: { kind: "user" },
      readyAt: at,
      keepTrying: { until: Date.parse(`${day(1)}T18:00:00-03:00`) },
    };
    const joined = (world: World) =>
      transition(world.state, { type: "tick" }, { now: at - 10 * minute, timings: defaultTimings }).state.now;

    const leaving = taught(scheduled());
    leaving.hibernate();
    while (status(leaving) !== "destroying") leaving.run(1_000);
    expect(joined(leaving.wake())).toMatchObject({ wakeAfter: wants });

    const silent = taught(scheduled());
    silent.net.downUntil = at;
    while (status(silent) !== "unreachable") silent.run(10_000);
    silent.wake();
    const { state } = transition(silent.state, { type: "tick" }, { now: at, timings: defaultTimings });
    expect(state.now).toMatchObject({ wake: wants });
  });

  it("what falls asleep by the rule while its wake is prepared for wakes again", () => {
    const world = taught(asleep(byRule));
    until(world, `${day(1)}T08:35:00-03:00`);
    world.wake().run(2 * minute);
    world.busy(true);
    until(world, `${day(1)}T08:51:00-03:00`);
    world.busy(false);
    until(world, `${day(1)}T09:00:00-03:00`);
    expect(world.logs.filter((one) => one.type === "hibernated")).toHaveLength(2);
    expect(status(world)).toBe("running");
    until(world, `${day(1)}T09:05:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("what somebody puts to sleep just before its time wakes at it", () => {
    const world = taught(scheduled());
    until(world, `${day(1)}T18:02:00-03:00`);
    world.wake().run(2 * minute);
    until(world, `${day(2)}T08:54:00-03:00`);
    world.hibernate();
    until(world, `${day(2)}T09:00:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("what is idle at its time begins to be idle then", () => {
    const world = scheduled({ ...byRule, pause_after_idle_minutes: 60 });
    world.busy(true);
    until(world, `${day(1)}T08:01:00-03:00`);
    world.busy(false);
    until(world, `${day(1)}T10:00:00-03:00`);
    expect(status(world)).toBe("running");
    until(world, `${day(1)}T10:10:00-03:00`);
    expect(status(world)).toBe("hibernated");
  });

  it("it does not sleep for a break in which it would have to wake at once", () => {
    const windows = [
      { start: "07:00", end: "12:00" },
      { start: "12:10", end: "18:00" },
    ];
    const world = taught(scheduled({ schedule: { ...saoPaulo, windows } }));
    until(world, `${day(1)}T12:30:00-03:00`);
    expect(status(world)).toBe("running");
    expect(world.logs.filter((one) => one.type === "hibernated")).toEqual([]);
    until(world, `${day(1)}T18:02:00-03:00`);
    expect(status(world)).toBe("hibernated");
  });

  it("of a sleep and a wake at one moment the wake is what holds from then on", () => {
    const wakeOnce = { at: `${day(1)}T18:00`, do: "wake" as const };
    const awake = scheduled({ schedule: { ...saoPaulo, once: [wakeOnce] } });
    until(awake, `${day(1)}T18:30:00-03:00`);
    expect(status(awake)).toBe("running");

    const world = asleep({ schedule: { ...saoPaulo, once: [wakeOnce] } });
    until(world, `${day(1)}T10:00:00-03:00`);
    world.hibernate();
    until(world, `${day(1)}T18:05:00-03:00`);
    expect(status(world)).toBe("running");
  });
});

describe("a sleep of the clock's that did not come off", () => {
  it("ends where the next window begins", () => {
    const world = scheduled();
    until(world, `${day(1)}T17:50:00-03:00`);
    world.scripts("veto");
    until(world, `${day(2)}T08:59:00-03:00`);
    expect(world.state.standing).toMatchObject({ actor: { kind: "schedule" } });
    until(world, `${day(2)}T09:05:00-03:00`);
    expect(world.state.standing).toBeUndefined();
    world.scripts("ok");
    world.busy(true);
    until(world, `${day(2)}T17:59:00-03:00`);
    expect(status(world)).toBe("running");
    until(world, `${day(2)}T18:02:00-03:00`);
    expect(status(world)).toBe("hibernated");
  });

  it("waits for a command as the first try would have, and follows it", () => {
    const world = scheduled();
    until(world, `${day(1)}T17:59:30-03:00`);
    world.scripts("veto");
    until(world, `${day(1)}T18:02:00-03:00`);
    expect(world.state.standing).toBeDefined();
    world.scripts("ok");
    world.runCommand("train", true);
    until(world, `${day(1)}T20:00:00-03:00`);
    expect(status(world)).toBe("running");
    expect(world.state).toMatchObject({ schedule: { sleep: {} } });
    world.runCommand("train", false);
    world.run(2 * minute);
    expect(status(world)).toBe("hibernated");
  });

  it("strikes although a command runs where leases are not to hold it", () => {
    const world = scheduled({ schedule: { ...saoPaulo, hold: { leases: false } } });
    until(world, `${day(1)}T17:59:30-03:00`);
    world.scripts("veto");
    until(world, `${day(1)}T18:02:00-03:00`);
    world.scripts("ok");
    world.runCommand("train", true);
    until(world, `${day(1)}T18:30:00-03:00`);
    expect(status(world)).toBe("hibernated");
  });

  it("is over with the schedule", () => {
    const world = scheduled();
    until(world, `${day(1)}T17:59:30-03:00`);
    world.scripts("veto");
    until(world, `${day(1)}T18:02:00-03:00`);
    world.scripts("ok");
    world.configure({ wake_method: "manual" });
    expect(world.state.standing).toBeUndefined();
    until(world, `${day(1)}T23:00:00-03:00`);
    expect(status(world)).toBe("running");
    expect(world.logs.at(-1)).not.toMatchObject({ type: "hibernated" });
  });
});

describe("a sleep that a person asked for", () => {
  it("before the clock asks as well is theirs, and is not over with the schedule", () => {
    const world = scheduled();
    until(world, `${day(1)}T17:58:00-03:00`);
    world.store.uploadsFail = 3;
    world.hibernate();
    until(world, `${day(1)}T18:01:00-03:00`);
    expect(world.state.standing?.actor.kind ?? "none").toBe("user");
    world.configure({ wake_method: "manual", enabled: false });
    until(world, `${day(1)}T18:30:00-03:00`);
    expect(["hibernated", "deleted"]).toContain(status(world));
  });

  it("while the clock's is under way takes it over", () => {
    const world = scheduled();
    until(world, `${day(1)}T18:00:01-03:00`);
    expect(world.state.now).toMatchObject({ status: "snapshotting", cause: { actor: { kind: "schedule" } } });
    world.apply({ type: "hibernate", actor: { kind: "user", id: world.state.owner } });
    expect(world.state.now).toMatchObject({ status: "snapshotting", cause: { actor: { kind: "user" } } });
  });
});

describe("trouble", () => {
  it("no offer: it tries along the ladder until its window ends, says so, and does not go on after it", () => {
    const world = asleep();
    world.provider.trouble.noOffer = 1_000;
    until(world, `${day(1)}T17:00:00-03:00`);
    expect(status(world)).toBe("deleted");
    expect(world.state).toMatchObject({
      trouble: { code: "no_offer" },
      retry: { wake: { actor: { kind: "schedule" } } },
    });
    const tries = world.logs.filter((one) => one.type === "wake_failed").length;
    expect(tries).toBeGreaterThan(10);
    until(world, `${day(1)}T20:00:00-03:00`);
    expect(world.state.retry).toBeUndefined();
    world.provider.trouble.noOffer = 0;
    until(world, `${day(2)}T09:02:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("the provider is down at nine, and it comes when the provider does", () => {
    const world = asleep();
    until(world, `${day(1)}T08:59:00-03:00`);
    world.provider.trouble.failsUntil = world.now + 40 * minute;
    until(world, `${day(1)}T10:30:00-03:00`);
    expect(status(world)).toBe("running");
    expect(world.provider.paid(world.now)).toHaveLength(1);
  });

  it("somebody's wake does not end that it is tried until its window ends", () => {
    const world = asleep();
    world.provider.trouble.noOffer = 1_000;
    until(world, `${day(1)}T09:30:00-03:00`);
    const until18 = Date.parse(`${day(1)}T18:00:00-03:00`);
    expect(world.state.retry?.wake.keepTrying?.until).toBe(until18);
    world.wake().run(2 * minute);
    expect(world.state.retry).toMatchObject({ wake: { actor: { kind: "user" }, keepTrying: { until: until18 } } });
    world.provider.trouble.noOffer = 0;
    until(world, `${day(1)}T10:30:00-03:00`);
    expect(status(world)).toBe("running");
  });

  it("what was missed is caught up once, and only the last of it", () => {
    const world = asleep();
    const at = (time: string) => Date.parse(time);
    const tick = (time: string) =>
      transition(world.state, { type: "tick" }, { now: at(time), timings: defaultTimings });
    const late = tick(`${day(1)}T09:05:00-03:00`);
    expect(late.state.now.status).toBe("provisioning");
    const again = transition(
      late.state,
      { type: "tick" },
      { now: at(`${day(1)}T09:05:30-03:00`), timings: defaultTimings },
    );
    expect(again.effects.filter((one) => one.kind === "log" && one.type === "schedule_due")).toEqual([]);
    // Days later, after six: nothing to wake for.
    const tooLate = tick(`${day(4)}T19:00:00-03:00`);
    expect(tooLate.state.now.status).toBe("hibernated");
    expect(tooLate.state.schedule).toMatchObject({ doneUntil: at(`${day(4)}T18:00:00-03:00`) });
  });

  it("a schedule that is set begins now: what lies before it is not caught up", () => {
    const world = asleep({ wake_method: "manual" });
    until(world, `${day(1)}T10:00:00-03:00`);
    world.configure({ wake_method: "scheduled" });
    world.run(hour);
    expect(status(world)).toBe("deleted");
    world.configure({ schedule: { ...saoPaulo, wake_time: "11:30" } });
    until(world, `${day(1)}T11:32:00-03:00`);
    expect(status(world)).toBe("running");
    world.configure({ wake_method: "manual" });
    expect(world.state.schedule).toBeUndefined();
    until(world, `${day(1)}T19:00:00-03:00`);
    expect(status(world)).toBe("running");
  });
});
