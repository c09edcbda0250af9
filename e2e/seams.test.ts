/** A whole life over the stand-in's wire, with a clock that is wrong and a network that is cut for a while. */
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  billOf,
  Instance,
  keepCopy,
  mustBeEqual,
  startTestCloud,
  type TestCloud,
  workspaceOf,
} from "./testing/cloud.ts";
import { writeLargeWorkspace } from "./testing/workspace.ts";

let test: TestCloud;
beforeAll(async () => {
  test = await startTestCloud({ vastOptions: ["--network", "--clock"] });
});
afterAll(async () => {
  await test?.end();
});

it("sleeps and wakes with every byte, and its traffic is on the bill", async () => {
  const { cloud, base } = test;
  const instance = await Instance.create(cloud, {
    name: "seams",
    gpu_type: "RTX 4090",
    auto_hibernation: { enabled: false, check_interval_seconds: 1, delete_after_pause_minutes: 30 },
  });
  await instance.untilState("running");
  const first = await instance.machine();
  writeLargeWorkspace(workspaceOf(first), { files: 40, fileBytes: 50_000, seed: 3 });
  const kept = keepCopy(workspaceOf(first), `${base}/kept`);
  await cloud.vastLocal("PUT", `/local/machines/${first.id}/clock`, { offsetMs: 26 * 3_600_000 });
  await cloud.vastLocal("PUT", `/local/machines/${first.id}/network`, { mode: "down" });
  await instance.post("hibernate");
  // Nothing can have come: the command and the parts have one way, and it is cut.
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  expect(await instance.stored(1)).toEqual([]);
  await cloud.vastLocal("PUT", `/local/machines/${first.id}/network`, { mode: "up" });
  await instance.until("it is hibernated", (view) => view.state === "hibernated", { withinMs: 120_000 });
  const [slept] = await billOf(cloud);
  expect(slept!.endedAt).not.toBeNull();
  expect(slept!.traffic.upBytes).toBeGreaterThan(40 * 50_000);
  await instance.post("wake");
  await instance.untilState("running");
  const second = await instance.machine();
  expect(second.id).not.toBe(first.id);
  mustBeEqual(kept, workspaceOf(second));
  const woken = (await billOf(cloud)).find(({ id }) => id === second.id)!;
  expect(woken.traffic.downBytes).toBeGreaterThan(40 * 50_000);
});
