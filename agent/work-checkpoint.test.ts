/** Checkpoints: beside the user's work, never in its way, and gone the moment a sleep begins. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Command, statusReportSchema } from "../core/protocol/wire.ts";
import { createLogger } from "./log.ts";
import { digestA, failure, fakeEngine, fakeSealer, noHooks, progress } from "./testing/fake-engine.ts";
import { createWork, type Work } from "./work.ts";

let home: string;
let e: ReturnType<typeof fakeEngine>;
let s: ReturnType<typeof fakeSealer>;
let work: Work;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-checkpoint-"));
  e = fakeEngine();
  s = fakeSealer();
  work = createWork({
    engine: e.engine,
    sealer: s.sealer,
    hooks: noHooks,
    epoch: 2,
    home,
    log: createLogger({ write: () => {} }),
  });
});
afterEach(async () => {
  await work.stop("test", true);
  rmSync(home, { recursive: true, force: true });
});

const answer = (...commands: Command[]) => work.onAnswer({ commands, unknown: [], resultsKept: [] });
const checkpoint = (seq: number, since: string | null = digestA, minChangeBytes = 0): Command => ({
  id: `checkpoint.2.${seq}`,
  kind: "checkpoint",
  seq,
  since,
  minChangeBytes,
});
const result = () => vi.waitFor(() => work.report().results[0] ?? Promise.reject(new Error("no result")));

it("stops nothing, takes few threads and requests, and tells what was torn", async () => {
  e.state.torn = 1;
  answer(checkpoint(7));
  expect(await result()).toMatchObject({
    commandId: "checkpoint.2.7",
    outcome: "snapshot_taken",
    snapshot: { seq: 7, epoch: 2, digest: digestA },
    torn: 1,
    tornPaths: ["train.log"],
  });
  expect(e.state.options[0]).toMatchObject({ effort: "background", concurrency: 4, maxRounds: 2, alreadyQuiet: false });
  expect(e.state.options[0]?.pauseWriters).toBeUndefined();
  expect(s.state.stops).toBe(0);
  const report = { instance_id: "i-abcdefghij", ...work.report() };
  expect(statusReportSchema.parse(report).results).toEqual(report.results);
});

it("takes nothing where nothing changed, or too little", async () => {
  e.state.changes = { ok: true, entries: 0, bytes: 0 };
  answer(checkpoint(7));
  expect(await result()).toEqual({
    commandId: "checkpoint.2.7",
    outcome: "unchanged",
    changedEntries: 0,
    changedBytes: 0,
  });
  expect(e.state.takes).toBe(0);
  work.onAnswer({ commands: [], unknown: [], resultsKept: ["checkpoint.2.7"] });
  e.state.changes = { ok: true, entries: 2, bytes: 999 };
  answer(checkpoint(8, digestA, 1000));
  expect(await result()).toMatchObject({ outcome: "unchanged", changedEntries: 2, changedBytes: 999 });
  work.onAnswer({ commands: [], unknown: [], resultsKept: ["checkpoint.2.8"] });
  e.state.changes = { ok: true, entries: 2, bytes: 1000 };
  answer(checkpoint(9, digestA, 1000));
  expect(await result()).toMatchObject({ outcome: "snapshot_taken" });
});

it("is taken without a question where it is not known what changed", async () => {
  e.state.changes = null;
  answer(checkpoint(7, null, 1e12));
  expect(await result()).toMatchObject({ outcome: "snapshot_taken" });
});

it("a look that fails is a failure", async () => {
  e.state.changes = failure("file_system_error");
  answer(checkpoint(7));
  expect(await result()).toMatchObject({ outcome: "failed", code: "file_system_error", retryable: true });
});

it("is aborted at once when a sleep begins, says nothing, and the snapshot follows", async () => {
  e.state.takeMs = 60_000;
  answer(checkpoint(7));
  await vi.waitFor(() => expect(work.report().progress).toEqual({ ...progress, commandId: "checkpoint.2.7" }));
  e.state.takeMs = 0;
  const startAt = performance.now();
  answer({ id: "snapshot.2.8", kind: "snapshot", seq: 8 });
  expect(await result()).toMatchObject({ commandId: "snapshot.2.8", outcome: "snapshot_taken" });
  expect(performance.now() - startAt).toBeLessThan(2_000);
  expect(e.calls).toEqual(["changes since a", "take 7", "take 7 aborted", "take 8"]);
  await sleep(20);
  expect(work.report().results).toHaveLength(1);
});
