/** GPU time by the provider's word: from when it says that the machine runs, until it accepts the destroy. */
import { describe, expect, it } from "vitest";
import type { LifecycleEvent } from "./events.ts";
import { factsOf } from "./testing/provider.ts";
import { type Scenario, scenario } from "./testing/scenario.ts";

const second = 1_000;

function seen(world: Scenario, change: Partial<Extract<LifecycleEvent, { type: "seen" }>> & { since?: number | null }) {
  const { since = null, ...rest } = change;
  const machine = world.provider.machines.at(-1)!;
  const facts = { ...factsOf(machine), runningSince: since };
  world.apply({ type: "seen", epoch: machine.epoch, facts, phase: "running", fatal: null, message: null, ...rest });
}

const charges = (world: Scenario) =>
  world.effects.flatMap((one) => (one.kind === "charge" ? [{ from: one.fromAt, to: one.toAt }] : []));

/** Running since a time that the provider told, which is earlier than the agent's first word. */
function running(): { world: Scenario; since: number } {
  const world = scenario().create().until("running");
  const since = world.now - 20 * second;
  seen(world, { since });
  return { world, since };
}

describe("the meter", () => {
  it("begins when the provider says that the machine runs, and ends when it accepts the destroy", () => {
    const { world, since } = running();
    world.provider.trouble.destroyLagMs = 40 * second;
    world.run(60 * second);
    world.hibernate().until("hibernated");
    const { stoppedAt } = world.provider.machines[0]!;
    expect(charges(world)).toHaveLength(1);
    expect(charges(world)[0]!.from).toBe(since);
    expect(charges(world)[0]!.to - stoppedAt!).toBeLessThanOrEqual(second);
  });

  it("of a machine that nobody but its agent told of ends where that last spoke, though it stands still by then", () => {
    const world = scenario().create().until("provisioning");
    world.run(1_000);
    world.provider.trouble.failsUntil = Number.POSITIVE_INFINITY;
    world.until("running").run(60 * second);
    const from = world.now - 60 * second;
    world.hibernate().until("destroying");
    const to = world.now;
    world.provider.trouble.failsUntil = 0;
    seen(world, { phase: "stopped" });
    expect(charges(world)).toHaveLength(1);
    expect(Math.abs(charges(world)[0]!.from - from)).toBeLessThanOrEqual(11 * second);
    expect(Math.abs(charges(world)[0]!.to - to)).toBeLessThanOrEqual(11 * second);
  });

  it("takes the agent's first word until the provider says more", () => {
    const world = scenario().create().until("running");
    const at = world.now;
    world.hibernate().until("hibernated");
    expect(charges(world)[0]!.from).toBeGreaterThan(at - 2 * second);
  });

  it("stands while the machine is not running, and goes on", () => {
    const { world, since } = running();
    world.run(30 * second);
    seen(world, { phase: "lost" });
    const [first] = charges(world);
    expect(first!.from).toBe(since);
    expect(world.now - first!.to).toBeLessThanOrEqual(11 * second);
    world.run(100);
    const again = world.now + 60 * second;
    world.agent!.silentUntil = again;
    world.run(60 * second);
    seen(world, { since: again - 100 });
    world.run(60 * second);
    world.hibernate().until("hibernated");
    expect(charges(world).at(-1)!.from).toBe(again - 100);
  });

  it("a machine that was shown as lost and never stopped was paid all the time", () => {
    const { world, since } = running();
    world.run(30 * second);
    seen(world, { phase: "lost" });
    seen(world, { since: since + 300 });
    world.run(30 * second);
    world.hibernate().until("hibernated");
    expect(charges(world).at(-1)!.from).toBe(since);
  });

  it("a machine that was stopped and started while nobody looked is not paid in between", () => {
    const { world, since } = running();
    world.run(30 * second);
    world.agent!.silentUntil = world.now + 1_000 * second;
    world.provider.trouble.failsUntil = world.now + 199 * second;
    const stopped = world.now;
    world.run(200 * second);
    seen(world, { since: world.now - 10 * second });
    const [first] = charges(world);
    expect(first!.from).toBe(since);
    expect(stopped - first!.to).toBeLessThanOrEqual(11 * second);
  });

  it("a machine that the provider lost is paid until it was last known to run", () => {
    const { world } = running();
    world.run(30 * second);
    world.vanish();
    const at = world.now;
    world.until("failed");
    const { to } = charges(world)[0]!;
    expect(to).toBeLessThanOrEqual(at);
    expect(at - to).toBeLessThanOrEqual(11 * second);
  });

  it("a machine that never came up costs no GPU time", () => {
    const world = scenario();
    world.provider.trouble.rentsNeverBoot = 1;
    world.create().until("running");
    expect(charges(world)).toEqual([]);
  });

  it("a machine of a state of before is paid since it was asked for", () => {
    const world = scenario().create().until("running");
    const { meter: _, ...machine } = (world.state.now as { machine: { meter?: object; rentedAt: number } }).machine;
    world.state = { ...world.state, now: { ...world.state.now, machine } as never };
    world.hibernate().until("hibernated");
    expect(charges(world)[0]!.from).toBe(machine.rentedAt);
  });
});
