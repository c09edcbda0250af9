/** A cloud in which every state that a page shows is there at once, made as its users make it: by the API, with real machines. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { LocalCloud } from "../../local-cloud/cloud.ts";
import { Instance, setGpu, until, workspaceOf } from "../testing/cloud.ts";
import { writeLargeWorkspace } from "../testing/workspace.ts";

export interface Scene {
  busy: Instance;
  /** Counts down. */
  idle: Instance;
  /** With two cycles behind it, snapshots to compare, and a schedule. */
  asleep: Instance;
  gone: Instance;
  /** Comes up, and does not get there while a test looks. */
  waking: Instance;
}

/** Times that a scene wants of its cloud. */
export const sceneTimings = { endEveryMs: 500, goneAgainMs: 300, lookEveryMs: 500, wakeEveryMs: 500 };

/** After three wakes it is known how long they usually take. */
export async function makeScene(cloud: LocalCloud, sleeps = 2): Promise<Scene> {
  const make = (name: string, gpu_type: string, more: object = {}) =>
    Instance.create(cloud, {
      name,
      gpu_type,
      auto_hibernation: { check_interval_seconds: 2, grace_minutes: 0, ...more },
    });
  const [busy, idle, asleep, gone] = await Promise.all([
    make("llama-lora", "RTX 4090"),
    make("comfy-studio", "RTX 4090", { pause_after_idle_minutes: 20 }),
    make("dev-notebook", "RTX 3090", { delete_after_pause_minutes: 10_000, enabled: false }),
    make("old-gan", "RTX 3090", { delete_after_pause_minutes: 0, enabled: false }),
  ]);
  await Promise.all([
    work(cloud, busy, "93"),
    rest(cloud, idle),
    cycles(asleep, sleeps),
    cycles(gone, 1).then(() => gone.untilState("deleted")),
  ]);
  await cloud.api("PUT", `/api/instances/${asleep.id}/schedule`, {
    timezone: "America/Sao_Paulo",
    windows: [{ days: ["mon", "tue", "wed", "thu", "fri"], start: "09:00", end: "18:00" }],
  });
  const waking = await make("vllm-qwen", "RTX 4090");
  return { busy, idle, asleep, gone, waking };
}

async function work(cloud: LocalCloud, instance: Instance, load: string): Promise<void> {
  await instance.untilState("running");
  const machine = await instance.machine();
  writeLargeWorkspace(workspaceOf(machine), { files: 20, fileBytes: 60_000, seed: 2 });
  await setGpu(cloud, machine, load);
}

async function rest(cloud: LocalCloud, instance: Instance): Promise<void> {
  await work(cloud, instance, "64");
  await until("it was seen at work", async () => (await instance.view()).gpu_utilization === 64);
  await setGpu(cloud, await instance.machine(), "0");
  await instance.until("it counts down", (view) => view.status === "idle" && view.next?.what === "hibernate");
}

/** Sleeps so many times, with something new on its disk each time. */
async function cycles(instance: Instance, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    if (i > 0) await instance.post("wake");
    await instance.untilState("running");
    const workspace = workspaceOf(await instance.machine());
    if (i === 0) writeLargeWorkspace(workspace, { files: 15, fileBytes: 40_000, seed: 7 });
    else writeFileSync(join(workspace, `run-${i}.log`), `the log of run ${i}\n`.repeat(500));
    await instance.post("hibernate");
    await instance.until("it sleeps", (view) => view.state === "hibernated" || view.state === "deleted");
  }
}
