/** /api/metrics: that what happened to instances is what a Prometheus reads, without one of them being asked. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { runCron } from "../cron.ts";
import { mirrorEvents } from "../db/read-model.ts";
import type { Env } from "../env.ts";
import {
  adminToken,
  advance,
  alarmAfter,
  api,
  fallAsleep,
  metricsToken,
  outcome,
  realWait,
  runningInstance,
  type Sleeper,
  send,
  settle,
  type TestUser,
  until,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, vastErrors } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
  for (const table of ["hibernation_events", "instance_status", "counters", "cron_runs"])
    await env.DB.exec(`DELETE FROM ${table}`);
});
afterEach(endScene);

/** Every sample by its name with its labels, as it stands in the text. */
async function scrape(): Promise<Map<string, number>> {
  const { body } = await api<string>("GET", "/api/metrics", { token: metricsToken });
  const lines = body.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

async function restored(nest: Sleeper): Promise<void> {
  const agent = nest.agent();
  await agent.beat({ gpu: 0 });
  const { id, snapshot } = agent.command("restore");
  advance(20_000);
  await agent.beat({ gpu: 0, results: [{ commandId: id, outcome: "restored", digest: snapshot.digest }] });
  await settle(nest.id);
}

describe("/api/metrics", () => {
  it("tells of a machine that runs, of its sleep, and of the wake after it", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await settle(nest.id);
    const id = nest.id;
    let seen = await scrape();
    expect(seen.get('soneca_instances{state="running"}')).toBe(1);
    expect(seen.get("soneca_machines")).toBe(1);
    expect(seen.get("soneca_price_usd_per_hour")).toBe(0.4);
    expect(seen.get(`soneca_instance_price_usd_per_hour{id="${id}"}`)).toBe(0.4);
    expect(seen.get(`soneca_instance_state{id="${id}",state="running",status="running"}`)).toBe(1);
    expect(seen.get(`soneca_instance_gpu_utilization_ratio{id="${id}"}`)).toBe(0.8);
    expect(seen.get(`soneca_instance_last_report_timestamp_seconds{id="${id}"}`)).toBe(Date.now() / 1000);
    expect(seen.get(`soneca_instance_clock_skew_seconds{id="${id}"}`)).toBe(0);
    expect(seen.get('soneca_events_total{type="wake_failed"}')).toBe(0);

    advance(3_600_000);
    await agent.beat({ gpu: 80 });
    await fallAsleep(nest, agent);
    seen = await scrape();
    const { cost } = await nest.view();
    expect(seen.get('soneca_instances{state="hibernated"}')).toBe(1);
    expect(seen.get("soneca_machines")).toBe(0);
    expect(seen.get("soneca_price_usd_per_hour")).toBe(0);
    // Until its end was known it was taken to cost for some seconds more.
    expect(seen.get('soneca_paid_usd_total{kind="machine"}')).toBeCloseTo(cost.paid_micro_usd / 1_000_000, 2);
    expect(cost.paid_micro_usd).toBeGreaterThan(400_000);
    expect(seen.get(`soneca_instance_paid_usd_total{id="${id}"}`)).toBeGreaterThan(0.4);
    expect(seen.get('soneca_events_total{type="hibernated"}')).toBe(1);
    expect(seen.has(`soneca_instance_last_report_timestamp_seconds{id="${id}"}`)).toBe(false);
    await until("the store was measured", async () => (await nest.view()).storage);

    advance(3_600_000);
    await nest.post("wake");
    await settle(id);
    seen = await scrape();
    expect(seen.get("soneca_avoided_usd_total")).toBeCloseTo(0.4, 2);
    expect(seen.get("soneca_stored_bytes")).toBe((await nest.view()).storage?.bytes);
    await restored(nest);
    seen = await scrape();
    expect((await nest.view()).state).toBe("running");
    expect(seen.get('soneca_events_total{type="woke_up"}')).toBe(1);
    expect(seen.get('soneca_wake_duration_seconds_count{phase="whole"}')).toBe(1);
    expect(seen.get('soneca_wake_duration_seconds_sum{phase="restore"}')).toBe(20);
    expect(seen.get('soneca_wake_duration_seconds_bucket{phase="restore",le="10"}')).toBe(0);
    expect(seen.get('soneca_wake_duration_seconds_bucket{phase="restore",le="20"}')).toBe(1);
    expect(seen.get('soneca_wake_duration_seconds_bucket{phase="restore",le="+Inf"}')).toBe(1);
  });

  it("money that is counted never shrinks, though a machine proves to have gone earlier than was thought", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    advance(600_000);
    await agent.beat({ gpu: 80 });
    await nest.post("not-now");
    await settle(nest.id);
    const name = 'soneca_paid_usd_total{kind="machine"}';
    const before = (await scrape()).get(name)!;
    expect(before).toBeGreaterThan(0.06);
    await env.DB.exec("UPDATE instance_status SET machine_micro_usd = machine_micro_usd + 5000000");
    await nest.post("not-now");
    await settle(nest.id);
    expect((await scrape()).get(name)).toBe(before + 5);
  });

  it("an event that is copied twice counts once", async () => {
    const { nest } = await runningInstance(vast, user);
    await settle(nest.id);
    const before = await scrape();
    await mirrorEvents(env.DB, await nest.events());
    expect(await scrape()).toEqual(before);
    expect(before.get('soneca_events_total{type="created"}')).toBe(1);
  });

  it("counts the provider's calls and failures, and keeps the count over a database that was away", async () => {
    const { nest } = await runningInstance(vast, user);
    await settle(nest.id);
    const failures = 'soneca_provider_failures_total{call="list",code="provider_auth"}';
    const lists = 'soneca_provider_calls_total{call="list"}';
    const listed = async () => (await scrape()).get(lists) ?? 0;
    await until("the calls so far are written", async () => {
      const before = await listed();
      await realWait(60);
      return before > 0 && (await listed()) === before;
    });
    const before = await listed();
    vast.always.list = vastErrors.auth;
    vi.spyOn(console, "warn").mockImplementation(() => {});
    advance(10_000);
    await runCron("*/5 * * * *", env as Env);
    await until("it is counted", async () => (await scrape()).get(failures) === 1);
    expect(await listed()).toBe(before + 1);
  });

  it("says when the cron last ran, and which instances it has not come to", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    await runCron("*/5 * * * *", env as Env);
    let seen = await scrape();
    expect(seen.get('soneca_cron_last_run_timestamp_seconds{duty="sweep"}')).toBe(Date.now() / 1000);
    expect(seen.get('soneca_cron_last_run_timestamp_seconds{duty="provider"}')).toBe(Date.now() / 1000);
    expect(seen.get("soneca_late_instances")).toBe(0);
    await fallAsleep(nest, agent);
    advance(300_000 + 200_000);
    seen = await scrape();
    expect(seen.get("soneca_late_instances")).toBe(1);
    expect(seen.get("soneca_overdue_seconds")).toBeGreaterThan(190);
    const { body } = await api<{ clock: { late_instances: number; next_due_at: string } }>("GET", "/api/health");
    expect(body.clock.late_instances).toBe(1);
    expect(Date.parse(body.clock.next_due_at)).toBeLessThan(Date.now() - 190_000);
    await alarmAfter(nest.id, 0);
    expect((await scrape()).get("soneca_late_instances")).toBe(0);
  });

  it("is text for Prometheus, OpenMetrics for who asks for it, and says when there is no database", async () => {
    const plain = await send("GET", "/api/metrics", { token: adminToken });
    expect(plain.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await plain.text()).not.toContain("# EOF");
    const accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    const open = await send("GET", "/api/metrics", { token: metricsToken, headers: { accept } });
    expect(open.headers.get("content-type")).toContain("application/openmetrics-text");
    expect(new TextDecoder().decode(await open.arrayBuffer())).toMatch(
      /# TYPE soneca_paid_usd counter[\s\S]*\n# EOF\n$/,
    );
    await env.DB.exec("ALTER TABLE counters RENAME TO counters_away");
    expect(await outcome("GET", "/api/metrics", { token: metricsToken })).toBe("503 database_unavailable");
    await env.DB.exec("ALTER TABLE counters_away RENAME TO counters");
  });
});
