/** The cron sweep: what it pokes, what it shows to its object, and what it leaves alone. */
import { createScheduledController, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import { runCron } from "../cron.ts";
import type { Env } from "../env.ts";
import { healthOf } from "../http/health.ts";
import worker from "../index.ts";
import { advance, alarmAfter, api, fallAsleep, runningInstance, settle, stubOf, type TestUser } from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, vastErrors } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
const minute = "* * * * *";
const fiveMinutes = "*/5 * * * *";

beforeEach(async () => {
  ({ vast, user } = await setScene());
  // Instances of earlier tests of this file: their machines belong to another stand-in.
  await env.DB.exec("UPDATE instance_status SET due_at = NULL, vast_instance_id = NULL");
});
afterEach(endScene);

async function loseAlarm(id: string): Promise<void> {
  await runInDurableObject(stubOf(id), (_object, ctx) => ctx.storage.deleteAlarm());
}

describe("each minute", () => {
  it("an object whose alarm was lost is poked when its deadline is past, and is armed again", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    await settle(nest.id);
    await loseAlarm(nest.id);
    advance(290_000);
    await runCron(minute, env);
    await settle(nest.id);
    expect((await nest.view()).state).toBe("hibernated");
    await loseAlarm(nest.id);
    advance(60_000);
    const [due] = (await env.DB.prepare("SELECT due_at FROM instance_status WHERE instance_id = ?").bind(nest.id).all())
      .results;
    expect(due!.due_at).toBeLessThan(Date.now() - 30_000);
    await worker.scheduled(createScheduledController({ cron: minute }), env as Env);
    await settle(nest.id);
    expect((await nest.view()).state).toBe("deleted");
    // Before and after the rental, when the agent first spoke, and twice for the end.
    expect(vast.count("list")).toBeLessThanOrEqual(5);
  });

  it("one object that fails does not keep the others from their turn", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    await settle(nest.id);
    await env.DB.prepare(
      "INSERT INTO instance_status (instance_id, user_id, status, created_at, updated_at, name, state, version, due_at) VALUES ('i-brokenaaaa', 'u', 'running', '', '', '', 'running', 1, 1)",
    ).run();
    await runInDurableObject(stubOf("i-brokenaaaa"), (_object, ctx) => {
      ctx.storage.sql.exec(
        "CREATE TABLE instance (id INTEGER, state TEXT, samples TEXT, version INTEGER, saved_at INTEGER)",
      );
      ctx.storage.sql.exec("INSERT INTO instance VALUES (1, 'not json', '{}', 1, 1)");
      ctx.abort();
    }).catch(() => {});
    await loseAlarm(nest.id);
    advance(400_000);
    await runCron(minute, env);
    await settle(nest.id);
    expect((await nest.view()).state).toBe("deleted");
    await env.DB.exec("DELETE FROM instance_status WHERE instance_id = 'i-brokenaaaa'");
  });
});

describe("each five minutes", () => {
  it("a machine with the label of an instance that has none is ended, and it is said", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    const stray = vast.add(`soneca:${nest.id}:9`);
    await runCron(minute, env);
    expect(vast.machines.has(stray.id)).toBe(true);
    await runCron(fiveMinutes, env);
    await settle(nest.id);
    expect(vast.machines.has(stray.id)).toBe(false);
    expect(await nest.eventTypes()).toContain("orphan_found");
    await alarmAfter(nest.id, 3_500);
    expect(await nest.view()).toMatchObject({ state: "hibernated", retiring_machines: [] });
    // Epochs go on after it: no new machine can be taken for the stray.
    advance(61_000);
    await nest.post("wake");
    await settle(nest.id);
    expect((await nest.view()).epoch).toBe(10);
  });

  it("the instance's own machine is recognised and left alone", async () => {
    const { nest } = await runningInstance(vast, user);
    await runCron(fiveMinutes, env);
    await settle(nest.id);
    expect(vast.count("destroy")).toBe(0);
    expect(await nest.view()).toMatchObject({ state: "running", machine: { ssh: "ssh -p 10122 root@ssh5.vast.ai" } });
  });

  it("no label, a foreign label and one that only looks like ours are never touched", async () => {
    const { nest } = await runningInstance(vast, user);
    const labels = [
      null,
      "",
      "training",
      `soneca:${nest.id}`,
      `soneca:${nest.id}:0`,
      `soneca:${nest.id}:1x`,
      `soneca:${nest.id}:01`,
      ` soneca:${nest.id}:7`,
      `SONECA:${nest.id}:7`,
      `soneca:${nest.id.toUpperCase()}:7`,
      `x-soneca:${nest.id}:7`,
      `soneca:${nest.id}:7\n`,
    ];
    const foreign = labels.map((label) => vast.add(label));
    const before = JSON.stringify(foreign);
    await runCron(fiveMinutes, env);
    await settle(nest.id);
    expect(foreign.every((machine) => vast.machines.has(machine.id))).toBe(true);
    expect(JSON.stringify(foreign)).toBe(before);
    expect(vast.count("destroy") + vast.count("label")).toBe(0);
  });

  it("the label of an instance that nobody knows is left alone and logged", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const stranger = vast.add("soneca:i-unknownaaa:1");
    await runCron(fiveMinutes, env);
    expect(vast.machines.has(stranger.id)).toBe(true);
    expect(vast.count("destroy")).toBe(0);
    expect(warn.mock.calls.flat().join()).toContain("unknown_label");
    const tables = await runInDurableObject(stubOf("i-unknownaaa"), (_object, ctx) =>
      ctx.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'instance'").toArray(),
    );
    expect(tables).toEqual([]);
  });

  it.each([
    ["fails", vastErrors.down],
    ["is refused for the key", vastErrors.auth],
    ["is short", () => Response.json({ success: true, total_instances: 9, next_token: null, instances: [] })],
    ["holds a machine that cannot be read", () => Response.json({ success: true, instances: [{ id: "?" }] })],
  ])("a list that %s does nothing at all", async (_what, fault) => {
    const { nest } = await runningInstance(vast, user);
    const asleep = await runningInstance(vast, user);
    await fallAsleep(asleep.nest, asleep.agent);
    const stray = vast.add(`soneca:${asleep.nest.id}:9`);
    const before = [await nest.view(), await asleep.nest.view(), await nest.events(), vast.count("destroy")];
    vast.always.list = fault;
    await runCron(fiveMinutes, env);
    await settle(nest.id);
    expect([await nest.view(), await asleep.nest.view(), await nest.events(), vast.count("destroy")]).toEqual(before);
    expect(vast.machines.has(stray.id)).toBe(true);
  });

  it("a machine that the list does not hold is looked for, then called lost", async () => {
    const { nest } = await runningInstance(vast, user);
    await settle(nest.id);
    const [machine] = vast.ofInstance(nest.id);
    vast.machines.delete(machine!.id);
    // Right after a rental a list may not show it yet.
    await runCron(fiveMinutes, env);
    await settle(nest.id);
    expect((await nest.view()).state).toBe("running");
    advance(62_000);
    await runCron(fiveMinutes, env);
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "failed", trouble: { code: "machine_lost" } });
    expect(await nest.eventTypes()).toContain("machine_lost");
    expect((await nest.view()).machine).toBeNull();
    expect(vast.count("destroy")).toBe(0);

    // Should it turn up again, with work on it: it is taken back, not ended as a stray.
    vast.machines.set(machine!.id, machine!);
    advance(10_000);
    await runCron(fiveMinutes, env);
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "unreachable", trouble: { code: "machine_returned" } });
    expect(vast.count("destroy")).toBe(0);
  });

  it("a read model that is down does not keep strays from their end", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await fallAsleep(nest, agent);
    const stray = vast.add(`soneca:${nest.id}:9`);
    const broken = {
      prepare: () => {
        throw new Error("D1_ERROR: the database does not answer");
      },
    } as unknown as D1Database;
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    await runCron(fiveMinutes, { ...env, INSTANCE: env.INSTANCE, ACCOUNT: env.ACCOUNT, DB: broken });
    await settle(nest.id);
    expect(vast.machines.has(stray.id)).toBe(false);
    const failed = error.mock.calls.map(([line]) => JSON.parse(line)).filter((line) => line.event === "cron");
    expect(failed).toMatchObject([
      { duty: "sweep", outcome: "failed" },
      { duty: "policies", outcome: "failed" },
      { duty: "notices", outcome: "failed" },
      { duty: "provider", outcome: "failed" },
      { duty: "audit", outcome: "failed" },
      { duty: "secrets", outcome: "failed" },
    ]);
  });
});

describe("/api/health", () => {
  const cron = async () => (await api<AnswerOf<"health">>("GET", "/api/health")).body.cron;

  it("says when each duty was last done in full, and when that is long ago", async () => {
    await runCron(fiveMinutes, env);
    const done = { at: new Date().toISOString(), age_seconds: 0, is_late: false };
    expect(await cron()).toEqual({ sweep: done, provider: done });
    advance(240_000);
    expect(await cron()).toEqual({
      sweep: { ...done, age_seconds: 240, is_late: true },
      provider: { ...done, age_seconds: 240 },
    });
    await runCron(minute, env);
    expect((await cron())?.sweep).toMatchObject({ age_seconds: 0, is_late: false });
    expect((await cron())?.provider).toEqual({ ...done, age_seconds: 240 });
  });

  it("a list that the provider did not give is no comparison", async () => {
    await runCron(fiveMinutes, env);
    advance(300_000);
    vast.always.list = vastErrors.auth;
    await runCron(fiveMinutes, env);
    delete vast.always.list;
    expect((await cron())?.provider?.age_seconds).toBe(300);
    expect((await cron())?.sweep?.age_seconds).toBe(0);
  });

  it("answers without its database, and says what it then does not know", async () => {
    const DB = {
      prepare: () => {
        throw new Error("D1_ERROR: down");
      },
    } as unknown as D1Database;
    vi.spyOn(console, "warn").mockImplementation(() => {});
    expect(await healthOf({ ...(env as Env), DB })).toMatchObject({ ok: true, cron: null, clock: null });
  });
});
