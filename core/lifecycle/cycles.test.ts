/** Each sleep leaves one record, whatever becomes of it. */
import { describe, expect, it } from "vitest";
import { type Cycle, cycleChange } from "./cycles.ts";
import type { LifecycleEvent } from "./events.ts";
import { Scenario } from "./testing/scenario.ts";

class Watched extends Scenario {
  readonly changes: Cycle[] = [];

  override apply(event: LifecycleEvent, how = ""): void {
    const before = this.state;
    super.apply(event, how);
    const change = cycleChange(before, this.state, this.now);
    if (change) this.changes.push(change);
  }

  /** The newest word on each. */
  cycles(): Cycle[] {
    return [...new Map(this.changes.map((one) => [one.sleptAt, one])).values()];
  }
}

describe("cycles", () => {
  it("begin when the machine is gone and end when the next one runs", () => {
    const world = new Watched().create().until("running").hibernate().until("hibernated");
    const [begun] = world.changes;
    const machine = world.provider.machines[0]!;
    expect(begun).toMatchObject({ epoch: 1, asked: true, wokenAt: null, readyAt: null, endedAt: null });
    expect(begun!.sleptAt).toBeGreaterThanOrEqual(machine.endedAt!);
    expect(begun!.microUsdPerHour).toBeGreaterThan(0);
    world.until("deleted");
    expect(world.changes).toHaveLength(1);
    world.run(60 * 60_000);
    const asked = world.now;
    world.wake().until("running");
    expect(world.cycles()).toEqual([
      expect.objectContaining({ sleptAt: begun!.sleptAt, wokenAt: asked, readyEpoch: 2 }),
    ]);
    const [ended] = world.cycles();
    const [woke] = world.logs.filter((one) => one.type === "woke_up");
    expect(ended!.readyAt! - asked).toBe(woke!.params.wake_ms);
  });

  it("are each their own", () => {
    const world = new Watched().create();
    for (let i = 0; i < 3; i++) {
      world.until("running").hibernate().until("hibernated").run(120_000);
      world.wake();
    }
    world.until("running");
    const cycles = world.cycles();
    expect(cycles).toHaveLength(3);
    expect(cycles.every((one) => one.readyAt! > one.wokenAt! && one.wokenAt! > one.sleptAt)).toBe(true);
  });

  it("leave none for a sleep that was called off, or a machine that was discarded", () => {
    const world = new Watched().create().until("running").hibernate();
    world.run(1_000);
    world.wake().until("running");
    world.discard();
    world.until("deleted");
    expect(world.changes).toEqual([]);
  });
});
