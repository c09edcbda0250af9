/** The user's scripts, run by real shells. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Command, type HookCommand, statusReportSchema } from "../core/protocol/wire.ts";
import { createHooks, type Hooks, hookWords } from "./hooks.ts";
import { createLogger } from "./log.ts";
import { digestA, fakeEngine, fakeSealer } from "./testing/fake-engine.ts";
import { createWork, type Work } from "./work.ts";

let dir: string;
let hooks: Hooks;
const at = (name: string) => join(dir, name);
const never = new AbortController().signal;
const hook = (run: string | null, more: Partial<HookCommand> = {}): HookCommand => ({
  run,
  timeoutMs: 20_000,
  reason: "idle",
  mayVeto: true,
  ...more,
});
const script = (name: string, text: string, mode = 0o755) => {
  mkdirSync(at("work/.soneca"), { recursive: true });
  writeFileSync(at(`work/.soneca/${name}`), `#!/bin/sh\n${text}\n`);
  chmodSync(at(`work/.soneca/${name}`), mode);
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soneca-hooks-"));
  mkdirSync(at("work"));
  mkdirSync(at("home"));
  hooks = newHooks();
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function newHooks(): Hooks {
  const env = { PATH: process.env.PATH, SONECA_TOKEN: "secret-1", CONTAINER_API_KEY: "secret-2", MINE: "kept" };
  const log = createLogger({ write: () => {} });
  return createHooks({ workspace: at("work"), home: at("home"), instance: "i-abcdefghij", env, log, killAfterMs: 200 });
}

describe("a hook", () => {
  it("is none where neither a setting nor a script says so", async () => {
    expect(await hooks.run("before_sleep", "a", hook(null), never)).toBeNull();
  });

  it("of the settings runs in the workspace, with its own environment and without our secrets", async () => {
    const report = await hooks.run("before_sleep", "a", hook("pwd; env; cat"), never);
    expect(report).toMatchObject({ name: "before_sleep", outcome: "ok", exit: 0 });
    const { tail } = report!;
    expect(tail).toContain(at("work"));
    for (const line of ["MINE=kept", "SONECA_HOOK=before_sleep", "SONECA_REASON=idle", "SONECA_INSTANCE=i-abcdefghij"])
      expect(tail).toContain(line);
    expect(tail).not.toContain("secret");
  });

  it("of the workspace is run where no setting stands in its place", async () => {
    script("before-sleep", "echo mine; exit 3");
    expect(await hooks.run("before_sleep", "a", hook(null), never)).toMatchObject({ exit: 3, tail: "mine" });
    expect(await hooks.run("before_sleep", "b", hook("echo set"), never)).toMatchObject({ exit: 0, tail: "set" });
    expect(await hooks.run("after_wake", "c", hook(null), never)).toBeNull();
  });

  it("after a sleep that was called off is run only where the one before the sleep was, and once", async () => {
    const off = (id: string) => hooks.run("after_wake", id, hook("echo back", { reason: "called_off" }), never);
    expect(await off("a")).toBeNull();
    await hooks.run("before_sleep", "b", hook("exit 0"), never);
    // By an agent that was started since.
    hooks = newHooks();
    expect(await off("c")).toMatchObject({ outcome: "ok", tail: "back" });
    expect(await off("d")).toBeNull();
  });

  it("that cannot be run is a failure, in words", async () => {
    script("before-sleep", "true", 0o644);
    const report = await hooks.run("before_sleep", "a", hook(null), never);
    expect(report).toMatchObject({ outcome: "failed", exit: 126 });
    expect(hookWords(report!)).toContain("is it executable?");
  });

  it("is ended with all that it started when its time is over", async () => {
    const startAt = performance.now();
    const run = `trap "" TERM; sleep 60 & echo $! > child; wait; sleep 60`;
    const report = await hooks.run("before_sleep", "a", hook(run, { timeoutMs: 300 }), never);
    expect(report).toMatchObject({ outcome: "timed_out", exit: null });
    expect(performance.now() - startAt).toBeLessThan(10_000);
    const child = Number(readFileSync(at("work/child"), "utf8"));
    await vi.waitFor(() => expect(isGone(child)).toBe(true));
    expect(hookWords(report!)).toContain("was stopped");
  });

  it("is ended when the sleep is called off", async () => {
    const abort = new AbortController();
    const running = hooks.run("before_sleep", "a", hook("echo began; sleep 60"), abort.signal);
    setTimeout(() => abort.abort(), 200);
    expect(await running).toMatchObject({ outcome: "failed", exit: null });
  });

  it("may leave a server running, whose output goes on", async () => {
    const run = `(for i in 1 2 3 4 5 6 7 8 9; do echo beat $i || exit 1; sleep 0.1; done; echo done > ended) & echo up`;
    const startAt = performance.now();
    expect(await hooks.run("after_wake", "a", hook(run), never)).toMatchObject({ outcome: "ok" });
    expect(performance.now() - startAt).toBeLessThan(5_000);
    await vi.waitFor(() => expect(existsSync(at("work/ended"))).toBe(true), { timeout: 10_000 });
    expect(readFileSync(at("home/hooks/after_wake.log"), "utf8")).toContain("beat 9");
  });

  it("keeps the end of a long output, without what plays with a terminal", async () => {
    const report = await hooks.run(
      "before_sleep",
      "a",
      hook(`yes 0123456789 | head -2000; printf '\\033[31mred\\007'`),
      never,
    );
    expect(report!.tail.length).toBeLessThanOrEqual(1000);
    expect(report!.tail.endsWith("[31mred")).toBe(true);
  });

  it("that ended well is not run again for the same command, not even after a restart", async () => {
    const run = "echo x >> count";
    await hooks.run("before_sleep", "a", hook(run), never);
    expect(await newHooks().run("before_sleep", "a", hook(run), never)).toMatchObject({ outcome: "ok" });
    await newHooks().run("before_sleep", "b", hook(run), never);
    expect(readFileSync(at("work/count"), "utf8")).toBe("x\nx\n");
  });
});

describe("the work of the agent", () => {
  let e: ReturnType<typeof fakeEngine>;
  let work: Work;
  beforeEach(() => {
    e = fakeEngine();
    const log = createLogger({ write: () => {} });
    work = createWork({ engine: e.engine, sealer: fakeSealer().sealer, hooks, epoch: 2, home: at("home"), log });
  });
  afterEach(() => work.stop("test", true));
  const answer = (...commands: Command[]) => work.onAnswer({ commands, unknown: [], resultsKept: [] });
  const result = () =>
    vi.waitFor(() => work.report().results[0] ?? Promise.reject(new Error("no result")), { timeout: 10_000 });
  const snapshot = (change: Partial<HookCommand>): Command => ({
    id: "snapshot.2.5",
    kind: "snapshot",
    seq: 5,
    hook: hook("echo not now; exit 9", change),
  });

  it("a script that says no keeps the machine awake: no snapshot is taken, and its words are told", async () => {
    answer(snapshot({}));
    const vetoed = await result();
    expect(vetoed).toMatchObject({ outcome: "failed", code: "hook_veto", retryable: true, hook: { exit: 9 } });
    expect(vetoed).toHaveProperty("message", expect.stringContaining("not now"));
    expect(e.calls).toEqual([]);
    const report = { instance_id: "i-abcdefghij", ...work.report() };
    expect(statusReportSchema.parse(report).results).toEqual(report.results);
  });

  it("one that may not object is told, and the snapshot is taken", async () => {
    answer(snapshot({ mayVeto: false }));
    expect(await result()).toMatchObject({ outcome: "snapshot_taken", hook: { outcome: "failed", exit: 9 } });
  });

  it("after a restore it is run, and its failure does not fail the wake", async () => {
    const ref = { seq: 3, epoch: 1, digest: digestA };
    answer({ id: "restore.2.1", kind: "restore", snapshot: ref, hook: hook("exit 4", { reason: "wake" }) });
    expect(await result()).toMatchObject({
      outcome: "restored",
      digest: digestA,
      hook: { name: "after_wake", exit: 4 },
    });
    expect(e.calls).toEqual(["restore 3"]);
  });
});

function isGone(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
  } catch {
    return true;
  }
}
