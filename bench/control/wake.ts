/**
 * `npm run bench -- wake`: in the local cloud, one instance that sleeps and wakes again and again. Of each wake's time, as
 * the instance recorded it, the boot of the machine is taken off, as the stand-in's own bill tells it; the workspace is so
 * small that nothing has to be taken off for its transfer.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EventView, InstanceView } from "../../core/protocol/views.ts";
import { LocalCloud } from "../../local-cloud/cloud.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import type { BillRow } from "../../local-cloud/vast/bill.ts";
import { describeMachine, gitCommit, type Machine } from "../machine.ts";
import { quantile } from "../statistics.ts";

export interface WakeTime {
  /** From being asked for to running. */
  totalMs: number;
  /** Until a machine was rented. */
  rentMs: number;
  /** From the provider's creation of it until it ran. */
  machineMs: number;
  /** From then until its agent spoke. */
  agentMs: number;
  restoreMs: number;
}

export interface WakeResults {
  startedAt: string;
  commit: string;
  machine: Machine;
  /** How long a machine of the stand-in boots, ms. */
  bootMs: number;
  wakes: WakeTime[];
}

const bootMs = 1_000;
/** Between two searches, from the provider's documentation, and a little more. */
const providerRestMs = 7_000;
const must = 3_000;
const aim = 1_000;

export async function runWakes(
  repository: string,
  count: number,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<WakeResults> {
  const startedAt = new Date().toISOString();
  const base = mkdtempSync(join(tmpdir(), "soneca-bench-"));
  let cloud: LocalCloud | null = null;
  try {
    cloud = await LocalCloud.start({
      stateDir: join(base, "state"),
      port: await freePort(),
      bootMs,
      // Wakes of one instance may come as quickly as they end here; and it is not the sleeps that are measured.
      timings: { wakeEveryMs: 0, endEveryMs: 300, goneAgainMs: 300 },
    });
    const { id } = await ask<InstanceView>(cloud, "POST", "/api/instances", {
      name: "bench",
      auto_hibernation: { enabled: false, grace_minutes: 0, delete_after_pause_minutes: 60 },
    });
    await until(cloud, id, "running", signal);
    const wakes: WakeTime[] = [];
    let askedAt = Date.now();
    for (let i = 0; i < count; i++) {
      await ask(cloud, "POST", `/api/instances/${id}/hibernate`, {});
      await until(cloud, id, "hibernated", signal);
      // Sooner than a provider may be searched again it would be the provider's interval that is measured.
      await sleepUntil(askedAt + providerRestMs);
      signal.throwIfAborted();
      askedAt = Date.now();
      await ask(cloud, "POST", `/api/instances/${id}/wake`, {});
      await until(cloud, id, "running", signal);
      const wake = await newestWake(cloud, id);
      wakes.push(wake);
      say(`wake ${i + 1} of ${count}: ${wake.totalMs} ms, of which the machine booted ${wake.machineMs} ms`);
    }
    return { startedAt, commit: gitCommit(repository), machine: describeMachine(base), bootMs, wakes };
  } finally {
    await cloud?.stop();
    rmSync(base, { recursive: true, force: true });
  }
}

async function sleepUntil(at: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - Date.now())));
}

async function newestWake(cloud: LocalCloud, id: string): Promise<WakeTime> {
  const { events } = await ask<{ events: EventView[] }>(cloud, "GET", `/api/instances/${id}/events?limit=1000`);
  const params = events.filter((one) => one.event_type === "woke_up").at(-1)?.params;
  const number = (name: string) => Number(params?.[name] ?? Number.NaN);
  const { bill } = await cloud.vastLocal<{ bill: BillRow[] }>("GET", "/local/bill");
  const row = bill.find(({ label }) => label === `soneca:${id}:${number("epoch")}`);
  const [loading, running] = [
    row?.intervals.find(({ state }) => state === "loading"),
    row?.intervals.find(({ state }) => state === "running"),
  ];
  if (!loading || !running) throw new Error(`the bill of the stand-in does not have the machine of ${id}`);
  const machineMs = running.from - loading.from;
  const [rentMs, boot, restoreMs] = [number("rent_ms"), number("boot_ms"), number("restore_ms")];
  return { totalMs: number("wake_ms"), rentMs, machineMs, agentMs: boot - machineMs, restoreMs };
}

export function overheadMs({ totalMs, machineMs }: WakeTime): number {
  return totalMs - machineMs;
}

export function wakeBreaches({ wakes }: WakeResults): string[] {
  const p95 = quantile(wakes.map(overheadMs), 0.95);
  return p95 <= must ? [] : [`P95 of a wake beyond the machine's boot is ${Math.round(p95)} ms; at most ${must} ms`];
}

export function wakeMarkdown({ wakes, startedAt, commit, machine, bootMs: boots }: WakeResults): string {
  const row = (name: string, of: (one: WakeTime) => number) => {
    const values = wakes.map(of);
    return `| ${name} | ${Math.round(quantile(values, 0.5))} | ${Math.round(quantile(values, 0.95))} |`;
  };
  return [
    `${wakes.length} wakes of one instance, machines that boot for ${boots / 1000} s. ${startedAt.slice(0, 10)}, commit ${commit}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}.`,
    "",
    "| ms | P50 | P95 |",
    "|---|---|---|",
    row(`beyond the machine's boot (at most ${must}, aim ${aim})`, overheadMs),
    row("until a machine is rented", ({ rentMs }) => rentMs),
    row("from a machine that runs to its agent's first word", ({ agentMs }) => agentMs),
    row("restore", ({ restoreMs }) => restoreMs),
    row("the machine's own boot", ({ machineMs }) => machineMs),
    row("the whole wake", ({ totalMs }) => totalMs),
    "",
  ].join("\n");
}

async function until(cloud: LocalCloud, id: string, state: string, signal: AbortSignal): Promise<InstanceView> {
  const end = Date.now() + 180_000;
  for (;;) {
    signal.throwIfAborted();
    const view = await ask<InstanceView>(cloud, "GET", `/api/instances/${id}`);
    if (view.state === state) return view;
    if (view.state === "failed" || Date.now() > end)
      throw new Error(`never ${state}: ${view.state} ${JSON.stringify(view.trouble)}`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function ask<T>(cloud: LocalCloud, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await cloud.api<T>(method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}
