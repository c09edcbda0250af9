/**
 * SIGKILL to each program in each step of a life: the worker with its whole group, the agent of the machine (its loop
 * starts it again), the stand-in for vast.ai (its machines live on). Each case is a whole life: rented, filled, asleep,
 * awake. The kill is shown to have landed in its step, and the end must be as if it had not been.
 *
 *   rent      the create call is under way: the machine is made, nobody was told
 *   boot      the machine is rented, its agent has not said hello
 *   snapshot  parts are in the store, the snapshot is not done
 *   destroy   the destroy was sent or refused, the machine is sealed and alive
 *   restore   files are in the workspace, the restore is not done
 */
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { compareFolders } from "../../local-cloud/compare.ts";
import type { LocalMachine } from "../../local-cloud/vast/control.ts";
import {
  billOf,
  execIn,
  Instance,
  keepCopy,
  listMachines,
  processesWith,
  readAgentLog,
  removeFolder,
  startTestCloud,
  type TestCloud,
  until,
  workspaceOf,
} from "./cloud.ts";
import { writeLargeWorkspace } from "./workspace.ts";
import { countWritten, isWriterStopped, writerProgram } from "./writer.ts";

type Victim = "worker" | "agent" | "vast";
type Step = "rent" | "boot" | "snapshot" | "destroy" | "restore";

/** Short waits where the lifecycle waits for others; the seal is held long enough for a worker to come back. */
const timings = {
  endEveryMs: 1_000,
  endMaxEveryMs: 2_000,
  lookEveryMs: 1_000,
  proveEveryMs: 1_000,
  labelCheckEveryMs: 1_000,
  silenceMinMs: 15_000,
  sealHoldMs: 40_000,
  restAfterFailureMs: 1_000,
};
const large = { files: 300, fileBytes: 400_000, seed: 7 };
const small = { files: 60, fileBytes: 20_000, seed: 9 };

let test: TestCloud;

/** One case for each step; a cloud for all of them. */
export function testKillsOf(victim: Victim): void {
  beforeAll(async () => {
    test = await startTestCloud({ timings });
  });
  // A case that fails leaves the next one a whole cloud.
  afterEach(async () => {
    for (const program of ["vast", "worker"] as const) await test.cloud.startProgram(program);
    await test.cloud.vastLocal("DELETE", "/local/faults");
  });
  afterAll(async () => {
    await test?.end();
  });
  describe(`SIGKILL of the ${victim === "vast" ? "stand-in" : victim}`, () => {
    for (const step of ["rent", "boot", "snapshot", "destroy", "restore"] as const) {
      // No agent is there before a machine is.
      if (step === "rent" && victim === "agent") continue;
      it(`during ${step}: the life goes on, nothing is lost, nothing is paid twice`, () => live(victim, step));
    }
  });
}

async function live(victim: Victim, step: Step): Promise<void> {
  const { cloud, base } = test;
  const instance = await Instance.create(cloud, {
    name: `${victim} at ${step}`,
    gpu_type: "RTX 4090",
    // Only asked for: the idle rule is not what is tested here.
    auto_hibernation: { enabled: false, check_interval_seconds: 0.5, delete_after_pause_minutes: 30 },
  });
  await instance.untilState("running");
  const first = await instance.machine();
  writeLargeWorkspace(workspaceOf(first), step === "snapshot" || step === "restore" ? large : small);
  const outside = join(base, `${randomUUID()}.txt`);
  // Somebody works on while the machine falls asleep.
  await startWriter(first, outside);
  const kept = keepCopy(workspaceOf(first), join(base, `${victim}-${step}`));

  if (step === "destroy") await holdDestroy(victim, first);
  await instance.post("hibernate");
  if (step === "snapshot") await killIn(victim, instance, first, async () => isTaking(instance, first));
  if (step === "destroy") await killIn(victim, instance, first, async () => isEnding(instance, first));
  if (step === "snapshot") expect(namesOf(first, "command_done", "snapshot.")).toEqual([]);
  if (step === "destroy" && victim !== "worker") {
    expect(processesWith(first.path).length).toBeGreaterThan(2);
    expect(isWriterStopped(outside)).toBe(true);
  }
  await bringBack(victim);
  await cloud.vastLocal("DELETE", "/local/faults");
  const asleep = await instance.until("it is hibernated", (view) => view.state === "hibernated", { withinMs: 150_000 });
  expect(asleep.retiring_machines).toEqual([]);
  expect(await instance.machines()).toEqual([]);
  expect(processesWith(first.path)).toEqual([]);
  expect(rowsOf(await billOf(cloud), instance).filter((row) => row.endedAt === null)).toEqual([]);

  // Made, and the answer is held back for as long as it takes to kill somebody.
  if (step === "rent")
    await cloud.vastLocal("POST", "/local/faults", { name: "create_timeout_but_created", ms: 5_000, times: 1 });
  await instance.post("wake");
  const second = await instance.machine();
  if (step === "rent") await killIn(victim, instance, second, async () => isRenting(instance, second));
  if (step === "boot") await killIn(victim, instance, second, async () => isBooting(victim, instance, second));
  if (step === "restore") await killIn(victim, instance, second, async () => isRestoring(instance, second));
  if (step === "restore") expect(namesOf(second, "command_done", "restore.")).toEqual([]);
  await bringBack(victim);
  await instance.untilState("running");

  const machines = await instance.machines();
  expect(machines.map((one) => one.id)).toEqual([second.id]);
  mustBeEqualButFor("./live/numbers.txt", kept, workspaceOf(second));
  const numbers = readFileSync(join(workspaceOf(second), "live/numbers.txt"), "utf8");
  const written = countWritten(outside);
  // Inside first, outside second: it was stopped between the two or after both.
  expect([written, written + 1]).toContain(numbers.split("\n").length - 1);
  expect(numbers).toBe(Array.from({ length: numbers.split("\n").length - 1 }, (_, i) => `${i + 1}\n`).join(""));

  const types = await instance.eventTypesUpTo("woke_up");
  const woken = types.slice(types.indexOf("wake_requested"));
  expect(woken.filter((type) => type === "machine_rented")).toHaveLength(1);
  expect(types.filter((type) => type === "machine_rented")).toHaveLength(2);
  expect(types.filter((type) => type === "hibernated")).toHaveLength(1);
  expect(types.filter((type) => type === "woke_up")).toHaveLength(1);
  const open = rowsOf(await billOf(cloud), instance).filter((row) => row.endedAt === null);
  expect(open.map((row) => row.id)).toEqual([second.id]);
  expect(rowsOf(await billOf(cloud), instance)).toHaveLength(2);

  await instance.post("discard", { confirm: instance.id });
  await until("its machine is given back", async () => (await instance.machines()).length === 0);
  expect((await billOf(cloud)).filter((row) => row.endedAt === null)).toEqual([]);
  removeFolder(kept);
}

/** Waits for the moment, kills, and shows by the last look before and what the witnesses say after that it landed. */
async function killIn(
  victim: Victim,
  instance: Instance,
  machine: LocalMachine,
  isThere: () => Promise<boolean>,
): Promise<void> {
  const { cloud } = test;
  if (victim === "agent") {
    await until(
      "the agent is killed in its step",
      async () => {
        if (!(await isThere())) return false;
        const path = `/local/machines/${machine.id}/kill`;
        const { killed } = await cloud.vastLocal<{ killed: number[] }>("POST", path);
        return killed.length > 0;
      },
      { everyMs: 20 },
    );
    return;
  }
  await until(`the ${victim} is in the step`, isThere, { everyMs: 20, seen: () => instance.id });
  await cloud.killProgram(victim);
  expect(cloud.isRunning(victim)).toBe(false);
}

async function bringBack(victim: Victim): Promise<void> {
  // The agent is brought back by the loop of its machine.
  if (victim !== "agent") await test.cloud.startProgram(victim);
}

// --- the moments ----------------------------------------------------------------------------------------------------

async function isRenting(instance: Instance, machine: LocalMachine): Promise<boolean> {
  const view = await instance.view();
  expect(view).toMatchObject({ state: "provisioning", machine: { vast_instance_id: null, label: machine.label } });
  return true;
}

/** For the agent: the last look says that it has not said hello; what is killed after it is a process that just began. */
async function isBooting(victim: Victim, instance: Instance, machine: LocalMachine): Promise<boolean> {
  const view = await instance.view();
  expect(view.state).toBe("provisioning");
  if (view.machine?.vast_instance_id !== machine.id) return false;
  return victim !== "agent" || processesWith(machine.path).some(({ argv }) => /soneca-agent\.mjs run/.test(argv));
}

async function isTaking(instance: Instance, machine: LocalMachine): Promise<boolean> {
  expect(namesOf(machine, "command_done", "snapshot.")).toEqual([]);
  const view = await instance.view();
  if (view.state !== "snapshotting") return false;
  return (await instance.stored(1)).some(({ key }) => key.startsWith("parts/"));
}

async function isEnding(instance: Instance, machine: LocalMachine): Promise<boolean> {
  const view = await instance.view();
  if (view.state !== "destroying") return false;
  expect((await listMachines(test.cloud)).find((one) => one.id === machine.id)?.status).toBe("running");
  return true;
}

async function isRestoring(instance: Instance, machine: LocalMachine): Promise<boolean> {
  expect(namesOf(machine, "command_done", "restore.")).toEqual([]);
  if ((await instance.view()).state !== "restoring") return false;
  return readdirSync(workspaceOf(machine), { recursive: true }).length > 20;
}

/** The destroy lasts: the worker and the stand-in are killed in the middle of the call, the agent while it is refused. */
async function holdDestroy(victim: Victim, machine: LocalMachine): Promise<void> {
  const fault =
    victim === "agent"
      ? { name: "destroy_fails", id: machine.id, variant: "500" }
      : { name: "slow", on: "destroy", ms: 3_000, times: 1 };
  await test.cloud.vastLocal("POST", "/local/faults", fault);
}

// --- the witnesses --------------------------------------------------------------------------------------------------

/** Commands of this kind that the agent's own log tells of. */
function namesOf(machine: LocalMachine, event: string, prefix: string): string[] {
  return readAgentLog(machine)
    .filter((line) => line.event === event && String(line.command).startsWith(prefix))
    .map((line) => String(line.command));
}

function rowsOf<R extends { label: string | null }>(bill: R[], instance: Instance): R[] {
  return bill.filter((row) => row.label?.startsWith(`soneca:${instance.id}:`));
}

async function startWriter(machine: LocalMachine, outside: string): Promise<void> {
  const program = join(test.base, "writer.mjs");
  writeFileSync(program, writerProgram);
  const start = `mkdir live; setsid node "$0" live/numbers.txt "$1" >/dev/null 2>&1 </dev/null &`;
  expect(await execIn(test.cloud, machine, "sh", "-c", start, program, outside)).toMatchObject({ code: 0 });
  await until("it writes", () => countWritten(outside) > 20);
}

function mustBeEqualButFor(path: string, before: string, after: string): void {
  const { differences } = compareFolders(before, after);
  expect(differences.filter((text) => !text.startsWith(`${path}:`))).toEqual([]);
}
