/** Waking, told as stories. */
import { describe, expect, it } from "vitest";
import { actionsFor, judgeWake } from "./abilities.ts";
import { restoreCommandId } from "./commands.ts";
import { scenario, step } from "./testing/scenario.ts";
import { timings } from "./testing/world.ts";

const minute = 60_000;

describe("I4: a wake is never lost", () => {
  it("I4: in running it is awake, and the idle window begins anew", () => {
    const world = scenario().create().until("running").quietFor(50_000).wake();
    world.run(50_000);
    expect(world.state.now.status).toBe("running");
  });

  for (const name of ["taking", "proving", "sealing"]) {
    it(`I4: in ${name} it calls the sleep off`, () => {
      const world = scenario().create().until("running").hibernate().until(step(name)).wake();
      expect(world.state.now.status).toBe("running");
      world.run(30_000);
      expect(world.agent?.seal).toBeNull();
    });
  }

  it("I4: in destroying it waits for the end and then wakes", () => {
    const world = scenario().create().until("destroying").wake();
    world.until("running");
    expect(world.state.epoch).toBe(2);
    expect(world.said()).toContain("hibernated");
  });

  it("I4: a sleep whose seal ended goes back to running for it", () => {
    const world = scenario().create().until("running").hibernate();
    world.provider.trouble.failsUntil = world.now + 10 * minute;
    world.until("destroying").wake();
    world.net.downUntil = world.now + 150_000;
    world.until("running");
    expect(world.state.epoch).toBe(1);
    expect(world.state.now).toMatchObject({ wake: { actor: { kind: "user" } } });
  });

  it("I4: it outlives a machine that is found to be gone right after the sleep was called off", () => {
    const world = scenario().create().until("hibernated").wake().until("running").hibernate();
    world.run(7_000);
    world.vanish();
    world.wake().until((w) => w.state.now.status === "unreachable");
    world.until("provisioning").until("running");
    expect(world.state.epoch).toBe(3);
  });

  it("I4: in unreachable it is kept until the machine answers or is gone", () => {
    const world = scenario().create().until("hibernated").wake().until("running");
    world.vanish();
    world.until("unreachable").wake().until("running");
    expect(world.state.epoch).toBe(3);
  });

  it("I4: a second wake joins the first; a new one is limited to one a minute", () => {
    const world = scenario().create().until("hibernated").wake();
    world.run(1_000);
    world.wake();
    expect(world.count("rent")).toBe(2);
    world.hibernate();
    expect(judgeWake(world.state, world.now, timings)).toEqual({ kind: "limited", retryAfterMs: 59_000 });
  });
});

describe("a wake that is called off", () => {
  it("in destroying: the machine ends and nothing is rented", () => {
    const world = scenario().create().until("destroying").wake();
    expect(actionsFor(world.state)).not.toContain("discard");
    world.hibernate().until("hibernated");
    world.run(minute);
    expect(world.count("rent")).toBe(1);
  });
});

describe("the wake ladder", () => {
  it("I11: after a lost answer a refusal proves nothing: the label decides", () => {
    const world = scenario();
    Object.assign(world.provider.trouble, { rentLost: 1, listLagMs: 8_000 });
    world.create().until(step("checking"));
    world.apply({ type: "rentFailed", epoch: 1, code: "offer_gone", message: "", tryNext: true, machineId: null });
    world.until("running");
    expect(world.state.epoch).toBe(1);
    expect(world.count("rent")).toBe(1);
  });

  it("a restored workspace with another digest is restored again, then on another machine", () => {
    const world = scenario().create().until("hibernated").wake().until("restoring");
    for (let tries = 1; tries <= 3; tries++) {
      const result = { commandId: restoreCommandId(2, tries), outcome: "restored", digest: "f".repeat(64) } as const;
      const verdict = { kind: "quiet", since: world.now, ripe: false } as const;
      world.apply({ type: "beat", epoch: 2, verdict, results: [result], seal: null, progressed: false });
      expect(world.state.now.status).toBe(tries < 3 ? "restoring" : "provisioning");
    }
    world.until("running");
    expect(world.state.epoch).toBe(3);
  });

  it("goes back to where it was when no machine is to be had, and says so", () => {
    const world = scenario().create().until("hibernated");
    const { deleteAt } = world.state.now as { deleteAt: number };
    world.provider.trouble.rentFails = 99;
    world.wake().run(5_000);
    expect(world.state).toMatchObject({ now: { status: "hibernated", deleteAt }, trouble: { code: "offer_gone" } });
    expect(world.said()).toContain("wake_failed");
  });

  it("a pause that ended while the wake was tried ends right after it", () => {
    const world = scenario().create().until("hibernated");
    world.provider.trouble.rentsNeverBoot = 99;
    world.wake();
    world.until(() => world.said().includes("wake_failed")).until("deleted", 5_000);
    expect(world.paid()).toBe(0);
  });

  it("a machine that never boots is given back and its host avoided", () => {
    const world = scenario().create().until("hibernated");
    world.provider.trouble.rentsNeverBoot = 1;
    world.wake({ rent: { parallel: 1 } }).until("running");
    expect(world.state.epoch).toBe(3);
    expect(world.state.avoid).toHaveLength(1);
    world.until(() => world.state.retiring.length === 0);
    expect(world.paid()).toBe(1);
  });

  it("I11: a rental whose answer was lost is found by its label, not rented twice", () => {
    const world = scenario();
    world.provider.trouble.rentLost = 1;
    world.create().until("running");
    expect(world.count("rent")).toBe(1);
    expect(world.paid()).toBe(1);
  });

  it("I11: a rental that turns up after it was given up is ended", () => {
    const world = scenario();
    Object.assign(world.provider.trouble, { rentLost: 1, listLagMs: 50_000 });
    world.provider.bootMs = 100_000;
    world.create().until((w) => w.state.epoch === 2);
    world.provider.trouble.listLagMs = 0;
    world.until(
      (w) => w.state.now.status === "running" && w.state.retiring.length === 0 && w.provider.paid(w.now).length === 1,
    );
    expect(world.said()).toContain("orphan_found");
  });

  it("an agent that speaks before the provider answered is used only when its machine is known", () => {
    const world = scenario();
    world.provider.bootMs = 200;
    world.provider.trouble.rentLost = 1;
    world.provider.trouble.listLagMs = 12_000;
    world.create().until("running");
    expect(world.state.now).toMatchObject({ machine: { facts: { providerId: 101 } } });
    expect(world.state.epoch).toBe(1);
  });

  it("a damaged snapshot ends the wake at once: it is damaged on every machine", () => {
    const world = scenario().create().until("hibernated");
    world.store.damaged = true;
    world.wake().until("restoring").until("hibernated");
    expect(world.state.epoch).toBe(2);
    expect(world.state.trouble).toMatchObject({ code: "snapshot_damaged" });
  });

  it("a wake that is called off gives the machine back", () => {
    const world = scenario().create().until("hibernated").wake().until("restoring").hibernate();
    expect(world.state.now.status).toBe("hibernated");
    world.until(() => world.state.retiring.length === 0, minute);
    expect(world.paid()).toBe(0);
  });
});
