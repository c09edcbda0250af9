/** What `npm run undeploy` takes away, and what it does not without being told. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { Scene } from "./testing/scene.ts";

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
  await scene.deploy(["--domain", "soneca.example.com", "--proxy-zone", "example.com"]);
  scene.api.changes.length = 0;
});
afterEach(() => scene.close());

function addInstance(name: string, machine: number | null, glance: object = {}): void {
  const sql = `INSERT INTO instance_status (instance_id, user_id, status, vast_instance_id, created_at, updated_at, name, state, version, glance)
    VALUES (?, 'u', 'hibernated', ?, '-', '-', ?, 'hibernated', 1, ?)`;
  scene.database?.sql.prepare(sql).run(`i-${name}`, machine, name, JSON.stringify(glance));
}

it("takes everything away, and says so once more when there is nothing", async () => {
  const { code, outcomes } = await scene.undeploy();
  expect(code).toBe(0);
  expect(outcomes).toMatchObject({
    dashboard: "done",
    domains: "done",
    worker: "done",
    database: "done",
    bucket: "done",
  });
  const { databases, buckets, scripts, projects, domains, zoneRoutes } = scene.api.account;
  expect([databases.size, buckets.size, scripts.size, projects.size]).toEqual([0, 0, 0, 0]);
  expect([domains, zoneRoutes]).toEqual([[], []]);
  expect((await scene.undeploy()).events).toEqual([{ event: "gone" }]);
});

it("asks for the name, and does nothing for another one", async () => {
  for (const options of [{ yes: null }, { yes: "other" }]) {
    expect((await scene.undeploy(options)).failure?.code).toBe("not_confirmed");
  }
  scene.ask = async () => "no";
  expect((await scene.undeploy({ yes: null })).failure?.code).toBe("not_confirmed");
  expect(scene.api.changes).toEqual([]);
  scene.ask = async () => "soneca";
  expect((await scene.undeploy({ yes: null })).code).toBe(0);
});

it("says what is lost, and changes nothing in a dry run", async () => {
  addInstance("nest", null);
  const { code, events } = await scene.undeploy({ dryRun: true, yes: null });
  expect(code).toBe(0);
  expect(JSON.stringify(events)).toContain("1 instances with their history");
  expect(scene.api.changes).toEqual([]);
});

it("refuses while machines are rented, stopped ones and those on their way out among them", async () => {
  addInstance("nest", 31_337);
  const { failure } = await scene.undeploy();
  expect(failure).toMatchObject({ step: "machines", code: "machines_run" });
  expect(failure?.message).toContain("nest (vast.ai 31337)");
  scene.database?.sql.exec("DELETE FROM instance_status");
  addInstance("parked", null, { burn: { micro_usd_per_hour: 9_000, unpriced: 0 } });
  expect((await scene.undeploy()).failure?.code).toBe("machines_run");
  expect(scene.api.changes).toEqual([]);
  expect((await scene.undeploy({ leaveMachines: true })).code).toBe(0);
});

it("refuses where it cannot know", async () => {
  scene.api.faults = [{ path: /query$/, how: "lost" }];
  const { failure } = await scene.undeploy();
  expect(failure).toMatchObject({ step: "machines", code: "machines_run" });
  expect(failure?.hint).toContain("--leave-machines");
  expect(scene.api.changes).toEqual([]);
});

it("leaves snapshots where they are until it is told to delete them", async () => {
  const bucket = scene.api.account.buckets.get("soneca-snapshots");
  for (const key of ["i/a/parts/0 1", "i/a/parts/ü", "i/b/manifests/m", "i/b/x", "i/c/y"]) bucket?.objects.add(key);
  const kept = await scene.undeploy();
  expect(kept.outcomes.bucket).toBe("skipped");
  expect(bucket?.objects.size).toBe(5);
  const gone = await scene.undeploy({ deleteSnapshots: true });
  expect(gone.code).toBe(0);
  expect(gone.events.map((one) => one.message)).toContain("5 objects are deleted");
  expect(scene.api.account.buckets.size).toBe(0);
});

it("goes on after a failure in the middle", async () => {
  scene.api.faults = [{ method: "DELETE", path: /d1\/database/, how: "lost" }];
  expect((await scene.undeploy()).failure).toMatchObject({ step: "database", code: "unreachable" });
  expect(scene.script).toBeUndefined();
  scene.api.faults = [];
  expect((await scene.undeploy()).code).toBe(0);
  expect(scene.api.account.databases.size).toBe(0);
});

it("leaves what only has the name, and a database of another program ends it before anything else", async () => {
  const { account } = scene.api;
  await scene.undeploy();
  const { sql } = account.addDatabase("soneca");
  sql.exec("CREATE TABLE orders (id INTEGER)");
  account.buckets.set("soneca-snapshots", { objects: new Set(["invoices/1.pdf"]) });
  account.projects.set("soneca-dashboard", {
    name: "soneca-dashboard",
    subdomain: "soneca-dashboard.pages.dev",
    production_branch: "main",
    deployment_configs: { production: {}, preview: {} },
    canonical_deployment: { deployment_trigger: { metadata: { commit_message: "Prices of May" } } },
  });
  scene.api.changes.length = 0;
  const all = { deleteSnapshots: true, leaveMachines: true };
  expect((await scene.undeploy(all)).failure).toMatchObject({ step: "look", code: "name_taken" });
  sql.exec("CREATE TABLE d1_migrations (id INTEGER, name TEXT)");
  expect((await scene.undeploy(all)).failure).toMatchObject({ step: "look", code: "name_taken" });
  account.databases.clear();
  const named = await scene.undeploy(all);
  expect(named.code).toBe(0);
  expect(JSON.stringify(named.events)).toContain("soneca-snapshots stays: nothing says that it is Soneca's");
  account.buckets.get("soneca-snapshots")?.objects.clear();
  expect((await scene.undeploy({ leaveMachines: true })).code).toBe(0);
  expect(scene.api.changes).toEqual([]);
});

it("leaves another program's worker, one without any binding as well", async () => {
  scene.api.account.scripts.set("soneca", { ...scene.script!, bindings: [], secrets: {} });
  expect((await scene.undeploy()).failure).toMatchObject({ step: "look", code: "name_taken" });
  expect(scene.api.changes).toEqual([]);
});

it("leaves the route that belongs to another worker by now", async () => {
  const route = { id: "r", pattern: "*.example.com/*", script: "shop" };
  scene.api.account.zoneRoutes = [route];
  expect((await scene.undeploy()).code).toBe(0);
  expect(scene.api.account.zoneRoutes).toEqual([route]);
});

it("deletes no database that cannot be read and has no worker, though machines may stay", async () => {
  scene.api.account.scripts.clear();
  scene.api.faults = [{ path: /query$/, how: "lost" }];
  const { failure } = await scene.undeploy({ leaveMachines: true });
  expect(failure).toMatchObject({ step: "look", code: "unreachable" });
  expect(scene.api.changes).toEqual([]);
});
