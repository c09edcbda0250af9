/** Pause mode `stop`: the machine stands still with its disk, starts again, and is given up when its host has no GPU left. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { LedgerAnswer } from "../core/protocol/money.ts";
import {
  billOf,
  Instance,
  keepCopy,
  mustBeEqual,
  processesWith,
  startTestCloud,
  type TestCloud,
  until,
  workspaceOf,
} from "./testing/cloud.ts";
import { writeLargeWorkspace } from "./testing/workspace.ts";

const readText = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");

let test: TestCloud;
beforeAll(async () => {
  test = await startTestCloud({
    timings: {
      endEveryMs: 500,
      lookEveryMs: 500,
      goneAgainMs: 500,
      listLagMs: 5_000,
      verifyEveryMs: 1_000,
      wakeEveryMs: 0,
    },
  });
});
afterAll(async () => {
  await test?.end();
});

it("stops, starts with everything on it, leaves what does not start, and ends with the pause", async () => {
  const { cloud, base } = test;
  const instance = await Instance.create(cloud, {
    name: "only stopped",
    gpu_type: "RTX 4090",
    auto_hibernation: {
      enabled: false,
      check_interval_seconds: 0.5,
      pause_mode: "stop",
      delete_after_pause_minutes: 30,
      hooks: { after_wake: 'echo "$SONECA_REASON" >>../woken' },
    },
  });
  await instance.untilState("running");
  const first = await instance.machine();
  writeLargeWorkspace(workspaceOf(first), { files: 20, fileBytes: 50_000, seed: 11 });
  const kept = keepCopy(workspaceOf(first), join(base, "kept"));
  const rowOf = async (id: number) => (await billOf(cloud)).find((row) => row.id === id)!;

  // It stands still: no process is left, and nothing but the disk is paid.
  await instance.post("hibernate");
  const asleep = await instance.untilState("hibernated");
  expect(asleep.stopped_machine).toMatchObject({ vast_instance_id: first.id, is_saved: true, epoch: 1 });
  expect(asleep.stopped_machine!.stopped_at).not.toBeNull();
  expect(asleep).toMatchObject({ machine: null, retiring_machines: [] });
  expect(asleep.actions).toContain("discard");
  expect((await instance.machines()).map(({ id, status }) => [id, status])).toEqual([[first.id, "stopped"]]);
  expect(processesWith(first.path)).toEqual([]);
  const still = (await rowOf(first.id)).intervals.at(-1)!;
  expect(still).toMatchObject({ state: "stopped", to: null });

  // Somebody wants it: the same machine, and nothing is restored.
  await instance.post("wake");
  await instance.untilState("running");
  expect((await instance.machines()).map(({ id, status }) => [id, status])).toEqual([[first.id, "running"]]);
  mustBeEqual(kept, workspaceOf(first));
  const events = await instance.eventTypesUpTo("woke_up");
  expect(events).toEqual(expect.arrayContaining(["machine_stopped", "machine_started"]));
  expect(events).not.toContain("restore_started");
  expect(events.filter((type) => type === "machine_rented")).toHaveLength(1);

  // The script after a wake is run there, too.
  await until("the script is run", () => readText(join(workspaceOf(first), "../woken")) === "wake\n");

  // What was written since is in the next snapshot; the host gives its GPU to somebody else.
  mkdirSync(join(workspaceOf(first), "later"));
  writeFileSync(join(workspaceOf(first), "later/note.txt"), "after the first sleep\n");
  const later = keepCopy(workspaceOf(first), join(base, "later"));
  await instance.post("hibernate");
  await instance.untilState("hibernated");
  await cloud.vastLocal("POST", "/local/faults", { name: "start_queued", variant: "said", ms: 3_000, times: 1 });
  await instance.post("wake");
  await instance.untilState("running");
  const second = await instance.machine();
  expect(second.id).not.toBe(first.id);
  mustBeEqual(later, workspaceOf(second));
  // Its start was called off, so it never costs a GPU again, and then it ends.
  await until("the stopped machine is given back", async () => (await instance.machines()).length === 1);
  await instance.until(
    "it is known to be gone",
    (view) => view.retiring_machines.length + Number(view.stopped_machine !== null) === 0,
  );
  const row = await rowOf(first.id);
  expect(row.endedAt).not.toBeNull();
  expect(row.intervals.filter(({ state }) => state === "running")).toHaveLength(2);

  // Our own books against the bill: GPU and disk of a machine that loaded, ran, stood still and ran again.
  const ledger = await cloud.api<LedgerAnswer>("GET", `/api/instances/${instance.id}/ledger`);
  expect(ledger.status).toBe(200);
  const ofFirst = ledger.body.rows.filter(({ epoch, unit }) => epoch === 1 && unit === "seconds");
  expect(ofFirst.map(({ to }) => to)).not.toContain(null);
  const ours = ofFirst.reduce((sum, one) => sum + one.micro_usd!, 0);
  expect(Math.abs(ours - row.microUsd)).toBeLessThan(500);

  // The end of the pause is the end of the machine; the snapshot stays.
  const settings = await cloud.api("PUT", `/api/instances/${instance.id}/config`, {
    auto_hibernation: { delete_after_pause_minutes: 0.02 },
  });
  expect(settings.status).toBe(200);
  await instance.post("hibernate");
  await instance.untilState("deleted");
  await until("no machine is left", async () => (await instance.machines()).length === 0);
  expect((await billOf(cloud)).filter((one) => one.endedAt === null)).toEqual([]);
});
