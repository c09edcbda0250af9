/** Scripts before a sleep and after a wake, as the lifecycle sees them. */
import { describe, expect, it } from "vitest";
import { awakeBlockers } from "./awake.ts";
import { commandsFor, snapshotCommandId } from "./commands.ts";
import { user } from "./testing/fixtures.ts";
import { type Scenario, scenario } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";

const minute = 60_000;
/** The agent's next snapshots end so. */
function hookSays(world: Scenario, outcome: "veto" | "fails" | "ok"): void {
  for (const { agent } of world.provider.machines) agent.hook = outcome;
}

function snapshotCommand(world: Scenario) {
  const [command] = commandsFor(world.state, world.state.epoch, timings);
  return command?.kind === "snapshot" ? command : null;
}

describe("before a sleep", () => {
  it("the snapshot's command carries it, with who wants the sleep, and without a right to object when forced", () => {
    const hooks = { before_sleep: "save.sh", after_wake: null, timeout_seconds: 30 };
    const world = scenario().create({ hooks }).until("running").quietFor(minute).until("snapshotting");
    const carried = { run: "save.sh", timeoutMs: 30_000, reason: "idle", mayVeto: true };
    expect(snapshotCommand(world)?.hook).toEqual(carried);
    world.apply({ type: "hibernate", actor: user });
    expect(snapshotCommand(world)?.hook).toEqual({ ...carried, reason: "asked" });
    world.apply({ type: "hibernate", actor: user, force: true });
    expect(snapshotCommand(world)?.hook).toEqual({ ...carried, reason: "asked", mayVeto: false });
  });

  it("a no keeps it awake for a rest, says why, is no trouble, and is asked again, later and later", () => {
    const world = scenario().create().until("running");
    hookSays(world, "veto");
    world.quietFor(minute).until("snapshotting").until("running");
    const { veto } = world.state;
    expect(veto).toMatchObject({ count: 1, until: veto!.at + timings.restAfterFailureMs });
    expect(awakeBlockers(world.state, world.now)).toMatchObject([
      { signal: "hook", code: "hook_veto", until: veto!.until, detail: expect.stringContaining("training") },
    ]);
    expect(world.state.trouble).toBeNull();
    expect(world.logs.findLast((one) => one.type === "sleep_vetoed")?.params).toMatchObject({ until: veto!.until });
    expect(world.logs.findLast((one) => one.type === "hook_failed")?.params).toMatchObject({
      exit: 9,
      tail: "training",
    });
    const rests: number[] = [];
    for (let i = 0; i < 4; i++) {
      world.until("snapshotting").until("running");
      rests.push((world.state.veto!.until - world.state.veto!.at) / minute);
    }
    expect(rests).toEqual([10, 20, 30, 30]);
    hookSays(world, "ok");
    world.until("hibernated");
    expect(world.state.veto).toBeUndefined();
  });

  it("a sleep that was asked for stands behind a no; forced, it goes through", () => {
    const world = scenario().create({ enabled: false }).until("running");
    hookSays(world, "veto");
    world.hibernate().until("snapshotting").until("running");
    expect(world.state.standing).toMatchObject({ code: "hook_veto", at: world.state.veto!.until });
    world.until("snapshotting").until("running");
    expect(world.state.standing).toMatchObject({ tries: 2 });
    world.hibernate(true).until("hibernated");
    expect(world.said()).toContain("hook_failed");
  });

  it("force stands through failures as well", () => {
    const world = scenario().create({ enabled: false }).until("running");
    hookSays(world, "veto");
    world.store.uploadsFail = 1;
    world.hibernate(true).until("snapshotting").until("running");
    expect(world.state.standing).toMatchObject({ force: true });
    world.until("hibernated");
  });

  it("under auto it is not run for the early upload, and is run before the machine goes", () => {
    const world = scenario().create({ pause_after_idle_minutes: "auto" }).until("running").quietFor(minute);
    world.until("snapshotting");
    expect(snapshotCommand(world)?.hook).toBeUndefined();
    world.until(({ state }) => !!state.auto?.gap?.uploadedAt && state.now.status === "running");
    world.until("snapshotting");
    expect(snapshotCommand(world)?.hook).toMatchObject({ reason: "idle" });
    world.until("hibernated");
  });

  it("where the time comes during the early upload it is run then, and what it leaves is taken as well", () => {
    const world = scenario().create({ pause_after_idle_minutes: "auto" }).until("running").quietFor(minute);
    world.until("snapshotting");
    world.apply({ type: "hibernate", actor: user });
    const first = world.state.seq;
    world.until((one) => !!snapshotCommand(one as Scenario)?.hook);
    expect(world.state.seq).toBeGreaterThan(first);
    world.until("hibernated");
    expect(world.said().filter((type) => type === "snapshot_proved").length).toBeGreaterThanOrEqual(2);
  });
});

describe("after a wake", () => {
  it("the restore's command carries it, and a failure is told and wakes all the same", () => {
    const hooks = { before_sleep: null, after_wake: "serve.sh", timeout_seconds: 30 };
    const world = scenario().create({ hooks }).until("running").hibernate().until("hibernated");
    world.wake().until("restoring");
    expect(commandsFor(world.state, world.state.epoch, timings)).toMatchObject([
      { kind: "restore", hook: { run: "serve.sh", timeoutMs: 30_000, reason: "wake", mayVeto: false } },
    ]);
    hookSays(world, "fails");
    world.until("running");
    expect(world.logs.findLast((one) => one.type === "hook_failed")?.params).toMatchObject({ hook: "after_wake" });
    expect(world.state.trouble).toBeNull();
  });
});

it("an agent of before does as it did", () => {
  const world = scenario().create().until("running").hibernate();
  expect(snapshotCommand(world)).toMatchObject({ id: snapshotCommandId(1, world.state.seq), seq: world.state.seq });
});

describe("after a wake, where nothing is restored", () => {
  const hookCommand = (world: Scenario) => {
    const [command] = commandsFor(world.state, world.state.epoch, timings);
    return command?.kind === "hook" ? command : null;
  };

  it("a sleep that is called off after its script was asked for owes the other one, once", () => {
    const world = scenario().create({ enabled: false }).until("running");
    hookSays(world, "ok");
    world.hibernate().until("snapshotting");
    world.wake();
    expect(world.state.now.status).toBe("running");
    const command = hookCommand(world);
    expect(command?.hook).toMatchObject({ reason: "called_off", mayVeto: false });
    world.run(minute);
    expect(world.state.afterWake).toBeUndefined();
    expect(world.logs.findLast((one) => one.type === "hook_ran")?.params).toMatchObject({ hook: "after_wake" });
    expect(hookCommand(world)).toBeNull();
  });

  it("one that said no is owed nothing", () => {
    const vetoed = scenario().create({ enabled: false }).until("running");
    hookSays(vetoed, "veto");
    vetoed.hibernate().until("snapshotting").until("running");
    expect(vetoed.state.afterWake).toBeUndefined();
  });

  it("a machine that was only stopped has it run", () => {
    const world = scenario().create({ enabled: false, pause_mode: "stop" }).until("running");
    hookSays(world, "ok");
    world.hibernate().until("hibernated");
    world.wake().until("running");
    expect(hookCommand(world)?.hook).toMatchObject({ reason: "wake" });
    world.run(minute);
    expect(world.logs.filter((one) => one.type === "hook_ran").map((one) => one.params.hook)).toEqual([
      "before_sleep",
      "after_wake",
    ]);
  });
});
