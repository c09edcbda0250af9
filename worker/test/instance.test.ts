/** The object of one instance: its nights, its proofs, its memory, and what goes wrong around it. */
import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceObject } from "../instance/object.ts";
import { agentTokenLifeMs, signAgentToken } from "../tokens.ts";
import {
  advance,
  alarmAfter,
  FakeAgent,
  fallAsleep,
  interval,
  realWait,
  runningInstance,
  type Sleeper,
  settle,
  sqlOf,
  stats,
  stubOf,
  type TestUser,
  until,
  upToSeal,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, type VastMachine, vastErrors } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

const asleep = async (config: object = {}) => {
  const { nest, agent } = await runningInstance(vast, user, config);
  const ref = await fallAsleep(nest, agent);
  return { nest, agent, ref };
};

/** Wakes it up to `restoring`, and answers the agent of the new machine. */
async function upToRestore(nest: Sleeper): Promise<FakeAgent> {
  advance(61_000);
  expect((await nest.post("wake")).status).toBe(202);
  await settle(nest.id);
  const agent = nest.agent();
  await agent.beat({ gpu: 0 });
  return agent;
}

async function _envOf(id: string): Promise<{ DB: D1Database }> {
  return runInDurableObject<InstanceObject, { DB: D1Database }>(
    stubOf(id),
    (object) => (object as unknown as { env: { DB: D1Database } }).env,
  );
}

describe("auto", () => {
  it("stores the workspace at the floor, says until when and why the machine stays, and goes then", async () => {
    const { nest, agent } = await runningInstance(vast, user, { pause_after_idle_minutes: "auto" });
    await agent.beatFor(170_000, 0);
    expect(await nest.view()).toMatchObject({ state: "running", status: "idle", sleep_rule: { floor_seconds: 180 } });
    await agent.beatFor(20_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
    const { id, seq } = agent.command("snapshot");
    const { ref } = await agent.store(seq);
    await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "snapshot_taken", snapshot: ref, stats }] });
    await settle(nest.id);
    await agent.beat({ gpu: 0 });
    expect(agent.answer?.commands).toEqual([]);
    await evictDurableObject(stubOf(nest.id));
    const view = await nest.view();
    expect(view).toMatchObject({
      state: "running",
      status: "idle",
      snapshot: { seq },
      auto_hibernation: { pause_after_idle_minutes: "auto" },
      sleep_rule: {
        tau_seconds: 1800,
        reason_code: "costs_unknown",
        credit_micro_usd: null,
        sleeps: 0,
        last_sleep: null,
      },
    });
    expect(view.sleep_rule.reason).toContain("the time of a restore");
    expect(view.sleep_rule.unknown).toContain("restore_time");
    expect(view.sleep_rule.uploaded_at).not.toBeNull();
    expect(Date.parse(view.next!.at) - Date.now()).toBeGreaterThan(20 * 60_000);
    const [row] = (await env.DB.prepare("SELECT * FROM instance_status WHERE instance_id = ?").bind(nest.id).all())
      .results;
    expect(row).toMatchObject({ pause_after_minutes: null });
    await agent.beatFor(25 * 60_000, 0, 20_000);
    expect((await nest.view()).state).toBe("running");
    expect(vast.count("destroy")).toBe(0);
    await agent.beatFor(3 * 60_000, 0, 20_000);
    expect((await nest.view()).state).toBe("snapshotting");
  });

  it("an object that was written before there was anything to remember is shown and goes on", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await runInDurableObject(stubOf(nest.id), (_, { storage }) => {
      const [row] = storage.sql.exec("SELECT state FROM instance").toArray();
      const { auto: _auto, ...old } = JSON.parse(row!.state as string);
      storage.sql.exec("UPDATE instance SET state = ?", JSON.stringify(old));
    });
    await evictDurableObject(stubOf(nest.id));
    expect((await nest.view()).sleep_rule).toMatchObject({ gaps_known: 0, sleeps: 0, tau_seconds: null });
    await agent.beatFor(70_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
  });
});

describe("a night", () => {
  it("falls asleep by the idle rule, is deleted, and wakes with the same workspace", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    expect(await nest.view()).toMatchObject({
      state: "running",
      status: "running",
      awake_because: [{ code: "gpu_busy" }],
    });
    await agent.beatFor(50_000, 0);
    expect(await nest.view()).toMatchObject({ state: "running", status: "idle", next: { what: "hibernate" } });
    await agent.beatFor(20_000, 0);
    expect(await nest.view()).toMatchObject({ state: "snapshotting", status: "hibernating" });

    const command = agent.command("snapshot");
    const { ref } = await agent.store(command.seq);
    await agent.beat({ gpu: 0, results: [{ commandId: command.id, outcome: "snapshot_taken", snapshot: ref, stats }] });
    await settle(nest.id);
    await agent.beat({ gpu: 0 });
    expect(agent.command("seal").proved).toEqual(ref);
    expect(vast.count("destroy")).toBe(0);
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    await settle(nest.id);
    expect(vast.machines.size).toBe(0);
    // Accepted is not gone: the provider's list says that.
    expect((await nest.view()).state).toBe("destroying");
    await alarmAfter(nest.id, 3_500);
    expect(await nest.view()).toMatchObject({
      state: "hibernated",
      machine: null,
      snapshot_id: `${nest.id}@${ref.seq}`,
      next: { what: "delete" },
    });
    const [row] = (await env.DB.prepare("SELECT * FROM instance_status WHERE instance_id = ?").bind(nest.id).all())
      .results;
    expect(row).toMatchObject({ status: "hibernated", vast_instance_id: null, snapshot_id: `${nest.id}@${ref.seq}` });

    await alarmAfter(nest.id, 301_000);
    expect((await nest.view()).state).toBe("deleted");

    const next = await upToRestore(nest);
    expect(next.epoch).toBe(2);
    expect(next.command("restore").snapshot).toEqual(ref);
    expect((await agent.post(agent.report({ gpu: 0 }))).status).toBe(403);
    const restored = { commandId: next.command("restore").id, outcome: "restored", digest: ref.digest };
    await next.beat({ gpu: 0, results: [restored] });
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "running", epoch: 2, trouble: null });
    const types = await nest.eventTypes();
    const story = ["created", "machine_rented", "machine_up", "idle_detected", "sleep_soon"];
    story.push("snapshot_started", "snapshot_taken");
    story.push("snapshot_proved", "sealed", "destroy_accepted", "machine_gone", "hibernated", "snapshot_verified");
    story.push("deleted", "wake_requested", "machine_rented", "machine_up", "restore_started", "restored", "woke_up");
    expect(types).toEqual(story);
    const mirrored = await env.DB.prepare(
      "SELECT event_type FROM hibernation_events WHERE instance_id = ? ORDER BY seq",
    )
      .bind(nest.id)
      .all();
    expect(mirrored.results.map((one) => one.event_type)).toEqual(story);
    const ledger = await sqlOf<{ epoch: number; to_at: number }>(nest.id, "SELECT * FROM paid");
    expect(ledger.length).toBe(1);
    expect((await nest.view()).cost.unknown_price_seconds).toBe(0);
  });

  it("a restore with another digest is repeated, and never called running", async () => {
    const { nest } = await asleep();
    const next = await upToRestore(nest);
    for (const tries of [1, 2, 3]) {
      const { id } = next.command("restore");
      expect(id).toBe(`restore.2.${tries}`);
      await next.beat({ gpu: 0, results: [{ commandId: id, outcome: "restored", digest: "0".repeat(64) }] });
    }
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "provisioning", epoch: 3 });
    expect(vast.withLabel(`soneca:${nest.id}:2`)).toEqual([]);
  });

  it("a user's hibernate outlives activity; the rule's own sleep does not, until a user asks for it too", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await agent.beatFor(70_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
    advance(5_000);
    await agent.beat({ gpu: 90 });
    expect((await nest.view()).state).toBe("running");

    await agent.beatFor(70_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
    expect((await nest.post("hibernate")).status).toBe(202);
    advance(5_000);
    await agent.beat({ gpu: 90 });
    expect((await nest.view()).state).toBe("snapshotting");
    expect((await nest.eventTypes()).filter((one) => one === "hibernate_requested").length).toBe(1);
  });

  it("a wake calls a sleep off, and the machine stays", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await upToSeal(nest, agent);
    const { body, status } = await nest.post("wake");
    expect([status, body.state]).toEqual([202, "running"]);
    const answer = await agent.beat({ gpu: 0, seal: { ...agent.sealOf(ref) } });
    // Its script before the sleep may have been run: the one after a wake is, and then there is nothing more to do.
    expect(answer.commands).toMatchObject([{ kind: "hook", hook: { reason: "called_off" } }]);
    const { id } = agent.command("hook");
    expect((await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "hook_ended" }] })).commands).toEqual([]);
    await settle(nest.id);
    expect(vast.count("destroy")).toBe(0);
    expect(await nest.eventTypes()).toContain("hibernate_cancelled");
  });

  it("a hibernate calls a wake off at every step, and the new machine is given back", async () => {
    const { nest, ref } = await asleep();
    for (const step of ["booting", "restoring"]) {
      advance(61_000);
      await nest.post("wake");
      await settle(nest.id);
      if (step === "restoring") await nest.agent().beat({ gpu: 0 });
      const { body } = await nest.post("hibernate");
      expect(body).toMatchObject({ state: "hibernated", snapshot_id: `${nest.id}@${ref.seq}` });
      await settle(nest.id);
      expect(vast.ofInstance(nest.id)).toEqual([]);
      expect((await nest.view()).retiring_machines.length).toBe(1);
      await alarmAfter(nest.id, 3_500);
      expect((await nest.view()).retiring_machines).toEqual([]);
    }
  });

  it("a wake during the destroy waits for its end, and a hibernate takes it back", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const ref = await upToSeal(nest, agent);
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    await settle(nest.id);
    expect((await nest.post("wake")).body.state).toBe("destroying");
    expect((await nest.post("hibernate")).body.state).toBe("destroying");
    await nest.post("wake");
    const created = vast.count("create");
    await alarmAfter(nest.id, 3_500);
    expect(await nest.view()).toMatchObject({ state: "provisioning", epoch: 2 });
    expect(vast.count("create")).toBe(created + 1);
    expect(await nest.eventTypes()).toContain("wake_cancelled");
  });

  it("a discard destroys without a proof, and only the instance that was named", async () => {
    const { nest } = await runningInstance(vast, user);
    const { nest: kept } = await runningInstance(vast, user);
    expect((await nest.post("discard", { confirm: nest.id })).body.state).toBe("destroying");
    await settle(nest.id);
    await alarmAfter(nest.id, 3_500);
    expect(await nest.view()).toMatchObject({ state: "deleted", snapshot: null });
    expect(vast.ofInstance(kept.id).length).toBe(1);
    const again = await nest.post<ErrorBody>("discard", { confirm: nest.id });
    expect([again.status, again.body.error.code]).toEqual([409, "action_not_allowed"]);
  });
});

describe("waking", () => {
  it("twice at once rents one machine", async () => {
    const { nest } = await asleep();
    advance(61_000);
    const before = vast.count("create");
    const answers = await Promise.all([1, 2, 3, 4].map(() => nest.post("wake", { gpu_type: "RTX 4090" })));
    expect(answers.map((one) => one.status)).toEqual([202, 202, 202, 202]);
    await settle(nest.id);
    expect(vast.count("create")).toBe(before + 1);
    expect(vast.ofInstance(nest.id).length).toBe(1);
    expect((await nest.eventTypes()).filter((one) => one === "wake_joined").length).toBe(3);
  });

  it("without an offer goes back to sleep and says so", async () => {
    const { nest, ref } = await asleep();
    advance(61_000);
    await nest.post("wake", { gpu_type: "H100", region: "br" });
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({
      state: "hibernated",
      snapshot_id: `${nest.id}@${ref.seq}`,
      trouble: {
        code: "no_offer",
        message: expect.stringMatching(/^No offer for H100, in BR, 50 GB disk \(same: no offers; /),
      },
    });
  });

  it("a create whose answer was lost is looked for by its label, not sent again", async () => {
    const { nest } = await asleep();
    advance(61_000);
    vast.once("create", () => {
      vast.effect("create", null, { label: `soneca:${nest.id}:2`, env: {} });
      return vastErrors.lost();
    });
    const before = vast.count("create");
    await nest.post("wake");
    await settle(nest.id);
    await alarmAfter(nest.id, 5_500);
    expect(vast.count("create")).toBe(before + 1);
    expect(await nest.view()).toMatchObject({
      state: "provisioning",
      machine: { vast_instance_id: expect.any(Number) },
    });
    expect(vast.ofInstance(nest.id).length).toBe(1);
  });

  it.each(["instance", "account"])(
    "a create that was cut off by the %s object's death is never repeated",
    async (dies) => {
      const { nest } = await asleep();
      advance(61_000);
      const label = `soneca:${nest.id}:2`;
      let hidden: VastMachine | null = null;
      vast.once("create", async () => {
        vast.effect("create", null, { label, env: {} });
        hidden = vast.withLabel(label)[0]!;
        // The provider's list lags behind: it does not show the machine yet.
        vast.machines.delete(hidden.id);
        await realWait(300);
        return vastErrors.lost();
      });
      const before = vast.count("create");
      await nest.post("wake");
      await until("the create is under way", async () => hidden);
      const stub = dies === "instance" ? stubOf(nest.id) : env.ACCOUNT.getByName("default");
      await runInDurableObject(stub as DurableObjectStub, (_object, ctx) => ctx.abort()).catch(() => {});
      await until("somebody looks for the label", async () => {
        await alarmAfter(nest.id, 100);
        return (await sqlOf<{ state: string }>(nest.id, "SELECT state FROM instance"))[0]!.state.includes('"checking"');
      });
      vast.machines.set(hidden!.id, hidden!);
      await alarmAfter(nest.id, 5_500);
      expect(vast.count("create")).toBe(before + 1);
      expect(await nest.view()).toMatchObject({ state: "provisioning", machine: { vast_instance_id: hidden!.id } });
      await realWait(250);
    },
  );
});

describe("a create that was answered", () => {
  /** A wake whose machine is made, and which the provider's list does not show yet; `held`: what is held up at that moment. */
  async function rented(held: "create" | "list") {
    const { nest } = await asleep();
    advance(61_000);
    const own: { machine: VastMachine | null; isHeld: boolean } = { machine: null, isHeld: true };
    const hold = async () => {
      while (own.isHeld) await realWait(5);
      return null;
    };
    vast.once("create", async (id, body) => {
      const answer = vast.effect("create", id, body);
      own.machine = vast.ofInstance(nest.id)[0]!;
      vast.machines.delete(own.machine.id);
      if (held === "create") await hold();
      else vast.once("list", hold);
      return answer;
    });
    const [creates, lists] = [vast.count("create"), vast.count("list")];
    await nest.post("wake");
    await until("it is held up", async () => own.machine && (held === "create" || vast.count("list") > lists + 1));
    const isNotRepeated = async () => {
      await until("somebody looks for the label", async () => {
        await alarmAfter(nest.id, 100);
        return (await sqlOf<{ state: string }>(nest.id, "SELECT state FROM instance"))[0]!.state.includes('"checking"');
      });
      vast.machines.set(own.machine!.id, own.machine!);
      await alarmAfter(nest.id, 5_500);
      expect(vast.count("create")).toBe(creates + 1);
      expect(await nest.view()).toMatchObject({ machine: { epoch: 2, vast_instance_id: own.machine!.id } });
    };
    return { nest, own, isNotRepeated };
  }

  it.each(["instance", "account"])("is not repeated when the %s object dies before the list", async (dies) => {
    const { nest, own, isNotRepeated } = await rented("list");
    const stub = dies === "instance" ? stubOf(nest.id) : env.ACCOUNT.getByName("default");
    await runInDurableObject(stub as DurableObjectStub, (_object, ctx) => ctx.abort()).catch(() => {});
    own.isHeld = false;
    await isNotRepeated();
  });

  it("is not repeated when its outcome cannot be written", async () => {
    const { nest, own, isNotRepeated } = await rented("create");
    await sqlOf(nest.id, "CREATE TRIGGER broken BEFORE UPDATE ON instance BEGIN SELECT RAISE(ABORT, 'broken'); END");
    own.isHeld = false;
    await until("it is tried again later", async () => {
      const [row] = await sqlOf<{ next_at: number }>(nest.id, "SELECT next_at FROM outbox WHERE lane = 'world'");
      return row!.next_at < Date.now() + 60_000;
    });
    await sqlOf(nest.id, "DROP TRIGGER broken");
    await isNotRepeated();
  });
});

describe("one transaction", () => {
  it("an object that dies right after it decided has state, log and outbox, and does what it wanted", async () => {
    const { nest } = await asleep();
    advance(61_000);
    vast.always.list = () => realWait(200).then(() => null);
    await nest.post("wake");
    await abortAllDurableObjects();
    vast.always = {};
    const [row] = await sqlOf<{ state: string; version: number }>(nest.id, "SELECT * FROM instance");
    const log = await sqlOf<{ type: string }>(nest.id, "SELECT type FROM log ORDER BY seq");
    const tasks = await sqlOf<{ task: string }>(nest.id, "SELECT task FROM outbox WHERE lane = 'world'");
    expect(JSON.parse(row!.state).now.status).toBe("provisioning");
    expect(log.at(-1)!.type).toBe("wake_requested");
    expect(tasks.map((one) => JSON.parse(one.task).kind)).toEqual(["rent"]);
    // The rental was begun: it may be on its way, so the label is looked for before anything is asked for again.
    await realWait(250);
    const before = vast.count("create");
    await runDurableObjectAlarm(stubOf(nest.id));
    await settle(nest.id);
    for (let i = 0; i < 5; i++) await alarmAfter(nest.id, 5_500);
    expect(vast.count("create")).toBe(before + 1);
    expect(vast.ofInstance(nest.id).length).toBe(1);
    expect(vast.ofInstance(nest.id)[0]!.label).toBe(`soneca:${nest.id}:3`);
  });

  it("a commit that fails in the middle leaves nothing behind, in the rows or in the answers", async () => {
    const { nest } = await asleep();
    advance(61_000);
    await sqlOf(nest.id, "CREATE TRIGGER no_outbox BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no room'); END");
    const rows = () => sqlOf(nest.id, "SELECT state, version, (SELECT COUNT(*) FROM log) AS logs FROM instance");
    const before = await rows();
    expect((await nest.post("wake")).status).toBe(500);
    expect(await rows()).toEqual(before);
    expect((await nest.view()).state).toBe("hibernated");
    await sqlOf(nest.id, "DROP TRIGGER no_outbox");
    expect((await nest.post("wake")).body.state).toBe("provisioning");
  });

  it("an alarm that cannot do its work rings again, but not at once", async () => {
    const { nest } = await asleep();
    await sqlOf(nest.id, "CREATE TRIGGER broken BEFORE UPDATE ON instance BEGIN SELECT RAISE(ABORT, 'broken'); END");
    advance(301_000);
    expect(await runDurableObjectAlarm(stubOf(nest.id))).toBe(true);
    const alarm = await runInDurableObject<InstanceObject, number | null>(stubOf(nest.id), (_object, ctx) =>
      ctx.storage.getAlarm(),
    );
    expect(alarm).toBeGreaterThan(Date.now() + 1_000);
    expect(alarm).toBeLessThan(Date.now() + 120_000);
    await sqlOf(nest.id, "DROP TRIGGER broken");
    await alarmAfter(nest.id, 60_000);
    await settle(nest.id);
    expect((await nest.view()).state).toBe("deleted");
  });
});

describe("memory and heartbeats", () => {
  it("a hundred ordinary beats cost 20 rows at most, alarms included, and no write to D1", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await agent.beatFor(20_000, 80);
    await settle(nest.id);
    const counted = await runInDurableObject<InstanceObject, { rows: number; alarms: number }>(
      stubOf(nest.id),
      (_object, ctx) => {
        const counts = { rows: 0, alarms: 0 };
        const sql = ctx.storage.sql;
        const exec = sql.exec.bind(sql);
        sql.exec = ((query: string, ...args: unknown[]) => {
          const cursor = exec(query, ...args);
          counts.rows += cursor.rowsWritten;
          return cursor;
        }) as typeof sql.exec;
        const setAlarm = ctx.storage.setAlarm.bind(ctx.storage);
        ctx.storage.setAlarm = (at: number | Date) => {
          counts.alarms++;
          return setAlarm(at);
        };
        return counts;
      },
    );
    const version = async () =>
      (await env.DB.prepare("SELECT updated_at FROM instance_status WHERE instance_id = ?").bind(nest.id).all())
        .results;
    const before = await version();
    await agent.beatFor(1_000_000, 80);
    expect(counted.rows).toBeGreaterThan(0);
    // An alarm that is moved costs a row as well; here no alarm rings, so one that is long overdue is set anew.
    expect(counted.rows + counted.alarms).toBeLessThanOrEqual(20);
    expect(await version()).toEqual(before);
    expect((await nest.view()).state).toBe("running");
  });

  it("what was not written before an eviction is what the agent repeats", async () => {
    const { nest, agent } = await runningInstance(vast, user, { pause_after_idle_minutes: 3 });
    await agent.beatFor(10_000, 0);
    const kept = agent.answer!.intervalsKept;
    const repeats: Record<string, unknown>[] = [];
    const from = agent.n;
    for (let i = 0; i < 6; i++) {
      advance(10_000);
      const report = agent.report({ gpu: 0 });
      repeats.push(...(report.intervals as Record<string, unknown>[]));
      const { body } = await agent.post(report);
      // Never more than what is written: the rest lives in memory alone.
      const [row] = await sqlOf<{ samples: string }>(nest.id, "SELECT samples FROM instance");
      expect(body.intervalsKept).toBe(JSON.parse(row!.samples).lastN);
    }
    expect(kept).toBeLessThan(from + 5);
    await evictDurableObject(stubOf(nest.id));
    advance(10_000);
    const report = agent.report({ gpu: 0 });
    const intervals = [...repeats, ...(report.intervals as Record<string, unknown>[])];
    await agent.post({ ...report, intervals });
    await agent.beatFor(120_000, 0);
    expect((await nest.view()).state).toBe("snapshotting");
  });

  it("without that repetition the window is not covered, and nothing sleeps", async () => {
    const { nest, agent } = await runningInstance(vast, user, { pause_after_idle_minutes: 3 });
    await agent.beatFor(70_000, 0);
    await evictDurableObject(stubOf(nest.id));
    await agent.beatFor(120_000, 0);
    expect((await nest.view()).state).toBe("running");
  });

  it("two beats of the same moment keep no more than what is written", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    advance(110_000);
    const first = await agent.beat({ gpu: 80 });
    const second = await agent.beat({ gpu: 80 });
    const [row] = await sqlOf<{ samples: string }>(nest.id, "SELECT samples FROM instance");
    const written = JSON.parse(row!.samples).lastN;
    expect(first.intervalsKept).toBe(written);
    expect(second.intervalsKept).toBe(written);
    expect(written).toBeLessThan(agent.n - 1);
  });

  it("an eviction during a snapshot is no silence", async () => {
    const { nest, agent } = await runningInstance(vast, user, { check_interval_seconds: 30 });
    await nest.post("hibernate");
    await agent.beatFor(250_000, 0, 5_000);
    expect((await nest.view()).state).toBe("snapshotting");
    await evictDurableObject(stubOf(nest.id));
    await alarmAfter(nest.id, 1_000);
    expect((await nest.view()).state).toBe("snapshotting");
    await alarmAfter(nest.id, 700_000);
    expect((await nest.view()).state).not.toBe("snapshotting");
  });

  it("silence is noticed however often the object is evicted and touched meanwhile", async () => {
    const { nest, agent } = await runningInstance(vast, user, { check_interval_seconds: 30, enabled: false });
    await agent.beatFor(600_000, 80, 30_000);
    const silentFrom = Date.now();
    while ((await nest.view()).state === "running" && Date.now() - silentFrom < 3_600_000) {
      const at = await runInDurableObject(stubOf(nest.id), (_, ctx) => ctx.storage.getAlarm());
      await evictDurableObject(stubOf(nest.id));
      // As the cron does.
      await stubOf(nest.id).poke();
      await evictDurableObject(stubOf(nest.id));
      await alarmAfter(nest.id, Math.max(50, (at ?? Date.now()) - Date.now() + 50));
    }
    expect((await nest.view()).state).toBe("unreachable");
    // Sixteen intervals in which a beat may have come unwritten, and the silence itself.
    expect(Date.now() - silentFrom).toBeLessThan(16 * 30_000 + 130_000);
  });

  it("a machine that is heard is no silent one, however often the object is evicted and touched", async () => {
    const { nest, agent } = await runningInstance(vast, user, { check_interval_seconds: 30, enabled: false });
    for (let i = 0; i < 40; i++) {
      await agent.beatFor(30_000, 80, 30_000);
      if (i % 3 === 0) await stubOf(nest.id).poke();
      if (i % 5 === 4) await evictDurableObject(stubOf(nest.id));
      await runDurableObjectAlarm(stubOf(nest.id));
    }
    expect((await nest.view()).state).toBe("running");
    expect(await nest.eventTypes()).not.toContain("unreachable");
  });

  it("a machine whose clock is set back is heard on, and a report that was overtaken is not", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const heard = async () => (await nest.view()).awake_because[0]?.value;
    // Its clock by `backMs`; when it sent the report by the clock that nobody sets.
    const beat = (gpu: number, backMs: number, uptimeMs?: number) => {
      advance(10_000);
      const report = agent.report({ gpu, extra: { sentAt: Date.now() - backMs, ...(uptimeMs && { uptimeMs }) } });
      const intervals = (report.intervals as { fromAt: number; toAt: number }[]).map((one) => ({
        ...one,
        fromAt: one.fromAt - backMs,
        toAt: one.toAt - backMs,
      }));
      return agent.post({ ...report, intervals });
    };
    await beat(61, 0, 10_000);
    await beat(62, 600_000, 20_000);
    expect(await heard()).toBe(62);
    await beat(63, 0, 15_000);
    expect(await heard()).toBe(62);
    await beat(64, 600_000, 30_000);
    expect(await heard()).toBe(64);
    // An agent of before says no more than its clock does.
    agent.bootId = crypto.randomUUID();
    await beat(71, 0);
    await beat(72, 600_000);
    expect(await heard()).toBe(72);
    const late = agent.report({ gpu: 73, extra: { sentAt: Date.now() - 700_000 } });
    await agent.post(late);
    expect(await heard()).toBe(72);
  });

  it("an agent that starts anew, and has no interval at first, is heard from its first one on", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await agent.beatFor(200_000, 80);
    agent.bootId = crypto.randomUUID();
    agent.n = 0;
    advance(10_000);
    const report = agent.report();
    delete report.intervals;
    delete report.gpu_util;
    await agent.post(report);
    await agent.beatFor(20_000, 80);
    expect((await nest.view()).awake_because).toMatchObject([{ code: "gpu_busy", value: 80 }]);
  });

  it("keeps when it was last busy, over evictions", async () => {
    const { nest, agent, ref } = await asleep();
    const { last_activity } = await nest.view();
    expect(last_activity).not.toBeNull();
    await evictDurableObject(stubOf(nest.id));
    expect(await nest.view()).toMatchObject({ last_activity, snapshot_id: `${nest.id}@${ref.seq}` });
    expect(agent.epoch).toBe(1);
  });

  it("an agent that floods it does not make the row too large to be written", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    const gpus = (n: number) =>
      Array.from({ length: 64 }, (_, index) => ({ ...interval(n, 0, 1, 3).gpus[0], index, name: "x".repeat(60) }));
    for (let round = 0; round < 12; round++) {
      advance(1_000);
      const from = Date.now() - 1_000;
      const intervals = Array.from({ length: 60 }, () => {
        const n = agent.n++;
        return { ...interval(n, from, from + 10, 3), gpus: gpus(n) };
      });
      expect((await agent.post({ ...agent.report(), intervals })).status).toBe(200);
    }
    expect((await nest.post("hibernate")).status).toBe(202);
    const [row] = await sqlOf<{ size: number }>(nest.id, "SELECT LENGTH(samples) AS size FROM instance");
    expect(row!.size).toBeGreaterThan(100_000);
    // SQLite in production takes 2 MB; the local one does not say no.
    expect(row!.size).toBeLessThan(1_500_000);
  });

  it("gives a token that nears its end a successor, and takes both", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    expect(agent.answer!.token).toBeUndefined();
    const old = await signAgentToken(env.AGENT_JWT_SECRET, nest.id, 1, Date.now() - agentTokenLifeMs / 2 - 1_000);
    const { body } = await new FakeAgent(nest.id, agent.machine, old).post(agent.report({ gpu: 80 }));
    expect(body.token).toMatch(/^ey/);
    const next = new FakeAgent(nest.id, agent.machine, body.token);
    expect((await next.post(next.report({ gpu: 80 }))).body.token).toBeUndefined();
  });

  it("silence is looked into before it is judged, and an agent that speaks again is running", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await alarmAfter(nest.id, 120_000);
    expect((await nest.view()).state).toBe("unreachable");
    await agent.beat({ gpu: 80 });
    expect((await nest.view()).state).toBe("running");
    expect(vast.count("destroy")).toBe(0);
  });
});
