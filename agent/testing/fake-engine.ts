/** The engine and the sealer of a test: their answers are set, and every call is noted. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Hooks } from "../hooks.ts";
import type { Sealer, StopOutcome } from "../seal.ts";
import type { ChangesResult, SnapshotFailure, TakeStats } from "../snapshot/types.ts";
import type { Engine } from "../work-run.ts";

export const digestA = "a".repeat(64);
export const digestB = "b".repeat(64);
export const digestC = "c".repeat(64);
export const stats: TakeStats = {
  entries: 3,
  files: 2,
  plainBytes: 10,
  newPlainBytes: 10,
  storedBytes: 5,
  newStoredBytes: 5,
  torn: 0,
  skipped: [],
  rounds: 1,
  reusedBytes: 0,
  parts: 1,
  newParts: 1,
  wallMs: 1,
  degraded: [],
};
export const progress = {
  phase: "reading",
  entries: 1,
  files: 1,
  plainBytes: 1,
  doneBytes: 1,
  reusedBytes: 0,
  storedBytes: 0,
  sentBytes: 0,
  partsDone: 0,
  partsTotal: 1,
};
export const failure = (code: string): SnapshotFailure => ({
  ok: false,
  code,
  message: `it is ${code}`,
  retryable: true,
});

/** The engine's answers are decided by the test; every call is noted. */
export function fakeEngine() {
  const calls: string[] = [];
  const state = {
    digest: digestA,
    torn: 0,
    takeMs: 0,
    scanMs: 0,
    fail: null as SnapshotFailure | null,
    takes: 0,
    running: 0,
    /** Null: not known. */
    changes: null as ChangesResult | null,
    options: [] as Parameters<Engine["take"]>[0][],
  };
  const work = async (name: string, ms: number, signal: AbortSignal) => {
    calls.push(name);
    state.running++;
    expect(state.running).toBe(1);
    await sleep(ms, undefined, { signal }).catch(() => calls.push(`${name} aborted`));
    state.running--;
    return signal.aborted ? failure("aborted") : state.fail;
  };
  const engine: Engine = {
    async take(options) {
      const { seq, alreadyQuiet, onProgress, signal, pauseWriters } = options;
      state.options.push(options);
      onProgress({ ...progress, bytesPerSecond: 0, etaMs: null });
      const pause = await pauseWriters?.();
      const failed = await work(`take ${seq}${alreadyQuiet ? " quiet" : ""}`, state.takeMs, signal);
      await pause?.resume();
      if (failed) return failed;
      state.takes++;
      const { digest } = state;
      return {
        ok: true,
        seq,
        epoch: 2,
        manifestKey: "k",
        manifestSha256: "s",
        digest,
        tornPaths: ["train.log"].slice(0, state.torn),
        stats: { ...stats, torn: state.torn },
      };
    },
    async changesSince({ digest, signal }) {
      const failed = await work(`changes since ${digest?.[0] ?? "nothing"}`, 0, signal);
      return failed ?? state.changes;
    },
    async scan({ signal }) {
      const failed = await work("scan", state.scanMs, signal);
      return failed ?? { ok: true, digest: state.digest, torn: state.torn };
    },
    async restore({ snapshot, signal }) {
      const failed = await work(`restore ${snapshot.seq}`, state.takeMs, signal);
      const { entries, files, plainBytes } = stats;
      const restored = {
        entries,
        files,
        plainBytes,
        reusedBytes: 0,
        receivedBytes: 0,
        parts: 1,
        disowned: 0,
        extras: 0,
        skipped: [],
        wallMs: 1,
        degraded: [],
      };
      return failed ?? { ok: true, digest: snapshot.digest, stats: restored };
    },
  };
  return { engine, calls, state };
}

export function fakeSealer() {
  const state = { stopped: false, fresh: 3, outcome: null as StopOutcome | null, stops: 0, resumes: 0, untilAt: 0 };
  let recovered: ReturnType<Sealer["recover"]> = null;
  const sealer: Sealer = {
    async stop(_kind, untilAt) {
      state.stops++;
      state.untilAt = untilAt;
      if (state.outcome) return state.outcome;
      state.stopped = true;
      const { fresh } = state;
      state.fresh = 0;
      return { ok: true, stopped: 3, fresh };
    },
    extend(untilAt) {
      state.untilAt = untilAt;
    },
    resume() {
      state.resumes++;
      if (!state.stopped) return 0;
      state.stopped = false;
      state.fresh = 3;
      return 3;
    },
    held: () => (state.stopped ? 3 : 0),
    recover: () => recovered,
  };
  const leaveBehind = (kind: "seal" | "pause", ms: number) => {
    recovered = { kind, untilAt: Date.now() + ms, held: 3 };
    state.stopped = true;
    state.fresh = 0;
  };
  return { sealer, state, leaveBehind };
}

/** Of a machine without scripts. */
export const noHooks: Hooks = { run: async () => null };
