/** Laws of `transition` over arbitrary events in every state that a world ever reaches. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { actionsFor, judgeWake, type StatusWord, statusWord, statusWords } from "./abilities.ts";
import { commandsFor } from "./commands.ts";
import { deadlines, nextDeadline } from "./deadlines.ts";
import type { Blocker, LifecycleEvent } from "./events.ts";
import { user } from "./testing/fixtures.ts";
import { brokenState, brokenStep, deepFreeze } from "./testing/invariants.ts";
import { scenario, step } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";
import { transition } from "./transition.ts";
import { type State, statuses } from "./types.ts";

/** Every status, and every step of it, at least once. */
const states: State[] = (() => {
  const kept: State[] = [];
  const keep = (world: { state: State }) => kept.push(world.state);
  const world = scenario().create();
  keep(world);
  keep(world.until(step("booting")));
  keep(world.until("running"));
  keep(world.until("idle"));
  for (const name of ["taking", "proving", "sealing"]) keep(world.until(step(name)));
  keep(world.until("destroying"));
  keep(world.wake());
  keep(world.until("restoring"));
  keep(world.until("running"));
  world.net.downUntil = world.now + 400_000;
  keep(world.until("unreachable"));
  keep(world.wake());
  keep(world.until("running").until("hibernated"));
  keep(world.until("deleted"));
  const lost = scenario();
  lost.provider.trouble.rentLost = 1;
  lost.provider.trouble.listLagMs = 50_000;
  keep(lost.create().until(step("checking")));
  keep(lost.until((one) => one.state.retiring.length > 0));
  keep(scenario().adopt({}, { neverBoots: true }).until("failed"));
  const gone = scenario().create().until("running");
  gone.vanish();
  keep(gone.until("failed"));
  keep(scenario().create().until("running").discard());
  return kept;
})();

const epoch = fc.integer({ min: 0, max: 4 });
const seq = fc.integer({ min: 1, max: 4 });
const digest = fc.constantFrom("0".repeat(64), `${"0".repeat(63)}1`);
const ref = fc.record({ seq, epoch: fc.integer({ min: 1, max: 3 }), digest });
const message = fc.constantFrom("why");
const facts = fc.record({
  providerId: fc.integer({ min: 101, max: 104 }),
  machineId: fc.option(fc.nat(3)),
  gpuType: fc.constant("RTX 4090"),
  gpuCount: fc.constant(1),
  region: fc.constant(null),
  microUsdPerHour: fc.option(fc.nat(9)),
  sshHost: fc.constant(null),
  sshPort: fc.constant(null),
});
const commandId = fc
  .tuple(fc.constantFrom("snapshot", "seal", "restore"), fc.integer({ min: 1, max: 3 }), seq)
  .map((parts) => parts.join("."));
const result = fc.oneof(
  fc.record({ commandId, outcome: fc.constant("snapshot_taken" as const), snapshot: ref, stats: fc.constant(stats()) }),
  fc.record({ commandId, outcome: fc.constant("restored" as const), digest }),
  fc.record({ commandId, outcome: fc.constant("failed" as const), code: message, message, retryable: fc.boolean() }),
);
const sealed = fc.record({
  commandId,
  snapshot: ref,
  stats: fc.constant(null),
  stoppedProcesses: fc.constant(1),
  holdsForMs: fc.nat(200_000),
});
const verdict = fc.oneof(
  fc.record({ kind: fc.constant("busy" as const), blockers: fc.constant<Blocker[]>([]) }),
  fc.record({ kind: fc.constant("quiet" as const), since: fc.nat(), ripe: fc.boolean() }),
);
const type = <T extends string>(name: T) => fc.constant(name);
const anyEvent: fc.Arbitrary<LifecycleEvent> = fc.oneof(
  fc.record({
    type: type("beat"),
    epoch,
    verdict,
    results: fc.array(result, { maxLength: 3 }),
    seal: fc.option(sealed),
    progressed: fc.boolean(),
  }),
  fc.record({ type: type("tick") }),
  fc.record({ type: type("wake"), wake: fc.constant({ actor: user, gpuType: null, region: null, askedAt: 0 }) }),
  fc.record({ type: type("hibernate"), actor: fc.constant(user) }),
  fc.record({ type: type("discard"), actor: fc.constant(user) }),
  fc.record({
    type: type("configure"),
    actor: fc.constant(user),
    config: fc.constant({ ...states[0]!.config, enabled: false }),
  }),
  fc.record({ type: type("rented"), epoch, facts }),
  fc.record({
    type: type("rentFailed"),
    epoch,
    code: message,
    message,
    tryNext: fc.boolean(),
    machineId: fc.option(fc.nat(3)),
  }),
  fc.record({ type: type("rentUnknown"), epoch }),
  fc.record({ type: type("notFound"), epoch }),
  fc.record({
    type: type("seen"),
    epoch,
    facts,
    phase: fc.constantFrom("loading", "running", "stopped", "queued", "lost"),
    fatal: fc.constantFrom(null, "host", "image"),
    message: fc.option(message),
  }),
  fc.record({ type: type("gone"), epoch, at: fc.nat() }),
  fc.record({ type: type("endTried"), epoch, accepted: fc.boolean(), message: fc.option(message) }),
  fc.record({ type: type("lookFailed"), epoch, message }),
  fc.record({ type: type("proved"), ref }),
  fc.record({ type: type("proofFailed"), ref, retryable: fc.boolean(), message }),
);

function stats() {
  return { entries: 1, files: 1, plainBytes: 1, storedBytes: 1, newStoredBytes: 1 };
}

const anyState = fc.constantFrom(...states);
const start = Math.max(...states.map((one) => one.now.since));
const anyRun = fc.array(fc.tuple(anyEvent, fc.integer({ min: -60_000, max: 1_000_000 })), { maxLength: 25 });

describe("transition", () => {
  it("the states of these tests cover every status and every word", () => {
    expect(new Set(states.map((one) => one.now.status))).toEqual(new Set(statuses));
    expect(new Set(states.map((one) => statusWord(one)))).toEqual(new Set<StatusWord>(statusWords));
  });

  it("I6, I1, I2, I3, I5, I9, I11: no events in any order, on any clock, throw, change their input or break a state", () => {
    fc.assert(
      fc.property(anyState, anyRun, (from, events) => {
        let state = deepFreeze(from);
        let now = start;
        for (const [event, ms] of events) {
          now += ms;
          const next = transition(state, deepFreeze(event), { now, timings });
          expect(brokenStep(state, event, next.state, next.effects)).toBeNull();
          expect(brokenState(next.state, timings)).toBeNull();
          state = deepFreeze(next.state);
        }
      }),
      { numRuns: Number(process.env.SONECA_FUZZ_RUNS ?? 1_500) },
    );
  });

  it("I6: the same state, event and clock give the same outcome", () => {
    fc.assert(
      fc.property(anyState, anyEvent, (state, event) => {
        const ctx = { now: start, timings };
        expect(transition(state, event, ctx)).toEqual(transition(state, event, ctx));
      }),
    );
  });

  it("I3: what is said of an epoch that no machine has changes nothing but strays' ends", () => {
    fc.assert(
      fc.property(anyState, anyEvent, (state, event) => {
        if (!("epoch" in event) || event.type === "rented" || event.type === "seen" || event.type === "discard") return;
        expect(transition(state, { ...event, epoch: 99 }, { now: start, timings })).toEqual({ state, effects: [] });
      }),
    );
  });

  it("I3: a stray is ended and the state goes on as it was", () => {
    for (const state of states) {
      const seen = {
        type: "seen",
        epoch: 99,
        facts: { ...strayFacts },
        phase: "running",
        fatal: null,
        message: null,
      } as const;
      const next = transition(state, seen, { now: start, timings });
      expect(next.state.now).toEqual(state.now);
      expect(next.effects.at(-1)).toMatchObject({ kind: "end", epoch: 99, basis: { kind: "neverHeldWork" } });
    }
  });

  it("I8: a beat that comes twice does what it does once", () => {
    fc.assert(
      fc.property(anyState, anyEvent, (state, event) => {
        if (event.type !== "beat") return;
        const ctx = { now: start, timings };
        const once = transition(state, event, ctx);
        const twice = transition(once.state, event, ctx);
        // The first beat may open a new phase, in which the same words mean nothing any more.
        if (once.state.now.status === state.now.status) expect(twice.state).toEqual(once.state);
        else expect(twice.effects.filter((one) => one.kind !== "log" && one.kind !== "look")).toEqual([]);
      }),
    );
  });
});

const strayFacts = {
  providerId: 999,
  machineId: null,
  gpuType: null,
  gpuCount: null,
  region: null,
  microUsdPerHour: null,
  sshHost: null,
  sshPort: null,
};

describe("deadlines, abilities, commands", () => {
  it("I2: every passing state has a deadline, and a late alarm moves it", () => {
    for (const state of states) {
      const late = transition(state, { type: "tick" }, { now: start + 3_600_000, timings }).state;
      // What may go from the store is nobody's passing state.
      const due = Object.keys(deadlines(late, timings)).filter((name) => name !== "collect");
      const waits = ["deleted", "failed"].includes(late.now.status) && late.retiring.length === 0;
      expect(due.length === 0).toBe(waits);
      expect(nextDeadline(late, timings) === null).toBe(Object.keys(deadlines(late, timings)).length === 0);
    }
    expect(Object.keys(deadlines(states[2]!, timings))).toEqual(["silence"]);
  });

  it("I9: failed names what is kept and offers wake and discard; no state is without an action", () => {
    for (const state of states) {
      expect(actionsFor(state).length).toBeGreaterThan(0);
      if (state.now.status !== "failed") continue;
      expect(state.now.kept).not.toBe("");
      expect(actionsFor(state)).toEqual(["wake", "configure", "discard"]);
    }
  });

  it("what abilities offer, transition takes: it says something", () => {
    for (const state of states) {
      for (const action of actionsFor(state)) {
        if (action === "configure") continue;
        const wake = { actor: user, gpuType: null, region: null, askedAt: start };
        const isNotNow = action === "not_now";
        const event: LifecycleEvent =
          action === "wake"
            ? { type: "wake", wake }
            : action === "keep_awake" || isNotNow
              ? { type: "keepAwake", actor: user, until: start + 3_600_000, what: null, isNotNow }
              : { type: action, actor: user };
        expect([
          action,
          state.now.status,
          transition(state, event, { now: start, timings }).effects.length > 0,
        ]).toEqual([action, state.now.status, true]);
      }
    }
  });

  it("I4: every state has an answer to a wake", () => {
    const kinds = states.map((state) => judgeWake(state, start + 600_000, timings).kind);
    expect(new Set(kinds)).toEqual(new Set(["awake", "join", "start"]));
  });

  it("commands are for the machine of the state alone, and one at a time", () => {
    for (const state of states) {
      expect(commandsFor(state, 99, timings)).toEqual([]);
      for (const one of [1, 2, 3]) expect(commandsFor(state, one, timings).length).toBeLessThanOrEqual(1);
    }
  });

  it("the seal's id stays the same from the first proof to the end of the machine", () => {
    const world = scenario().create().until("running");
    world.writing(true);
    world.hibernate().until(step("sealing"));
    const ids = new Set<string>();
    while (world.state.now.status !== "hibernated") {
      for (const one of commandsFor(world.state, 1, timings)) ids.add(one.id);
      world.run(1_000);
    }
    expect(ids.size).toBe(1);
  });
});
