import { expect, test } from "vitest";
import type { InstanceView } from "../core/protocol/views.ts";
import { Failure } from "./failure.ts";
import { Output } from "./output.ts";
import { hibernatedView, instanceView } from "./testing/server.ts";
import { type Goal, waitFor } from "./wait.ts";

const waking = (changes: Partial<InstanceView> = {}) =>
  instanceView({ status: "waking", state: "provisioning", ...changes });
const wake: NonNullable<InstanceView["wake"]> = {
  phase: "renting",
  phase_since: "2026-11-24T10:00:00Z",
  since: "2026-11-24T10:00:00Z",
  machines_asked: 1,
  usual: null,
};
const usually = (p50_seconds: number, p95_seconds: number) => ({ p50_seconds, p95_seconds });
const restoring: typeof wake = {
  ...wake,
  phase: "restoring",
  usual: {
    of: "instance",
    wakes: 7,
    renting: usually(5, 9),
    booting: usually(60, 200),
    restoring: usually(40, 90),
    total: usually(110, 290),
  },
};
const trouble = { code: "no_offer", message: "No offer fits.", at: "2026-11-24T10:00:00Z", kept: null };

interface Run {
  goal?: Goal;
  troubleBefore?: string | null;
  json?: boolean;
  timeoutMs?: number;
  isTTY?: boolean;
}

async function run(views: (InstanceView | Failure)[], options: Run = {}) {
  let out = "";
  let clock = 0;
  const stream = {
    isTTY: options.isTTY ?? false,
    columns: 60,
    write: (text: string) => {
      out += text;
    },
  };
  const output = new Output({ json: options.json ?? false, env: { NO_COLOR: "1" }, out: stream, err: stream });
  const [first, ...rest] = views;
  const result = await waitFor({
    goal: options.goal ?? "awake",
    first: first as InstanceView,
    troubleBefore: options.troubleBefore ?? null,
    timeoutMs: options.timeoutMs ?? 600_000,
    get: async () => {
      const next = rest.length > 1 ? rest.shift()! : rest[0]!;
      if (next instanceof Failure) throw next;
      return next;
    },
    output,
    sleep: async (ms) => {
      clock += ms;
    },
    now: () => clock,
  }).catch((error: unknown) => error);
  return { out, result, failure: result as Failure };
}

test("each state once, until it is awake", async () => {
  const views = [waking({ wake }), waking({ wake }), waking({ state: "restoring", wake: restoring }), instanceView()];
  const { out, result } = await run(views);
  expect((result as InstanceView).status).toBe("running");
  expect(out.match(/Waking/g)).toHaveLength(2);
  expect(out).toContain("Waking, a machine is being rented\n");
  expect(out).toContain("Waking, the files are coming back; usually 40 s, 95 % within 90 s");
  expect(out).toContain("Running");
  expect(out).not.toContain("\r");
});

test("each machine that is asked for is told", async () => {
  const booting = { ...wake, phase: "booting" as const };
  const views = [waking({ wake: booting }), waking({ wake: { ...booting, machines_asked: 2 } }), instanceView()];
  const { out } = await run(views);
  expect(out).toContain("Waking, the machine is starting (machine 2)");
});

test("a wake that is tried again later is waited for", async () => {
  const keep_trying = { until: "2026-11-24T12:00:00Z", tries: 1, next_at: "2026-11-24T10:02:00Z" };
  const waits = hibernatedView({ trouble, keep_trying });
  const { out, result } = await run([waking({ wake }), waits, waking({ wake }), instanceView()]);
  expect((result as InstanceView).status).toBe("running");
  expect(out).toContain("Hibernated, tries to wake");
  const { failure } = await run([waking({ wake }), waits, hibernatedView({ trouble })]);
  expect(failure.code).toBe("wait_failed");
});

test("a wake that goes back fails with the words of trouble", async () => {
  const { failure } = await run([waking(), hibernatedView({ trouble })]);
  expect([failure.code, failure.exitCode]).toEqual(["wait_failed", 1]);
  expect(failure.message).toContain("No offer fits.");
});

test("old trouble is not told as the reason of a wake that was called off", async () => {
  const { failure } = await run([waking({ trouble }), hibernatedView({ trouble })], { troubleBefore: trouble.at });
  expect(failure.message).toBe("The wake did not succeed. It was called off.");
});

test("needs attention: says what is kept", async () => {
  const failed = instanceView({ status: "failed", state: "failed", trouble: { ...trouble, kept: "Snapshot 3." } });
  expect((await run([waking(), failed])).failure.message).toContain("Kept: Snapshot 3.");
});

test("a sleep that is called off fails", async () => {
  const going = instanceView({ status: "hibernating", state: "snapshotting" });
  const { failure } = await run([going, instanceView({ trouble })], { goal: "asleep" });
  expect(failure.message).toBe("It does not go to sleep. No offer fits.");
  expect((await run([going, hibernatedView()], { goal: "asleep" })).result).toHaveProperty("status", "hibernated");
});

test("a sleep that is tried again has not missed its goal", async () => {
  const going = instanceView({ status: "hibernating", state: "snapshotting" });
  const sleep_request = {
    by: "user:u-1",
    by_name: "Ana",
    asked_at: trouble.at,
    tries: 1,
    next_at: trouble.at,
    code: "store_unreachable",
    message: "The store does not answer.",
  };
  const waits = instanceView({ trouble, sleep_request });
  const { result, out } = await run([going, waits, going, hibernatedView()], { goal: "asleep" });
  expect(result).toHaveProperty("status", "hibernated");
  expect(out).toContain("tries to hibernate again");
});

const progress = (done: number) =>
  instanceView({
    status: "hibernating",
    state: "snapshotting",
    progress: {
      phase: "send",
      done_bytes: done,
      plain_bytes: 7_400_000_000,
      stored_bytes: 0,
      sent_bytes: 0,
      parts_done: 1,
      parts_total: 4,
    },
  });

test("progress: a line per quarter in a pipe", async () => {
  const steps = [0.1, 0.15, 0.2, 0.3, 0.8, 0.9].map((share) => progress(share * 7_400_000_000));
  const { out } = await run([...steps, hibernatedView()], { goal: "asleep" });
  expect(out.match(/sends parts/g)).toHaveLength(3);
  expect(out).toContain("sends parts: 30 %, 2.2 GB of 7.4 GB, 1 of 4 parts");
});

test("progress: one redrawn line on a terminal, no wider than it", async () => {
  const { out } = await run([progress(1e9), progress(2e9), hibernatedView()], { goal: "asleep", isTTY: true });
  expect(out.split("\n").filter((line) => line !== "")).toHaveLength(2);
  expect(out).toContain("\r\u001b[K");
  for (const part of out.replaceAll("\r\u001b[K", "\n").split("\n")) expect([...part].length).toBeLessThan(60);
});

test("--json: one line each", async () => {
  const { out } = await run([progress(1e9), hibernatedView()], { goal: "asleep", json: true });
  const lines = out.trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).type)).toEqual(["state", "progress", "state"]);
});

test("the time limit cancels nothing and says so", async () => {
  const { failure } = await run([waking(), waking()], { timeoutMs: 5_000 });
  expect([failure.code, failure.exitCode]).toEqual(["wait_timeout", 1]);
  expect(failure.hint).toContain("Nothing was cancelled");
});

const silence = new Failure("unreachable", "It cannot be reached.", "", { retryable: true });

test("a short silence of the control plane is sat through, a long one is not", async () => {
  expect((await run([waking(), silence, silence, instanceView()])).result).toHaveProperty("status", "running");
  expect((await run([waking(), silence])).failure).toBe(silence);
});
