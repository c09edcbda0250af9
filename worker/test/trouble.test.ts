/** What must never happen, whatever the store, the provider and the read model do: a machine ended without its proof. */
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { SnapshotRef } from "../../core/protocol/wire.ts";
import { accountOf } from "../account/accounts.ts";
import type { Env } from "../env.ts";
import type { InstanceObject } from "../instance/object.ts";
import {
  advance,
  alarmAfter,
  api,
  FakeAgent,
  fallAsleep,
  newUser,
  realWait,
  runningInstance,
  Sleeper,
  settle,
  sqlOf,
  stats,
  stubOf,
  type TestUser,
  until,
  upToSeal,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, vastErrors } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

/** The bindings as this one object sees them: a test may put another in their place. */
async function envOf(id: string): Promise<{ DB: D1Database; SNAPSHOTS: R2Bucket }> {
  return runInDurableObject<InstanceObject, { DB: D1Database; SNAPSHOTS: R2Bucket }>(
    stubOf(id),
    (object) => (object as unknown as { env: { DB: D1Database; SNAPSHOTS: R2Bucket } }).env,
  );
}

/** D1 for everything but the read model, so that people can still be told from each other. */
function withoutReadModel(db: D1Database): D1Database {
  const prepare = (sql: string) => {
    if (/^insert into "(instance_status|hibernation_events)"/.test(sql)) throw new Error("D1_ERROR: no answer");
    return db.prepare(sql);
  };
  return { prepare } as D1Database;
}

describe("destroy only after proof", () => {
  const proofFaults: Record<
    string,
    (nest: Sleeper, agent: FakeAgent, ref: SnapshotRef, keys: string[]) => Promise<SnapshotRef>
  > = {
    "a missing part": async (nest, _agent, ref, keys) => {
      await env.SNAPSHOTS.delete(`i/${nest.id}/parts/${keys[1]}`);
      return ref;
    },
    "a part of the wrong size": async (nest, _agent, ref, keys) => {
      await env.SNAPSHOTS.put(`i/${nest.id}/parts/${keys[1]}`, "short");
      return ref;
    },
    "a part of another size than the manifest tells": async (nest, agent, ref) => {
      const name = `i/${nest.id}/manifests/${String(ref.seq).padStart(8, "0")}-${agent.epoch}`;
      const manifest = await (await env.SNAPSHOTS.get(name))!.json<{ parts: { bytes: number }[] }>();
      manifest.parts[0]!.bytes++;
      await env.SNAPSHOTS.put(name, JSON.stringify(manifest));
      return ref;
    },
    "a part whose hash was never verified": async (nest, _agent, ref, keys) => {
      const object = await env.SNAPSHOTS.get(`i/${nest.id}/parts/${keys[0]}`);
      await env.SNAPSHOTS.put(`i/${nest.id}/parts/${keys[0]}`, await object!.arrayBuffer());
      return ref;
    },
    "no manifest": async (nest, agent, ref) => {
      await env.SNAPSHOTS.delete(`i/${nest.id}/manifests/${String(ref.seq).padStart(8, "0")}-${agent.epoch}`);
      return ref;
    },
    "a manifest that cannot be read": async (nest, agent, ref) => {
      await env.SNAPSHOTS.put(`i/${nest.id}/manifests/${String(ref.seq).padStart(8, "0")}-${agent.epoch}`, "{");
      return ref;
    },
    "another digest than the agent tells": async (_nest, _agent, ref) => ({ ...ref, digest: "0".repeat(64) }),
  };

  it.each(Object.keys(proofFaults))("%s keeps the machine and says why", async (fault) => {
    const { nest, agent } = await runningInstance(vast, user);
    await nest.post("hibernate");
    await agent.beat({ gpu: 0 });
    const { id, seq } = agent.command("snapshot");
    const { ref, keys } = await agent.store(seq);
    const told = await proofFaults[fault]!(nest, agent, ref, keys);
    await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "snapshot_taken", snapshot: told, stats }] });
    await settle(nest.id);
    await agent.beat({
      gpu: 0,
      seal: { commandId: `seal.1.${seq}`, snapshot: told, stats: null, stoppedProcesses: 1, holdsForMs: 120_000 },
    });
    await settle(nest.id);
    await keptAwake(nest, "snapshot_not_proved");
  });

  it("entries that changed while they were read keep the machine", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await nest.post("hibernate");
    await agent.beat({ gpu: 0 });
    const { id, seq } = agent.command("snapshot");
    const { ref } = await agent.store(seq, {}, 1);
    await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "snapshot_taken", snapshot: ref, stats }] });
    await settle(nest.id);
    await keptAwake(nest, "snapshot_not_proved");
  });

  it("an agent that failed keeps the machine", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await nest.post("hibernate");
    await agent.beat({ gpu: 0 });
    const { id } = agent.command("snapshot");
    const failed = { commandId: id, outcome: "failed", code: "disk_full", message: "no space", retryable: false };
    await agent.beat({ gpu: 0, results: [failed] });
    await settle(nest.id);
    await keptAwake(nest, "disk_full");
  });

  it("a store that does not answer proves nothing and is asked again", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await nest.post("hibernate");
    await agent.beat({ gpu: 0 });
    const { id, seq } = agent.command("snapshot");
    const { ref } = await agent.store(seq);
    const world = await envOf(nest.id);
    const { SNAPSHOTS } = world;
    world.SNAPSHOTS = { get: () => Promise.reject(new Error("internal error (10001)")) } as unknown as R2Bucket;
    await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "snapshot_taken", snapshot: ref, stats }] });
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "snapshotting", snapshot: null });
    world.SNAPSHOTS = SNAPSHOTS;
    await alarmAfter(nest.id, 5_500);
    expect((await nest.view()).snapshot_id).toBe(`${nest.id}@${seq}`);
    expect(vast.count("destroy")).toBe(0);
  });

  it("a sealed workspace with another digest than the proved one is not destroyed before that one is proved too", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await upToSeal(nest, agent);
    const lie = { ...ref, digest: "0".repeat(64) };
    await agent.beat({ gpu: 0, seal: agent.sealOf(lie) });
    await settle(nest.id);
    await keptAwake(nest, "snapshot_not_proved");

    await nest.post("hibernate");
    await agent.beat({ gpu: 0 });
    const taken = agent.command("snapshot");
    const first = await agent.store(taken.seq);
    await agent.beat({
      gpu: 0,
      results: [{ commandId: taken.id, outcome: "snapshot_taken", snapshot: first.ref, stats }],
    });
    await settle(nest.id);
    await agent.beat({ gpu: 0 });
    const seal = agent.command("seal");
    const second = await agent.store(seal.seq);
    const held = { commandId: seal.id, snapshot: second.ref, stats: null, stoppedProcesses: 1, holdsForMs: 120_000 };
    await agent.beat({ gpu: 0, seal: held });
    expect(vast.count("destroy")).toBe(0);
    await settle(nest.id);
    await agent.beat({ gpu: 0, seal: held });
    await settle(nest.id);
    expect(vast.count("destroy")).toBe(1);
    expect((await nest.view()).snapshot_id).toBe(`${nest.id}@${seal.seq}`);
  });

  async function keptAwake(nest: Sleeper, code: string): Promise<void> {
    const view = await nest.view();
    expect(view).toMatchObject({ state: "running", trouble: { code } });
    expect(view.trouble!.message.length).toBeGreaterThan(3);
    expect(await nest.eventTypes()).toContain("snapshot_failed");
    expect(vast.count("destroy")).toBe(0);
    expect(vast.ofInstance(nest.id).length).toBe(1);
  }
});

/** Whoever waits for the provider's interval waits until it is let go. */
function holdTurns(): { waits(): number; release(): void } {
  const held = vi.mocked(scheduler.wait);
  const shortly = held.getMockImplementation()!;
  let [waiting, isHeld] = [0, true];
  held.mockImplementation(async (ms: number) => {
    waiting++;
    while (isHeld) await realWait(5);
    await shortly(ms);
  });
  const release = () => {
    isHeld = false;
    held.mockImplementation(shortly);
  };
  return { waits: () => waiting, release };
}

describe("the seal", () => {
  it("that lasts as long as the destroys of other machines are in the way is good: the wait costs the call nothing", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await upToSeal(nest, agent);
    await accountOf(env as Env).turn("destroy");
    const turn = holdTurns();
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    await until("it waits for its turn", async () => turn.waits() > 0);
    // A destroy that was sent has ten seconds; this one was not.
    advance(30_000);
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    turn.release();
    await until("it is gone", async () => vast.ofInstance(nest.id).length === 0);
    expect(await nest.eventTypes()).not.toContain("destroy_failed");
  });

  it("that ends before the destroy is sent leaves the machine alone", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await upToSeal(nest, agent);
    // Fifteen seconds go for travel and call: a seal that holds no longer is none.
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref, 14_000) });
    await settle(nest.id);
    await alarmAfter(nest.id, 30_000);
    expect(vast.count("destroy")).toBe(0);
    expect(await nest.view()).toMatchObject({ state: "snapshotting" });
    expect(await nest.eventTypes()).toContain("seal_expired");
  });

  it("that ends while the destroys of other machines are in the way is no basis for a destroy", async () => {
    const first = await runningInstance(vast, user);
    advance(10_000);
    const second = await runningInstance(vast, user);
    const refs = [await upToSeal(first.nest, first.agent), await upToSeal(second.nest, second.agent)];
    await first.agent.beat({ gpu: 0, seal: first.agent.sealOf(refs[0]!) });
    await until("the first is destroyed", async () => vast.ofInstance(first.nest.id).length === 0);
    const turn = holdTurns();
    // Sealed for 20 s: five for the way here, and ten for a destroy that has been sent.
    await second.agent.beat({ gpu: 0, seal: second.agent.sealOf(refs[1]!, 20_000) });
    await until("the second waits for its turn", async () => turn.waits() > 0);
    advance(21_000);
    turn.release();
    // Whoever comes after it has its turn: it had its own.
    await accountOf(env as Env).turn("destroy");
    await realWait(100);
    await settle(second.nest.id);
    expect(vast.ofInstance(first.nest.id)).toEqual([]);
    expect(vast.ofInstance(second.nest.id).length).toBe(1);
    // It speaks again, holds a seal again, and goes the whole way.
    await second.agent.beat({ gpu: 0 });
    await alarmAfter(second.nest.id, 15_000);
    await second.agent.beat({ gpu: 0, seal: second.agent.sealOf(refs[1]!) });
    await settle(second.nest.id);
    expect(vast.ofInstance(second.nest.id)).toEqual([]);
  });
});

describe("the provider", () => {
  async function upToDestroy(fault: () => Response | Promise<Response>) {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await upToSeal(nest, agent);
    vast.always.destroy = fault;
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    await settle(nest.id);
    return { nest, agent, ref };
  }

  it("that says it destroyed a machine, and goes on listing it, is written down and asked again", async () => {
    const { nest } = await upToDestroy(() => Response.json({ success: true }));
    for (let i = 0; i < 8; i++) await alarmAfter(nest.id, 61_000);
    expect(vast.ofInstance(nest.id).length).toBe(1);
    const failed = (await nest.events()).filter((one) => one.event_type === "destroy_failed");
    expect(failed.map((one) => one.params)).toEqual([{ epoch: 1, message: "accepted, and still there", tries: 6 }]);
    vast.always = {};
    await alarmAfter(nest.id, 61_000);
    await alarmAfter(nest.id, 61_000);
    expect(vast.ofInstance(nest.id)).toEqual([]);
    expect(await nest.view()).toMatchObject({ state: "hibernated", retiring_machines: [] });
  });

  it.each([
    ["that is down", vastErrors.down],
    ["that never answers", vastErrors.lost],
    ["whose key was revoked, and that says 404", vastErrors.auth],
    ["that says 404 and nothing else", () => new Response("not found", { status: 404 })],
    ["that says 404 in JSON of no known kind", () => Response.json({ success: false }, { status: 404 })],
  ])("%s during a destroy is asked again; nothing is done before it is done", async (_what, fault) => {
    const { nest, agent, ref } = await upToDestroy(fault);
    for (let i = 0; i < 3; i++) {
      await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
      await alarmAfter(nest.id, 15_000);
    }
    const view = await nest.view();
    expect(view).toMatchObject({ state: "destroying", status: "hibernating", retiring_machines: [{ epoch: 1 }] });
    expect(vast.ofInstance(nest.id).length).toBe(1);
    expect(await nest.eventTypes()).toContain("destroy_failed");
    expect(await nest.eventTypes()).not.toContain("machine_gone");
    expect(vast.count("destroy")).toBeGreaterThanOrEqual(3);
    const paid = view.cost.paid_micro_usd;

    vast.always = {};
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    await alarmAfter(nest.id, 60_000);
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) }).catch(() => {});
    await alarmAfter(nest.id, 20_000);
    await alarmAfter(nest.id, 10_000);
    expect(await nest.view()).toMatchObject({ state: "hibernated", retiring_machines: [] });
    expect(vast.ofInstance(nest.id)).toEqual([]);
    expect((await nest.view()).cost.paid_micro_usd).toBeGreaterThan(paid);
  });

  it.each([
    ["fails", vastErrors.down],
    ["is refused for the key", vastErrors.auth],
    ["is short", () => Response.json({ success: true, total_instances: 1, next_token: null, instances: [] })],
    ["holds no list", () => Response.json({ success: true })],
    ["is a page of HTML", () => new Response("<html></html>")],
  ])("whose list %s confirms no end, and ends no silent machine", async (_what, fault) => {
    const { nest, agent } = await runningInstance(vast, user);
    const silent = (await runningInstance(vast, user)).nest;
    const ref = await upToSeal(nest, agent);
    vast.always.list = fault;
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    await settle(nest.id);
    expect(vast.ofInstance(nest.id)).toEqual([]);
    for (let i = 0; i < 3; i++) await alarmAfter(nest.id, 30_000);
    expect((await nest.view()).state).toBe("destroying");
    for (let i = 0; i < 3; i++) await alarmAfter(silent.id, 90_000);
    expect((await silent.view()).state).toBe("unreachable");
    vast.always = {};
    await alarmAfter(nest.id, 120_000);
    expect((await nest.view()).state).toBe("hibernated");
    await alarmAfter(silent.id, 60_000);
    expect((await silent.view()).state).toBe("unreachable");
  });
});

describe("a machine that somebody stopped at the provider", () => {
  it("is shown as what it is, goes on costing its disk alone, and is started by a wake", async () => {
    const { nest } = await runningInstance(vast, user);
    vast.ofInstance(nest.id)[0]!.status = "stopped";
    for (let i = 0; i < 4; i++) await alarmAfter(nest.id, 60_000);
    const view = await nest.view();
    expect(view).toMatchObject({
      state: "hibernated",
      snapshot: null,
      next: null,
      stopped_machine: { is_saved: false },
      trouble: { code: "machine_stopped" },
      actions: ["wake", "configure", "discard"],
    });
    expect(view.burn.micro_usd_per_hour).toBeLessThan(410_000);
    await api("POST", `${nest.path}/wake`, { token: user.token, json: {} });
    await settle(nest.id);
    expect(vast.ofInstance(nest.id)[0]!.status).toBe("running");
    expect((await nest.view()).state).toBe("provisioning");
    expect(await nest.eventTypes()).toEqual(
      expect.arrayContaining(["machine_stopped", "machine_kept", "machine_started"]),
    );
  });
});

describe("the read model", () => {
  it("that is down delays no sleep, and shows everything once it is back", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await settle(nest.id);
    const world = await envOf(nest.id);
    const { DB } = world;
    world.DB = withoutReadModel(DB);
    try {
      await fallAsleep(nest, agent);
      expect((await nest.view()).state).toBe("hibernated");
      const row = () => DB.prepare("SELECT state FROM instance_status WHERE instance_id = ?").bind(nest.id).first();
      expect(await row()).toEqual({ state: "running" });
      const copies: string[] = [];
      const prepare = (sql: string) => {
        if (sql.startsWith("insert into")) copies.push(/"(\w+)"/.exec(sql)![1]!);
        return DB.prepare(sql);
      };
      world.DB = { prepare, batch: (all: D1PreparedStatement[]) => DB.batch(all) } as D1Database;
      for (let i = 0; i < 3; i++) await alarmAfter(nest.id, 61_000);
      expect(await row()).toEqual({ state: "hibernated" });
      const mirrored = await DB.prepare("SELECT seq FROM hibernation_events WHERE instance_id = ?").bind(nest.id).all();
      expect(mirrored.results.length).toBe((await nest.events()).length);
      // One copy tells all: what waited behind it is not sent one by one.
      expect(copies.sort()).toEqual(["hibernation_events", "instance_status"]);
      expect(await sqlOf(nest.id, "SELECT * FROM outbox")).toEqual([]);
    } finally {
      world.DB = DB;
    }
  });

  it("that is down at a birth delays nothing", async () => {
    const id = "i-birthbirth" as InstanceId;
    const world = await envOf(id);
    const { DB } = world;
    world.DB = withoutReadModel(DB);
    const spec = { gpuType: null, gpuCount: 1, region: null, diskGb: 50, image: "image", maxMicroUsdPerHour: null };
    const born = await stubOf(id).create({ instance: id, owner: user.id as never, name: "born", spec });
    world.DB = DB;
    expect(born.ok).toBe(true);
    await settle(id);
    expect(vast.ofInstance(id).length).toBe(1);
  });
});

describe("the end of the pause", () => {
  const rot: Record<string, (nest: Sleeper, ref: SnapshotRef) => Promise<unknown>> = {
    "a lost part": async (nest) => {
      const parts = await env.SNAPSHOTS.list({ prefix: `i/${nest.id}/parts/` });
      await env.SNAPSHOTS.delete(parts.objects[0]!.key);
    },
    "a lost manifest": (nest, ref) =>
      env.SNAPSHOTS.delete(`i/${nest.id}/manifests/${String(ref.seq).padStart(8, "0")}-${ref.epoch}`),
  };

  it.each(Object.keys(rot))("%s ends as failed, never as deleted", async (what) => {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await fallAsleep(nest, agent);
    await rot[what]!(nest, ref);
    await alarmAfter(nest.id, 301_000);
    const view = await nest.view();
    expect(view).toMatchObject({ state: "failed", trouble: { code: "snapshot_damaged" } });
    expect(view.trouble!.kept).toContain(`snapshot ${ref.seq}`);
    expect(view.actions.length).toBeGreaterThan(0);
    expect(await nest.eventTypes()).not.toContain("deleted");
    expect((await env.SNAPSHOTS.list({ prefix: `i/${nest.id}/` })).objects.length).toBe(2);
  });

  it("waits for a store that does not answer", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    const world = await envOf(nest.id);
    const { SNAPSHOTS } = world;
    world.SNAPSHOTS = { get: () => Promise.reject(new Error("no answer")) } as unknown as R2Bucket;
    await alarmAfter(nest.id, 301_000);
    await alarmAfter(nest.id, 61_000);
    expect((await nest.view()).state).toBe("hibernated");
    world.SNAPSHOTS = SNAPSHOTS;
    await alarmAfter(nest.id, 61_000);
    expect((await nest.view()).state).toBe("deleted");
  });

  it("comes when the settings say, also when they are changed meanwhile", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    const json = { auto_hibernation: { delete_after_pause_minutes: 10 } };
    expect((await api("PUT", `${nest.path}/config`, { token: user.token, json })).status).toBe(200);
    await alarmAfter(nest.id, 301_000);
    expect((await nest.view()).state).toBe("hibernated");
    await alarmAfter(nest.id, 300_000);
    expect((await nest.view()).state).toBe("deleted");
  });
});

describe("adopting", () => {
  const adopt = <T = { instance: { id: InstanceId; state: string }; agent_token: string; install_command: string }>(
    id: number,
    token = user.token,
  ) => api<T>("POST", "/api/instances/adopt", { token, json: { vast_instance_id: id } });

  it("labels the machine, hands out its token, and touches no other", async () => {
    advance(10_000);
    const machine = vast.add("my training");
    const bystanders = [vast.add(null), vast.add("other"), vast.add("soneca:not-ours:1")];
    const before = JSON.stringify(bystanders);
    const { status, body } = await adopt(machine.id);
    expect([status, body.instance.state]).toEqual([201, "provisioning"]);
    expect(machine.label).toBe(`soneca:${body.instance.id}:1`);
    expect(body.install_command).toContain(body.agent_token);
    expect(JSON.stringify(bystanders)).toBe(before);
    const nest = new Sleeper(vast, user, body.instance.id);
    await settle(nest.id);
    await new FakeAgent(nest.id, machine, body.agent_token).beat({ gpu: 50 });
    expect(await nest.view()).toMatchObject({
      state: "running",
      machine: { vast_instance_id: machine.id, adopted: true, micro_usd_per_hour: 410_000 },
    });
    expect(vast.count("create") + vast.count("destroy")).toBe(0);
  });

  it("an adopted machine that has not reported yet is kept, whatever is asked or happens", async () => {
    advance(10_000);
    const machine = vast.add(null);
    const { body } = await adopt(machine.id);
    const nest = new Sleeper(vast, user, body.instance.id);
    const refused = await nest.post<ErrorBody>("hibernate");
    expect([refused.status, refused.body.error.code]).toEqual([409, "action_not_allowed"]);
    machine.status = "exited";
    for (let i = 0; i < 4; i++) await alarmAfter(nest.id, 300_000);
    expect(await nest.view()).toMatchObject({ state: "failed", trouble: { code: "agent_never_reported" } });
    expect(vast.count("destroy")).toBe(0);
  });

  it("refuses one that is adopted already, and tells only its owner whose it is", async () => {
    advance(10_000);
    const machine = vast.add(null);
    const { body } = await adopt(machine.id);
    advance(10_000);
    const again = await adopt<ErrorBody>(machine.id);
    expect([again.status, again.body.error.code]).toEqual([409, "machine_already_adopted"]);
    expect(again.body.error.context).toEqual({ instance_id: body.instance.id });
    advance(10_000);
    const other = await adopt<ErrorBody>(machine.id, (await newUser("Rui")).token);
    expect([other.status, other.body.error.context]).toEqual([409, undefined]);
    expect(machine.label).toBe(`soneca:${body.instance.id}:1`);
  });

  it.each([
    ["lost its label", null],
    ["was renamed by its owner", "my training box"],
  ])("refuses another instance's machine that %s: it is its instance's all the same", async (_what, label) => {
    const { nest } = await runningInstance(vast, user);
    await settle(nest.id);
    const [machine] = vast.ofInstance(nest.id);
    machine!.label = label;
    advance(10_000);
    const other = await adopt<ErrorBody>(machine!.id, (await newUser("Rui")).token);
    expect([other.status, other.body.error.code]).toEqual([409, "machine_already_adopted"]);
    expect(other.body.error.context).toBeUndefined();
    const own = await adopt<ErrorBody>(machine!.id);
    expect([own.status, own.body.error.context]).toEqual([409, { instance_id: nest.id }]);
    expect(machine!.label).toBe(label);
    expect((await nest.view()).state).toBe("running");
  });

  it("knows a machine by its number where nothing on it names its instance, and asks nobody else", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await settle(nest.id);
    Object.assign(agent.machine, { label: "mine", env: {} });
    const { token } = await newUser("Rui");
    advance(10_000);
    const other = await adopt<ErrorBody>(agent.machine.id, token);
    expect([other.status, other.body.error.code]).toEqual([409, "machine_already_adopted"]);

    await env.DB.prepare("ALTER TABLE instance_status RENAME TO instance_status_gone").run();
    const unknown = await adopt<ErrorBody>(agent.machine.id, token);
    await env.DB.prepare("ALTER TABLE instance_status_gone RENAME TO instance_status").run();
    expect([unknown.status, unknown.body.error.code]).toEqual([503, "database_unavailable"]);
    expect(unknown.body.error.retryable).toBe(true);
    expect(agent.machine.label).toBe("mine");
  });

  it("two at once: one wins", async () => {
    advance(10_000);
    const machine = vast.add(null);
    const answers = await Promise.all([adopt(machine.id), adopt(machine.id)]);
    expect(answers.map((one) => one.status).sort()).toEqual([201, 409]);
  });

  it("says 404 for a machine that the account does not have, and makes nothing", async () => {
    advance(10_000);
    const answer = await adopt<ErrorBody>(999_999);
    expect([answer.status, answer.body.error.code]).toEqual([404, "machine_not_found"]);
    const list = await api<{ instances: unknown[] }>("GET", "/api/instances", { token: user.token });
    expect(list.body.instances).toEqual([]);
  });

  it.each([
    ["the list fails", "list" as const],
    ["the label cannot be set", "label" as const],
  ])("makes nothing when %s", async (_what, operation) => {
    advance(10_000);
    const machine = vast.add(null);
    vast.always[operation] = vastErrors.down;
    const answer = await adopt<ErrorBody>(machine.id);
    expect([answer.status, answer.body.error.code]).toEqual([503, "provider_unavailable"]);
    expect(answer.headers.get("retry-after")).not.toBeNull();
    const list = await api<{ instances: unknown[] }>("GET", "/api/instances", { token: user.token });
    expect(list.body.instances).toEqual([]);
  });
});
