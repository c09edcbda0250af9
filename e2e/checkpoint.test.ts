/** A host dies while somebody works: the wake brings back the newest checkpoint, and the user's scripts are run. */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  Instance,
  keepCopy,
  mustBeEqual,
  setGpu,
  startTestCloud,
  type TestCloud,
  workspaceOf,
} from "./testing/cloud.ts";
import { writeLargeWorkspace } from "./testing/workspace.ts";

let test: TestCloud;
beforeAll(async () => {
  // Silence is told soon, so that the provider is asked soon, and believed of a young machine.
  test = await startTestCloud({
    timings: { silenceMinMs: 3_000, lookEveryMs: 500, listLagMs: 5_000, goneAgainMs: 500 },
  });
});
afterAll(async () => {
  await test?.end();
});

it("wakes with what the last checkpoint held, and says how old that was", async () => {
  const { cloud, base } = test;
  const instance = await Instance.create(cloud, {
    name: "checkpoint",
    gpu_type: "RTX 4090",
    auto_hibernation: {
      enabled: false,
      check_interval_seconds: 0.5,
      checkpoint: { interval_minutes: 0.05 },
      hooks: { after_wake: 'echo "$SONECA_HOOK $SONECA_REASON" > ../hook-was-here' },
    },
  });
  await instance.untilState("running");
  const first = await instance.machine();
  await setGpu(cloud, first, "95");
  const workspace = workspaceOf(first);
  writeLargeWorkspace(workspace, { files: 20, fileBytes: 50_000, seed: 5 });
  mkdirSync(join(workspace, ".soneca"));
  writeFileSync(join(workspace, ".soneca/before-sleep"), "#!/bin/sh\nexit 1\n");
  chmodSync(join(workspace, ".soneca/before-sleep"), 0o755);
  const written = Date.now();
  const kept = keepCopy(workspace, `${base}/kept`);
  const safe = await instance.until(
    "a checkpoint holds what was written, and the machine goes on",
    ({ state, recovery_point: point }) => state === "running" && point !== null && Date.parse(point.at) > written,
  );
  expect(safe.recovery_point).toMatchObject({ kind: "checkpoint", torn: 0 });

  // The script of the workspace says no to a sleep.
  await instance.post("hibernate");
  const vetoed = await instance.until("the script says no", ({ sleep_request }) => sleep_request !== null);
  expect(vetoed.awake_because[0]).toMatchObject({ signal: "hook", code: "hook_veto" });

  await cloud.vastLocal("POST", `/local/machines/${first.id}/host`, { how: "gone" });
  const lost = await instance.untilState("hibernated");
  expect(lost).toMatchObject({ trouble: { code: "machine_lost" }, snapshot: { kind: "checkpoint" } });
  const events = await instance.eventsUpTo("machine_lost");
  const said = events.find((one) => one.event_type === "machine_lost")!.params;
  expect(said).toMatchObject({ recovery_point: "checkpoint", recovery_point_seq: lost.snapshot!.seq });
  expect(said.recovery_point_at).toBeGreaterThan(written);

  await instance.post("wake");
  await instance.untilState("running");
  const second = workspaceOf(await instance.machine());
  expect(readFileSync(join(second, "../hook-was-here"), "utf8")).toBe("after_wake wake\n");
  mustBeEqual(kept, second);
});
