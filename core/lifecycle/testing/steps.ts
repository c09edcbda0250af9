/** What may go wrong or be wished, as steps that fast-check makes, shrinks and prints as lines. */
import fc from "fast-check";
import { World } from "./world.ts";

export interface Step {
  says: string;
  afterMs: number;
  act: (world: World) => void;
  toString(): string;
}

function step(says: string, act: (world: World) => void, afterMs: number): Step {
  return { says, act, afterMs, toString: () => `${says}; ${(afterMs / 1000).toFixed(1)} s` };
}

const pauses = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 12_000 }) },
  { weight: 3, arbitrary: fc.integer({ min: 5_000, max: 90_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 900_000 }) },
);

function set<T extends object>(target: T, change: Partial<T>): void {
  Object.assign(target, change);
}

function more<K extends string>(counters: { [N in K]: number }, name: K): void {
  counters[name] += 1;
}

const seconds = (min: number, max: number) => fc.integer({ min, max }).map((s) => s * 1000);

function plain(says: string, act: (world: World) => void) {
  return fc.constant({ says, act });
}

function timed(says: string, ms: fc.Arbitrary<number>, act: (world: World, ms: number) => void) {
  return ms.map((value) => ({ says: `${says} ${value / 1000} s`, act: (world: World) => act(world, value) }));
}

const wishes = [
  plain("wake", (w) => w.wake()),
  plain("hibernate", (w) => w.hibernate()),
  plain("hibernate", (w) => w.hibernate()),
  plain("wake", (w) => w.wake()),
  timed("wake, trying for", seconds(60, 3_000), (w, ms) => w.wake({ keepTrying: { until: w.now + ms, tries: 0 } })),
  fc.constantFrom(1, 2, 3).map((parallel) => ({
    says: `wake, ${parallel} side by side from the start`,
    act: (w: World) => w.wake({ rent: { parallel, second_after_seconds: 0 } }),
  })),
  fc.constantFrom(null, 450_000).map((cap) => ({
    says: `wake, cap ${cap}`,
    act: (w: World) => w.wake({ maxMicroUsdPerHour: cap, rent: { parallel: 2, second_after_seconds: 30 } }),
  })),
  plain("requests wake it", (w) => w.configure({ wake_method: "auto" })),
  plain("a request", (w) => void w.knock()),
  plain("a request", (w) => void w.knock()),
  plain("a robot's request", (w) => void w.knock({ isUse: false })),
  plain("discard", (w) => w.discard()),
  fc.nat(5).map((back) => ({ says: `wake with snapshot -${back}`, act: (w: World) => w.rollBack(back) })),
  fc.nat(5).map((back) => ({ says: `wake with snapshot -${back}`, act: (w: World) => w.rollBack(back) })),
  timed("keep the newest, and for", seconds(0, 600), (w, ms) =>
    w.configure({ retention: { keep_newest: 1, keep_days: ms / 86_400_000 } }),
  ),
  plain("rule off", (w) => w.configure({ enabled: false })),
  plain("rule on", (w) => w.configure({ enabled: true })),
  timed("keep awake for", seconds(1, 1_800), (w, ms) => w.keepAwake(ms)),
  timed("not now, for", seconds(1, 600), (w, ms) => w.keepAwake(ms, true)),
  plain("let sleep", (w) => w.letSleep()),
  timed("a lease holds at most", seconds(36, 600), (w, ms) => w.configure({ keep_awake_max_hours: ms / 3_600_000 })),
  plain("only stop", (w) => w.configure({ pause_mode: "stop" })),
  plain("only stop", (w) => w.configure({ pause_mode: "stop" })),
  plain("destroy", (w) => w.configure({ pause_mode: "destroy" })),
  timed("by the clock, from in", seconds(60, 1_800), (w, ms) => w.byTheClock(ms, 10 * 60_000)),
  plain("not by the clock", (w) => w.configure({ wake_method: "manual" })),
  plain("auto", (w) => w.configure({ pause_after_idle_minutes: "auto", enabled: true })),
  plain("auto", (w) => w.configure({ pause_after_idle_minutes: "auto", enabled: true })),
  timed("a checkpoint each", seconds(60, 600), (w, ms) =>
    w.configure({ checkpoint: { enabled: true, interval_minutes: ms / 60_000, min_change_mb: 0 } }),
  ),
  plain("no checkpoints", (w) =>
    w.configure({ checkpoint: { enabled: false, interval_minutes: 30, min_change_mb: 0 } }),
  ),
  plain("one minute", (w) => w.configure({ pause_after_idle_minutes: 1 })),
  timed("delete delay", seconds(0, 600), (w, ms) => w.configure({ delete_after_pause_minutes: ms / 60_000 })),
];

const work = [
  plain("busy", (w) => w.busy(true)),
  plain("idle", (w) => w.busy(false)),
  plain("idle", (w) => w.busy(false)),
  plain("writing", (w) => w.writing(true)),
  plain("writing", (w) => w.writing(true)),
  plain("no writing", (w) => w.writing(false)),
  plain("command a begins", (w) => w.runCommand("a", true)),
  plain("command a ends", (w) => w.runCommand("a", false)),
  plain("command b begins", (w) => w.runCommand("b", true)),
  plain("command b ends", (w) => w.runCommand("b", false)),
  plain("GPU memory is held", (w) => w.memory(true)),
  plain("GPU memory is free", (w) => w.memory(false)),
  plain("agent restarts", (w) => w.restartAgents()),
  plain("machine vanishes", (w) => w.vanish()),
  plain("stopped machine vanishes", (w) => w.vanishStopped()),
  timed("the stopped machine's host is away for", seconds(1, 900), (w, ms) => w.hostAway(ms)),
  plain("somebody starts the stopped machine", (w) => w.startElsewhere()),
  plain("somebody stops the machine", (w) => w.stopElsewhere()),
];

const provider = [
  plain("rent: refused", (w) => more(w.provider.trouble, "rentFails")),
  plain("rent: answer lost", (w) => more(w.provider.trouble, "rentLost")),
  plain("rent: never boots", (w) => more(w.provider.trouble, "rentsNeverBoot")),
  plain("rent: no offer", (w) => more(w.provider.trouble, "noOffer")),
  timed("boots later by", seconds(0, 900), (w, ms) => set(w.provider.trouble, { bootLagMs: ms })),
  fc.constantFrom(300_000, 400_000, 500_000).map((price) => ({
    says: `price ${price}`,
    act: (w: World) => set(w.provider.trouble, { microUsdPerHour: price }),
  })),
  fc.constantFrom(300_000, 500_000).map((price) => ({
    says: `every machine costs ${price} now`,
    act: (w: World) => w.provider.reprice(price),
  })),
  timed("list lags", seconds(0, 50), (w, ms) => set(w.provider.trouble, { listLagMs: ms })),
  timed("provider is down for", seconds(1, 200), (w, ms) => set(w.provider.trouble, { failsUntil: w.now + ms })),
  plain("destroy: refused", (w) => more(w.provider.trouble, "destroyFails")),
  plain("destroy: answer lost", (w) => more(w.provider.trouble, "destroyLost")),
  timed("destroy lags", seconds(0, 60), (w, ms) => set(w.provider.trouble, { destroyLagMs: ms })),
  plain("stop: refused", (w) => more(w.provider.trouble, "stopFails")),
  timed("stop lags", seconds(0, 200), (w, ms) => set(w.provider.trouble, { stopLagMs: ms })),
  plain("start: refused", (w) => more(w.provider.trouble, "startFails")),
  plain("start: queued", (w) => more(w.provider.trouble, "startQueued")),
  plain("start: queued, unsaid", (w) => more(w.provider.trouble, "startQueuedUnsaid")),
  plain("provider says gone, falsely", (w) => more(w.provider.trouble, "saysGone")),
];

const net = [
  timed("net is down for", seconds(1, 400), (w, ms) => set(w.net, { downUntil: w.now + ms })),
  fc
    .integer({ min: 1, max: 4 })
    .map((n) => ({ says: `${n} beats lost`, act: (w: World) => set(w.net, { beatsLost: n }) })),
  fc
    .integer({ min: 1, max: 4 })
    .map((n) => ({ says: `${n} answers lost`, act: (w: World) => set(w.net, { answersLost: n }) })),
  timed("next beat is late by", seconds(1, 4), (w, ms) => set(w.net, { delayMs: ms })),
  timed("next call takes", seconds(1, 8), (w, ms) => set(w.net, { slowMs: ms })),
  plain("cut off after the next call", (w) => more(w.net, "cutOff")),
  fc.nat(11).map((n) => ({ says: `event -${n} comes again`, act: (w: World) => w.echo(n) })),
  fc.nat(11).map((n) => ({ says: `event -${n} comes again`, act: (w: World) => w.echo(n) })),
  fc.nat(3).map((back) => ({
    says: `snapshot -${back} is damaged while it is not wanted`,
    act: (w: World) => w.damage(back),
  })),
  timed("store is down for", seconds(1, 60), (w, ms) => set(w.store, { failsUntil: w.now + ms })),
  fc.integer({ min: 1, max: 5 }).map((n) => ({
    says: `${n} uploads fail`,
    act: (w: World) => set(w.store, { uploadsFail: n }),
  })),
  fc.constantFrom("ok" as const, "fails" as const, "veto" as const, null).map((hook) => ({
    says: `scripts: ${hook}`,
    act: (w: World) => w.scripts(hook),
  })),
  plain("an upload is refused", (w) => more(w.store, "uploadsRefused")),
];

/** Straight into the narrow places, which single steps seldom reach. */
const ways = [
  timed("sleep until sealed, provider down for", seconds(1, 300), (w, ms) => {
    w.writing(true);
    w.configure({ enabled: true });
    w.hibernate();
    for (let i = 0; i < 120 && w.state.now.status !== "destroying"; i++) {
      set(w.provider.trouble, { failsUntil: w.now + ms });
      w.run(500);
    }
  }),
  timed("sealed, and nobody hears the agent for", seconds(1, 300), (w, ms) => {
    if (w.state.now.status === "destroying") set(w.net, { downUntil: w.now + ms });
  }),
  // Several machines under way for one wake.
  timed("asleep, awake with rivals, slow by", seconds(0, 900), (w, ms) => {
    for (let i = 0; i < 100 && w.state.now.status !== "hibernated"; i++) w.run(2_000);
    set(w.provider.trouble, { bootLagMs: ms });
    w.wake({ rent: { parallel: 3, second_after_seconds: 5 } });
    w.run(30_000);
    set(w.provider.trouble, { bootLagMs: 0 });
  }),
  // With the rule off nobody but the request itself puts it to sleep.
  fc.tuple(fc.integer({ min: 1, max: 4 }), seconds(0, 3_600)).map(([n, ms]) => ({
    says: `asked to sleep, rule off, ${n} uploads fail, then ${ms / 1000} s`,
    act: (w: World) => {
      w.configure({ enabled: false });
      set(w.store, { uploadsFail: n });
      w.hibernate();
      w.run(ms);
    },
  })),
  timed("checkpoints of a busy machine, which vanishes after", seconds(30, 900), (w, ms) => {
    w.configure({ checkpoint: { enabled: true, interval_minutes: 1, min_change_mb: 0 } });
    w.busy(true);
    w.writing(true);
    w.run(ms);
    w.vanish();
    w.run(300_000);
    w.wake();
  }),
  plain("a rival vanishes", (w) => w.vanishNewest()),
  // Both stages: the workspace is in the store, and the machine waits for tau.
  timed("auto, uploaded, then busy after", seconds(0, 2_400), (w, ms) => {
    w.configure({ pause_after_idle_minutes: "auto", enabled: true });
    w.busy(false);
    for (let i = 0; i < 240 && !w.state.auto?.gap?.uploadedAt; i++) w.run(2_000);
    w.run(ms);
    w.busy(true);
  }),
  timed("a flicker while it is uploaded, quiet for", seconds(0, 600), (w, ms) => {
    w.busy(false);
    for (let i = 0; i < 240 && w.state.now.status !== "snapshotting"; i++) w.run(1_000);
    w.busy(true);
    w.run(6_000);
    w.busy(false);
    w.run(ms);
  }),
  plain("asleep by auto and awake again", (w) => {
    w.configure({ pause_after_idle_minutes: "auto", enabled: true });
    w.busy(false);
    for (let i = 0; i < 600 && w.state.now.status !== "hibernated"; i++) w.run(5_000);
    w.wake();
  }),
  plain("wake while it is destroyed", (w) => void (w.state.now.status === "destroying" && w.wake())),
  plain("asleep and awake again", (w) => {
    for (let i = 0; i < 100 && w.state.now.status !== "hibernated"; i++) w.run(2_000);
    w.wake();
  }),
];

const stopWays = [
  timed("asleep, only stopped, and awake after", seconds(0, 1_200), (w, ms) => {
    w.configure({ pause_mode: "stop" });
    w.hibernate();
    for (let i = 0; i < 100 && w.state.now.status !== "hibernated"; i++) w.run(2_000);
    w.run(ms);
    w.wake();
  }),
  timed("asleep, only stopped, damaged, and after", seconds(0, 3_600), (w, ms) => {
    w.configure({ pause_mode: "stop" });
    w.hibernate();
    for (let i = 0; i < 100 && w.state.now.status !== "hibernated"; i++) w.run(2_000);
    w.damage(0);
    w.run(ms);
  }),
  // The wake counts an epoch on, and nothing runs.
  timed("only stopped, a wake that finds nothing, damaged, and after", seconds(0, 3_600), (w, ms) => {
    w.configure({ pause_mode: "stop" });
    w.writing(true);
    w.hibernate();
    for (let i = 0; i < 100 && w.state.now.status !== "hibernated"; i++) w.run(2_000);
    w.run(60_000);
    set(w.provider.trouble, { noOffer: 1 });
    w.wake({ gpuType: "H100" });
    w.run(10_000);
    w.damage(0);
    w.run(ms);
  }),
];

const anything = fc.oneof(
  { weight: 1, arbitrary: fc.oneof(...stopWays) },
  { weight: 2, arbitrary: fc.oneof(...ways) },
  { weight: 4, arbitrary: fc.oneof(...wishes) },
  { weight: 4, arbitrary: fc.oneof(...work) },
  { weight: 2, arbitrary: fc.oneof(...provider) },
  { weight: 4, arbitrary: fc.oneof(...net) },
);

export const stepsArbitrary: fc.Arbitrary<Step[]> = fc.array(
  fc.tuple(anything, pauses).map(([{ says, act }, afterMs]) => step(says, act, afterMs)),
  { minLength: 1, maxLength: 40, size: "max" },
);

/** Plays the steps and rests. Throws at the first broken invariant. */
export function play(kind: "created" | "adopted", steps: Step[]): World {
  const world = new World();
  if (kind === "created") world.create();
  else world.adopt();
  for (const one of steps) {
    world.tell(one.says);
    one.act(world);
    world.run(one.afterMs);
  }
  world.tell("rest");
  world.rest();
  return world;
}
