import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Command, sealSchema } from "../core/protocol/wire.ts";
import { createLogger } from "./log.ts";
import {
  digestA,
  digestB,
  digestC,
  failure,
  fakeEngine,
  fakeSealer,
  noHooks,
  progress,
} from "./testing/fake-engine.ts";
import { createWork, type Work } from "./work.ts";

let home: string;
let e: ReturnType<typeof fakeEngine>;
let s: ReturnType<typeof fakeSealer>;
let work: Work;
let changes: number;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-work-"));
  e = fakeEngine();
  s = fakeSealer();
  changes = 0;
  work = restart();
});

afterEach(async () => {
  await work.stop("test", true);
  rmSync(home, { recursive: true, force: true });
});

function restart(): Work {
  return createWork({
    engine: e.engine,
    sealer: s.sealer,
    hooks: noHooks,
    epoch: 2,
    home,
    log: createLogger({ write: () => {} }),
    onChange: () => changes++,
    recheckMs: 20,
  });
}

const answer = (commands: Command[], resultsKept: string[] = []) =>
  work.onAnswer({ commands, unknown: [], resultsKept });
const snapshot = (seq: number): Command => ({ id: `snapshot.2.${seq}`, kind: "snapshot", seq });
const restore: Command = { id: "restore.2.1", kind: "restore", snapshot: { seq: 4, epoch: 1, digest: digestA } };
const seal = (
  digest: string,
  seq: number,
  more: { id?: string; holdMs?: number; provedSeq?: number } = {},
): Command => ({
  id: more.id ?? "seal.2.7",
  kind: "seal",
  proved: { seq: more.provedSeq ?? 7, epoch: 2, digest },
  seq,
  holdMs: more.holdMs ?? 60_000,
});

describe("commands", () => {
  it("a snapshot is taken once, and its result is kept until it is confirmed", async () => {
    answer([snapshot(5)]);
    await vi.waitFor(() => expect(work.report().results).toHaveLength(1));
    const [result] = work.report().results;
    expect(result).toEqual({
      commandId: "snapshot.2.5",
      outcome: "snapshot_taken",
      snapshot: { seq: 5, epoch: 2, digest: digestA },
      stats: { entries: 3, files: 2, plainBytes: 10, storedBytes: 5, newStoredBytes: 5 },
    });
    expect(changes).toBe(1);
    answer([snapshot(5)]);
    answer([snapshot(5)], ["another"]);
    expect(work.report().results).toEqual([result]);
    expect(work.isActive()).toBe(true);
    answer([snapshot(5)], ["snapshot.2.5"]);
    expect(work.report().results).toEqual([]);
    answer([snapshot(5)]);
    await sleep(20);
    expect(e.state.takes).toBe(1);
    expect(work.isActive()).toBe(false);
  });

  it("one that is wanted again after it was away is done again", async () => {
    e.state.fail = failure("store_unreachable");
    answer([snapshot(5)]);
    await vi.waitFor(() =>
      expect(work.report().results[0]).toMatchObject({ outcome: "failed", code: "store_unreachable", retryable: true }),
    );
    answer([], ["snapshot.2.5"]);
    e.state.fail = null;
    answer([snapshot(5)]);
    await vi.waitFor(() => expect(work.report().results[0]).toMatchObject({ outcome: "snapshot_taken" }));
  });

  it("shows its progress while it runs", async () => {
    e.state.takeMs = 10_000;
    answer([snapshot(5)]);
    await vi.waitFor(() => expect(work.report().progress).toEqual({ ...progress, commandId: "snapshot.2.5" }));
    expect(work.isActive()).toBe(true);
  });

  it("is part of a sleep where it is a snapshot or a seal, not a checkpoint or a restore", async () => {
    const checkpoint: Command = { id: "checkpoint.2.6", kind: "checkpoint", seq: 6, since: null, minChangeBytes: 0 };
    const runs = (call: string) => vi.waitFor(() => expect(e.calls.at(-1)).toBe(call));
    e.state.takeMs = 10_000;
    expect(work.isSleeping()).toBe(false);
    answer([checkpoint]);
    await runs("take 6");
    expect([work.isActive(), work.isSleeping()]).toEqual([true, false]);
    answer([snapshot(7)]);
    await runs("take 7");
    expect(work.isSleeping()).toBe(true);
    answer([restore]);
    await runs("restore 4");
    expect([work.isActive(), work.isSleeping()]).toEqual([true, false]);
    answer([seal(digestA, 8)]);
    await runs("scan");
    expect(work.isSleeping()).toBe(true);
  });

  it("is aborted when it is no longer wanted, says nothing, and the next one waits for its end", async () => {
    e.state.takeMs = 10_000;
    answer([snapshot(5)]);
    await sleep(10);
    e.state.takeMs = 0;
    answer([restore]);
    await vi.waitFor(() => expect(work.report().results).toHaveLength(1));
    expect(work.report().results[0]).toMatchObject({ outcome: "restored", digest: digestA });
    expect(e.calls).toEqual(["take 5", "take 5 aborted", "restore 4"]);
    expect(s.state.stopped).toBe(false);
  });

  it("only one runs at a time, in the order of the answer", async () => {
    e.state.takeMs = 20;
    answer([snapshot(5), snapshot(6)]);
    answer([snapshot(5), snapshot(6)]);
    await vi.waitFor(() => expect(work.report().results).toHaveLength(2));
    expect(e.calls).toEqual(["take 5", "take 6"]);
  });

  it("one that breaks is a failed result, not the agent's end", async () => {
    e.engine.take = () => Promise.reject(new Error("a bug"));
    answer([snapshot(5)]);
    await vi.waitFor(() =>
      expect(work.report().results[0]).toMatchObject({ code: "agent_error", message: "a bug", retryable: true }),
    );
  });

  it("an unknown kind is answered once", () => {
    const unknown = [{ id: "x.1", kind: "dance" }];
    work.onAnswer({ commands: [], unknown, resultsKept: [] });
    expect(work.report().results).toMatchObject([
      { commandId: "x.1", outcome: "failed", code: "command_unknown", retryable: false },
    ]);
    work.onAnswer({ commands: [], unknown, resultsKept: ["x.1"] });
    expect(work.report().results).toEqual([]);
  });

  it("after a restart of the agent a snapshot is simply taken again", async () => {
    e.state.takeMs = 10_000;
    answer([snapshot(5)]);
    await sleep(5);
    await work.stop("killed", true);
    e.state.takeMs = 0;
    work = restart();
    answer([snapshot(5)]);
    await vi.waitFor(() => expect(work.report().results).toHaveLength(1));
  });

  it("after a restart a finished restore is reported again and not done over what the user wrote since", async () => {
    answer([restore]);
    await vi.waitFor(() => expect(work.report().results).toHaveLength(1));
    work = restart();
    answer([restore]);
    await vi.waitFor(() => expect(work.report().results).toMatchObject([{ outcome: "restored", digest: digestA }]));
    expect(e.calls).toEqual(["restore 4"]);
  });
});

describe("a broken engine", () => {
  const nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

  it("that sees nothing at all is never believed", async () => {
    e.state.digest = nothing;
    answer([snapshot(5)]);
    await vi.waitFor(() => expect(work.report().results).toMatchObject([{ outcome: "failed", code: "agent_error" }]));
    answer([seal(nothing, 8)], ["snapshot.2.5"]);
    await vi.waitFor(() => expect(work.report().results).toMatchObject([{ commandId: "seal.2.7", outcome: "failed" }]));
    await vi.waitFor(() => expect(s.state.stopped).toBe(false));
  });
});

describe("the seal", () => {
  it("is reported with the proved snapshot when nothing was written since", async () => {
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    const report = work.report().seal!;
    expect(report).toMatchObject({
      commandId: "seal.2.7",
      snapshot: { seq: 7, epoch: 2, digest: digestA },
      stats: null,
      stoppedProcesses: 3,
    });
    expect(report.holdsForMs).toBeGreaterThan(59_000);
    expect(() => sealSchema.parse(report)).not.toThrow();
    expect(e.calls).toEqual(["scan"]);
    expect(s.state.stopped).toBe(true);
    expect(changes).toBe(1);
    await sleep(60);
    answer([seal(digestA, 8)]);
    expect(e.calls).toEqual(["scan"]);
    expect(s.state.stops).toBeGreaterThan(3);
  });

  it("takes the snapshot while sealed when something was written, and keeps to it when that one is proved", async () => {
    e.state.digest = digestB;
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    expect(work.report().seal).toMatchObject({
      snapshot: { seq: 8, epoch: 2, digest: digestB },
      stats: { entries: 3 },
    });
    expect(work.report().progress).toBeNull();
    answer([seal(digestB, 9, { provedSeq: 8 })]);
    await sleep(60);
    expect(work.report().seal).toMatchObject({ snapshot: { seq: 8, epoch: 2, digest: digestB } });
    expect(e.calls).toEqual(["scan", "take 8 quiet"]);
    expect(s.state.resumes).toBe(0);
  });

  it("is not reported while a process that appeared is stopped and the workspace looked at again", async () => {
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    e.state.scanMs = 60;
    s.state.fresh = 1;
    await vi.waitFor(() => expect(work.report().seal).toBeNull());
    await vi.waitFor(() => expect(work.report().seal).toMatchObject({ snapshot: { seq: 7 } }));
    expect(e.calls).toEqual(["scan", "scan"]);
  });

  it("takes another snapshot when that process wrote, with a number that was not used", async () => {
    e.state.digest = digestB;
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    e.state.digest = digestC;
    s.state.fresh = 1;
    await vi.waitFor(() => expect(work.report().seal).toBeNull());
    await sleep(60);
    expect(work.report().seal).toBeNull();
    expect(e.calls.filter((call) => call.startsWith("take"))).toEqual(["take 8 quiet"]);
    answer([seal(digestB, 9, { provedSeq: 8 })]);
    await vi.waitFor(() => expect(work.report().seal).toMatchObject({ snapshot: { seq: 9, digest: digestC } }));
    expect(s.state.stopped).toBe(true);
  });

  it("ends when it is no longer wanted", async () => {
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    answer([]);
    expect(work.report().seal).toBeNull();
    expect(s.state.stopped).toBe(false);
    await sleep(40);
    expect(s.state.stopped).toBe(false);
    expect(work.report().results).toEqual([]);
  });

  it("ends when it is no longer wanted while it scans", async () => {
    e.state.scanMs = 10_000;
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(e.calls).toEqual(["scan"]));
    answer([]);
    expect(s.state.stopped).toBe(false);
    await vi.waitFor(() => expect(work.isActive()).toBe(false));
    expect(work.report()).toEqual({ results: [], progress: null, seal: null });
  });

  it("passes to a seal of another name without letting anything go on", async () => {
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    answer([seal(digestA, 9, { id: "seal.2.9" })]);
    expect(work.report().seal).toBeNull();
    await vi.waitFor(() => expect(work.report().seal).toMatchObject({ commandId: "seal.2.9", snapshot: { seq: 7 } }));
    expect(s.state.resumes).toBe(0);
    expect(e.calls).toEqual(["scan", "scan"]);
  });

  it("ends by itself when no answer comes in time, and begins anew when one comes", async () => {
    answer([seal(digestA, 8, { holdMs: 150 })]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    await sleep(100);
    answer([seal(digestA, 8, { holdMs: 150 })]);
    await sleep(100);
    expect(s.state.stopped).toBe(true);
    await vi.waitFor(() => expect(s.state.stopped).toBe(false));
    expect(work.report().seal).toBeNull();
    await sleep(60);
    expect(s.state.stopped).toBe(false);
    answer([seal(digestA, 8, { holdMs: 150 })]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
  });

  it("never promises longer than it holds", async () => {
    answer([seal(digestA, 8, { holdMs: 200 })]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    for (;;) {
      const report = work.report().seal;
      if (report === null) break;
      const endsAt = performance.now() + report.holdsForMs;
      expect(s.state.stopped).toBe(true);
      await sleep(Math.max(0, endsAt - performance.now() - 5));
      if (performance.now() < endsAt - 2) expect(s.state.stopped).toBe(true);
      await sleep(15);
    }
    await vi.waitFor(() => expect(s.state.stopped).toBe(false));
  });

  it.each([
    [
      "a process that cannot be stopped",
      () => (s.state.outcome = { ok: false, code: "seal_incomplete", message: "no" }),
      "seal_incomplete",
    ],
    ["a scan that fails", () => (e.state.fail = failure("scan_failed")), "scan_failed"],
    ["entries that cannot be read", () => (e.state.torn = 2), "workspace_unreadable"],
  ])("fails in words, and lets everything go on: %s", async (_name, arrange, code) => {
    arrange();
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().results).toMatchObject([{ outcome: "failed", code, retryable: true }]));
    await vi.waitFor(() => expect(s.state.stopped).toBe(false));
    expect(work.report().seal).toBeNull();
  });

  it("a snapshot proved for another machine is not this workspace's proof", async () => {
    const command = seal(digestA, 8);
    if (command.kind === "seal") command.proved.epoch = 1;
    answer([command]);
    await vi.waitFor(() => expect(work.report().seal).toMatchObject({ snapshot: { seq: 8, epoch: 2 } }));
  });

  it("at the end of the agent the last report says that nothing is sealed, then everything goes on", async () => {
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    work.quiet();
    expect(work.report().seal).toBeNull();
    expect(s.state.stopped).toBe(true);
    await work.stop("SIGTERM", true);
    expect(s.state.stopped).toBe(false);
    answer([seal(digestA, 8)]);
    expect(work.isActive()).toBe(false);
  });

  it("a refused token ends it; it can begin anew later", async () => {
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    await work.stop("token", false);
    expect(s.state.stopped).toBe(false);
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
  });
});

describe("what a predecessor had stopped", () => {
  it("stays stopped when the seal is still wanted, and is looked at again before anything is reported", async () => {
    s.leaveBehind("seal", 60_000);
    work.start();
    expect(s.state.stopped).toBe(true);
    expect(work.report().seal).toBeNull();
    answer([seal(digestA, 8)]);
    await vi.waitFor(() => expect(work.report().seal).not.toBeNull());
    expect(e.calls).toEqual(["scan"]);
    expect(s.state.resumes).toBe(0);
  });

  it("goes on when the first answer does not want the seal", async () => {
    s.leaveBehind("seal", 60_000);
    work.start();
    answer([]);
    expect(s.state.stopped).toBe(false);
  });

  it("goes on when no answer comes in time", async () => {
    s.leaveBehind("seal", 100);
    work.start();
    await sleep(50);
    expect(s.state.stopped).toBe(true);
    await vi.waitFor(() => expect(s.state.stopped).toBe(false));
  });

  it("goes on at once when it was only the pause of a snapshot", () => {
    s.leaveBehind("pause", 60_000);
    work.start();
    expect(s.state.stopped).toBe(false);
  });

  it("goes on when the agent ends", async () => {
    s.leaveBehind("seal", 60_000);
    work.start();
    await work.stop("SIGTERM", true);
    expect(s.state.stopped).toBe(false);
  });
});
