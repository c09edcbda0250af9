/**
 * The plan's own tests over the real programs: the worker in workerd, the stand-in for vast.ai, machines that are real
 * processes with the real agent in them.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EventView, InstanceView, SnapshotView } from "../core/protocol/views.ts";
import { sleep } from "../local-cloud/processes.ts";
import { writeSampleWorkspace } from "../local-cloud/sample.ts";
import type { LocalMachine } from "../local-cloud/vast/control.ts";
import {
  billOf,
  execIn,
  Instance,
  keepCopy,
  listMachines,
  mustBeEqual,
  processesWith,
  quick,
  readD1,
  setGpu,
  startTestCloud,
  type TestCloud,
  until,
  workspaceOf,
} from "./testing/cloud.ts";
import { type Nasty, readXattr, usedBytes, writeNastyWorkspace } from "./testing/workspace.ts";
import { readOutside, writerProgram } from "./testing/writer.ts";

const windowMs = quick.pause_after_idle_minutes * 60_000;

let test: TestCloud;
beforeAll(async () => {
  test = await startTestCloud();
});
afterAll(async () => {
  await test?.end();
});

// Chapters run side by side in one cloud, each with instances of its own, the longest first; what is told within one is
// told in order.
const inOrder = { concurrent: false };

describe.concurrent("the plan, tests 2 and 3: hibernation and wake", () => {
  let instance: Instance;
  let first: LocalMachine;
  let nasty: Nasty;
  let before: string;
  let asleep: InstanceView;
  const lagMs = 6_000;

  it("2 auto-hibernation: quiet for the window, then snapshot, proof, destroy, end of the bill", inOrder, async () => {
    const { cloud, base } = test;
    const body = { name: "sleeper", gpu_type: "RTX 4090", auto_hibernation: quick };
    instance = await Instance.create(cloud, body);
    first = await instance.machine();
    await setGpu(cloud, first, "90");
    writeSampleWorkspace(workspaceOf(first));
    mkdirSync(join(workspaceOf(first), "nasty"));
    nasty = writeNastyWorkspace(join(workspaceOf(first), "nasty"));
    before = keepCopy(workspaceOf(first), join(base, "before"));
    await instance.until("the load is seen", (view) => view.gpu_utilization === 90);
    // Listed for some seconds more, so that the store can be looked at with the token of the machine that wrote it.
    await cloud.vastLocal("POST", "/local/faults", { name: "destroy_lag", ms: lagMs, times: 1, id: first.id });

    const quietAt = Date.now();
    await setGpu(cloud, first, "0");
    await instance.untilState("destroying");
    expect(Date.now() - quietAt).toBeGreaterThan(windowMs - 2_000);
    const objects = await instance.stored(1);
    const parts = objects.filter(({ key }) => key.startsWith("parts/"));
    const manifests = objects.filter(({ key }) => key.startsWith("manifests/"));
    expect(manifests).toHaveLength(1);
    expect(parts.length).toBeGreaterThan(1);
    for (const { key, sha256, bytes } of parts) {
      expect(key).toBe(`parts/${sha256}`);
      expect(bytes).toBeGreaterThan(0);
    }

    asleep = await instance.untilState("hibernated");
    expect(asleep).toMatchObject({ status: "hibernated", machine: null, retiring_machines: [], trouble: null });
    expect(asleep.snapshot_id).toBe(`${instance.id}@1`);
    expect(asleep.hibernated_at).not.toBeNull();

    const answer = await cloud.api<{ snapshots: SnapshotView[] }>("GET", `/api/instances/${instance.id}/snapshots`);
    expect(answer.body.snapshots).toMatchObject([
      { snapshot_id: asleep.snapshot_id, digest: asleep.snapshot?.digest, epoch: 1, parts: parts.length },
    ]);
    expect(answer.body.snapshots[0]!.proved_at).not.toBeNull();
    expect(answer.body.snapshots[0]!.stored_bytes).toBe(parts.reduce((sum, { bytes }) => sum + bytes, 0));
    // Its token is worth nothing any more.
    await expect(instance.stored(1)).rejects.toThrow("epoch_fenced");
  });

  it("2 auto-hibernation: nothing of the machine is left, and the provider charges nothing", inOrder, async () => {
    const { cloud } = test;
    expect((await listMachines(cloud)).filter((one) => one.id === first.id)).toEqual([]);
    expect(processesWith(first.path)).toEqual([]);
    const rows = (await billOf(cloud)).filter((row) => row.label?.startsWith(`soneca:${instance.id}:`));
    expect(rows).toHaveLength(1);
    expect(rows[0]!.endedAt).not.toBeNull();
    // GPU time, from the provider's word that it runs; when it ends after an accepted destroy nobody says to the second.
    const { gpuSeconds } = rows[0]!;
    expect(gpuSeconds).toBeGreaterThan(5);
    expect(Math.abs(asleep.cost.paid_seconds - gpuSeconds)).toBeLessThan(lagMs / 1000 + 2);
    await sleep(1_000);
    expect((await instance.view()).cost).toEqual(asleep.cost);
  });

  it("2 auto-hibernation: instance_status and hibernation_events hold the plan's columns", inOrder, async () => {
    const { cloud } = test;
    await instance.untilState("deleted");
    const row = await until("the read model says deleted", () => {
      const [found] = readD1(cloud, "select * from instance_status where instance_id = ?", instance.id);
      return found?.status === "deleted" && found;
    });
    expect(row).toMatchObject({
      user_id: asleep.user_id,
      snapshot_id: asleep.snapshot_id,
      vast_instance_id: null,
      idle_since: null,
      pause_after_minutes: quick.pause_after_idle_minutes,
      delete_after_minutes: quick.delete_after_pause_minutes,
      auto_hibernation_enabled: 1,
    });
    const events = await until("the events are mirrored", () => {
      const query = "select * from hibernation_events where instance_id = ? order by seq";
      const found = readD1(cloud, query, instance.id);
      return found.at(-1)?.event_type === "deleted" && found;
    });
    const plan = events.filter(({ event_type }) =>
      ["idle_detected", "hibernated", "deleted"].includes(`${event_type}`),
    );
    expect(plan.map((event) => event.event_type)).toEqual(["idle_detected", "hibernated", "deleted"]);
    expect(plan[0]!.gpu_utilization).toBe(0);
    expect(plan[1]!.snapshot_id).toBe(asleep.snapshot_id);
    expect(plan[1]!.timestamp).toBe(asleep.hibernated_at);
  });

  it("3 manual wake: a new machine of the wanted type and region, every byte as it was", inOrder, async () => {
    const { cloud } = test;
    await instance.post("wake", { gpu_type: "RTX 3090", region: "EU" });
    const second = await instance.machine();
    await setGpu(cloud, second, "90");
    const awake = await instance.untilState("running");
    expect(second).toMatchObject({ label: `soneca:${instance.id}:2`, gpu: "1x RTX 3090" });
    expect(second.id).not.toBe(first.id);
    expect(["SE", "DE", "PL", "NL", "CZ", "NO"]).toContain(second.region);
    expect(awake).toMatchObject({ epoch: 2, gpu_type: "RTX 3090", region: second.region, trouble: null });

    const { entries } = mustBeEqual(before, workspaceOf(second));
    expect(entries).toBeGreaterThan(300);
    // What the comparison does not see: holes, and extended attributes where getfattr is not installed.
    expect(usedBytes(join(workspaceOf(second), "nasty/sparse"))).toBeLessThan(64 * 1024);
    for (const { path, name, hex } of nasty.xattrs)
      expect({ path, name, hex: readXattr(join(workspaceOf(second), "nasty", path), name) }).toEqual({
        path,
        name,
        hex,
      });

    const woke = (await instance.eventsUpTo("woke_up")).filter((event) => event.event_type === "woke_up");
    expect(woke).toHaveLength(1);
    const row = await until("woke_up is mirrored", () => {
      const query = "select * from hibernation_events where instance_id = ? and event_type = 'woke_up'";
      return readD1(cloud, query, instance.id)[0];
    });
    expect(row.timestamp).toBe(woke[0]!.timestamp);
    expect((await instance.stored(2)).some(({ key }) => key.startsWith("manifests/"))).toBe(true);
    expect(rentals(await instance.events())).toBe(2);
  });

  it("sleeps again on its new machine, at the user's word, with only what changed", inOrder, async () => {
    const { cloud } = test;
    const second = await instance.machine();
    writeFileSync(join(workspaceOf(second), "second-life.txt"), "written on the second machine\n");
    const partsBefore = (await instance.stored(2)).filter(({ key }) => key.startsWith("parts/")).length;
    const kept = keepCopy(workspaceOf(second), join(test.base, "before-second"));
    await instance.post("hibernate");
    const view = await instance.untilState("hibernated");
    // Each sleep reserves a number for a second snapshot under the seal, so numbers grow and may have gaps.
    expect(view.snapshot?.seq).toBeGreaterThan(1);
    // Much less than the whole: what the first snapshot holds is taken from there.
    const { body } = await cloud.api<{ snapshots: SnapshotView[] }>("GET", `/api/instances/${instance.id}/snapshots`);
    expect(body.snapshots.map((one) => one.seq)).toEqual([view.snapshot?.seq, 1]);
    expect(body.snapshots[0]!.parts! - partsBefore).toBeLessThanOrEqual(3);
    await until(
      "a minute since the last wake is over",
      async () => {
        const answer = await cloud.api("POST", `/api/instances/${instance.id}/wake`);
        if (answer.status !== 202) expect(answer.status).toBe(429);
        return answer.status === 202;
      },
      { withinMs: 70_000, everyMs: 1_000 },
    );
    const third = await instance.machine();
    await setGpu(cloud, third, "90");
    await instance.untilState("running");
    mustBeEqual(kept, workspaceOf(third));
    await instance.post("discard", { confirm: instance.id });
  });
});

describe.concurrent("the plan, test 2: the read model", () => {
  it("2 auto-hibernation: while it is hibernated, instance_status says so and since when", async () => {
    // An instance that stays in this state for long.
    const { cloud } = test;
    const config = { ...quick, delete_after_pause_minutes: 30 };
    const instance = await Instance.create(cloud, { name: "stays", gpu_type: "RTX 4090", auto_hibernation: config });
    const view = await instance.untilState("hibernated");
    const row = await until("the read model says hibernated", () => {
      const [found] = readD1(cloud, "select * from instance_status where instance_id = ?", instance.id);
      return found?.status === "hibernated" && found;
    });
    expect(row).toMatchObject({ hibernated_at: view.hibernated_at, snapshot_id: `${instance.id}@1` });
    expect(view.next).toEqual({
      what: "delete",
      at: new Date(Date.parse(view.hibernated_at!) + 30 * 60_000).toISOString(),
    });
  });
});

describe.concurrent("the plan, test 1: monitoring", () => {
  let instance: Instance;
  let machine: LocalMachine;

  it("rents a machine on which the agent is installed and reports at each check interval", inOrder, async () => {
    instance = await Instance.create(test.cloud, { name: "seen", gpu_type: "RTX 4090", auto_hibernation: quick });
    machine = await instance.machine();
    await setGpu(test.cloud, machine, "90");
    const view = await instance.untilState("running");
    expect(view).toMatchObject({ gpu_type: "RTX 4090", machine: { vast_instance_id: machine.id, epoch: 1 } });

    const reports: string[] = [];
    await until(
      "eleven reports are seen",
      async () => {
        const { last_report_at } = await instance.view();
        if (last_report_at && last_report_at !== reports.at(-1)) reports.push(last_report_at);
        return reports.length > 10;
      },
      { everyMs: 50 },
    );
    // One a second, never sooner; a machine that others use as well holds up some of them and of our looks.
    const gapsMs = reports
      .slice(1)
      .map((at, i) => Date.parse(at) - Date.parse(reports[i]!))
      .sort((a, b) => a - b);
    expect(gapsMs[5], gapsMs.join()).toBeGreaterThan(750);
    expect(gapsMs[5], gapsMs.join()).toBeLessThan(2_500);
    expect(gapsMs[0], gapsMs.join()).toBeLessThan(1_450);
  });

  it("detects a load above 5 % and shows it", inOrder, async () => {
    const busy = await instance.until("the load is seen", (view) => view.gpu_utilization === 90);
    expect(busy).toMatchObject({ status: "running", idle_since: null, next: null });
    expect(busy.awake_because).toEqual([{ signal: "gpu", code: "gpu_busy", value: 90, threshold: 5, detail: "GPU 0" }]);
    await setGpu(test.cloud, machine, "6");
    const little = await instance.until("6 % are seen", (view) => view.gpu_utilization === 6);
    expect(little).toMatchObject({ status: "running", idle_since: null });
    expect(little.awake_because).toMatchObject([{ code: "gpu_busy", value: 6 }]);
  });

  it(
    "calls it idle below 5 %, says when it will sleep, and takes that back when the load returns",
    inOrder,
    async () => {
      await setGpu(test.cloud, machine, "4");
      const idle = await instance.until("it is idle", (view) => view.status === "idle");
      expect(idle).toMatchObject({ state: "running", awake_because: [], next: { what: "hibernate" } });
      expect(Date.parse(idle.next!.at) - Date.parse(idle.idle_since!)).toBe(windowMs);
      await setGpu(test.cloud, machine, "90");
      const busy = await instance.until("it works again", (view) => view.status === "running");
      expect(busy).toMatchObject({ state: "running", idle_since: null });
      expect(await instance.eventTypesUpTo("active_again")).toEqual(
        expect.arrayContaining(["created", "machine_rented", "machine_up", "idle_detected", "active_again"]),
      );
      await sleep(windowMs + 2_000);
      expect((await instance.view()).state).toBe("running");
      await instance.post("discard", { confirm: instance.id });
    },
  );
});

describe.concurrent("the plan, test 1: monitoring of what cannot be read", () => {
  it("never takes a sensor that fails, or one quiet GPU of several, for idleness", async () => {
    const cases: { name: string; gpu_count: number; load: string[]; code: string; or?: string }[] = [
      { name: "fail 9", gpu_count: 1, load: ["fail 9"], code: "sensor_failed" },
      { name: "[N/A]", gpu_count: 1, load: ["[N/A]"], code: "gpu_unknown" },
      // Between two answers that did not come there is no sample at all, which is no idleness either.
      { name: "hang", gpu_count: 1, load: ["hang"], code: "sensor_failed", or: "no_samples" },
      { name: "one of four", gpu_count: 4, load: ["0", "0", "90", "0"], code: "gpu_busy" },
      { name: "three of four", gpu_count: 4, load: ["0", "0", "0", "missing"], code: "gpu_unknown" },
    ];
    const made: { instance: Instance; machine: LocalMachine; codes: string[]; name: string }[] = [];
    for (const { name, gpu_count, load, code, or = code } of cases) {
      const body = { name, gpu_type: "RTX 4090", gpu_count, auto_hibernation: quick };
      const instance = await Instance.create(test.cloud, body);
      const machine = await instance.machine();
      await setGpu(test.cloud, machine, ...load);
      made.push({ instance, machine, codes: [code, or], name });
    }
    for (const { instance, codes, name } of made)
      await instance.until(`${name} is told as ${codes[0]}`, (view) => view.awake_because[0]?.code === codes[0]);

    const end = Date.now() + 2.5 * windowMs;
    while (Date.now() < end) {
      for (const { instance, name, codes } of made) {
        const view = await instance.view();
        expect({ name, state: view.state, status: view.status, idle: view.idle_since }).toEqual({
          name,
          state: "running",
          status: "running",
          idle: null,
        });
        expect(codes, `${name}: ${JSON.stringify(view.awake_because)}`).toContain(view.awake_because[0]?.code);
      }
      await sleep(300);
    }

    // The same machines fall asleep once all is quiet and readable: it was the reading that held them.
    for (const { machine } of made) await setGpu(test.cloud, machine, "0");
    for (const { instance } of made)
      await instance.until("it sleeps", ({ state }) => state === "hibernated" || state === "deleted");
    for (const { instance } of made)
      expect((await instance.eventTypesUpTo("hibernated")).filter(isIdle)).toHaveLength(1);
  });
});

describe.concurrent("a machine that somebody rented without us", () => {
  it("is adopted, runs the install line, sleeps and wakes", async () => {
    const { cloud, base } = test;
    const vast = async <T>(method: string, path: string, body: object): Promise<T> =>
      cloud.vastLocal<T>(method, path, body);
    // As the official client asks.
    const query = { gpu_name: { eq: "RTX 4090" }, num_gpus: { eq: 1 }, rentable: { eq: true }, type: "on-demand" };
    const { offers } = await vast<{ offers: { id: number }[] }>("POST", "/api/v0/bundles/", query);
    const order = { client_id: "me", image: "pytorch/pytorch:latest", disk: 32, runtype: "ssh", env: { MINE: "1" } };
    const made = await vast<{ new_contract: number }>("PUT", `/api/v0/asks/${offers[0]!.id}/`, order);
    const machineOf = async () => (await listMachines(cloud)).find((one) => one.id === made.new_contract);
    const machine = await until("it runs", async () => {
      const found = await machineOf();
      return found?.status === "running" && found;
    });
    writeSampleWorkspace(workspaceOf(machine));
    await setGpu(cloud, machine, "0");
    // Nothing of ours touches it before it is adopted.
    await cloud.runCron(["*/5 * * * *"]);
    expect((await machineOf())?.label ?? null).toBeNull();

    const adopted = await cloud.api<{ instance: InstanceView; install_command: string }>(
      "POST",
      "/api/instances/adopt",
      { vast_instance_id: machine.id, name: "adopted", auto_hibernation: { ...quick, delete_after_pause_minutes: 30 } },
    );
    expect(adopted.status).toBe(201);
    const instance = new Instance(cloud, adopted.body.instance.id);
    const again = await cloud.api("POST", "/api/instances/adopt", { vast_instance_id: machine.id });
    expect(again).toMatchObject({ status: 409, body: { error: { code: "machine_already_adopted" } } });

    const ran = await execIn(cloud, machine, "sh", "-c", adopted.body.install_command);
    expect(ran).toMatchObject({ code: 0 });
    expect(ran.stdout).toContain("the agent is starting");
    await setGpu(cloud, machine, "90");
    await instance.untilState("running");
    // The line may be pasted twice: there is still one agent.
    await execIn(cloud, machine, "sh", "-c", adopted.body.install_command);
    await until("the second loop finds the first one", () =>
      readFileSync(join(machine.path, "agent/agent.log"), "utf8").includes("the loop of this home runs already"),
    );
    // Whatever an agent starts is called like the agent itself until it is another program.
    const agents = () =>
      processesWith(machine.path).filter(({ argv }) => /^\S*node \S*soneca-agent\.mjs run/.test(argv));
    await expect.poll(() => agents().length).toBe(1);

    const kept = keepCopy(workspaceOf(machine), join(base, "adopted"));
    await setGpu(cloud, machine, "0");
    await instance.untilState("hibernated");
    expect(await machineOf()).toBeUndefined();
    expect(processesWith(machine.path)).toEqual([]);

    await instance.post("wake");
    const second = await instance.machine();
    await setGpu(cloud, second, "90");
    const awake = await instance.untilState("running");
    expect(second.image).toBe("pytorch/pytorch:latest");
    expect(awake.machine?.adopted).toBe(false);
    mustBeEqual(kept, workspaceOf(second));
    await instance.post("discard", { confirm: instance.id });
  });
});

describe.concurrent("what is written while it falls asleep", () => {
  it("is kept up to the last byte that was written before the seal, and nothing is written after it", async () => {
    const { cloud, base } = test;
    const config = { ...quick, delete_after_pause_minutes: 30 };
    const instance = await Instance.create(cloud, { name: "writer", gpu_type: "RTX 4090", auto_hibernation: config });
    const machine = await instance.machine();
    await setGpu(cloud, machine, "90");
    await instance.untilState("running");
    writeSampleWorkspace(workspaceOf(machine));

    const [program, outside] = [join(base, "writer.mjs"), join(base, "outside.txt")];
    writeFileSync(program, writerProgram);
    const start = `setsid node "$0" numbers.txt "$1" >/dev/null 2>&1 </dev/null &`;
    expect(await execIn(cloud, machine, "sh", "-c", start, program, outside)).toMatchObject({ code: 0 });
    await until("it writes", () => readOutside(outside).count > 50);

    await instance.post("hibernate");
    await instance.untilState("hibernated");
    expect(processesWith(program)).toEqual([]);
    const { count: written, lastAt } = readOutside(outside);
    const events = await instance.eventsUpTo("hibernated");
    const timeOf = (type: string) => Date.parse(events.find((event) => event.event_type === type)!.timestamp);
    // It wrote on after the first snapshot, or this test would show nothing.
    expect(lastAt).toBeGreaterThan(timeOf("snapshot_taken"));
    expect(lastAt).toBeLessThanOrEqual(timeOf("sealed"));

    await instance.post("wake");
    const second = await instance.machine();
    await setGpu(cloud, second, "90");
    await instance.untilState("running");
    const restored = readFileSync(join(workspaceOf(second), "numbers.txt"), "utf8");
    const count = restored.split("\n").length - 1;
    expect(restored).toBe(Array.from({ length: count }, (_, i) => `${i + 1}\n`).join(""));
    // It writes inside first and outside second, so it was stopped between the two or after both.
    expect([written, written + 1]).toContain(count);
    await instance.post("discard", { confirm: instance.id });
  });
});

function isIdle(type: string): boolean {
  return type === "idle_detected";
}

function rentals(events: EventView[]): number {
  return events.filter((event) => event.event_type === "machine_rented").length;
}
