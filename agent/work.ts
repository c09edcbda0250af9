/**
 * Does what the worker's answers ask for, level-triggered: at most one command at a time, for as long as it is in the
 * answers.
 *
 *   wanted, not done --> runs --> done: the result is sent until it is confirmed
 *        ^                |
 *        |                +-- no longer wanted: aborted, no result
 *        +-- wanted again after it was away: done again (every command is idempotent)
 *
 * A seal has no result while it holds: it is reported with every beat. It ends when it is no longer wanted, when no
 * answer came for `holdMs`, and when the agent ends.
 */
import type { Command, Progress, Result, Seal, SnapshotRef, SnapshotStats } from "../core/protocol/wire.ts";
import { describeError, type Logger } from "./log.ts";
import { readRestored, saveRestored } from "./restored.ts";
import type { Sealer } from "./seal.ts";
import type { OnProgress, RestoreResult, ScanDigestResult, SnapshotProgress, TakeResult } from "./snapshot/types.ts";
import { sameRef, toProgress, toStats } from "./translate.ts";

/** The snapshot engine, bound to this machine's workspace and store. */
export interface Engine {
  take(options: {
    seq: number;
    alreadyQuiet: boolean;
    pauseWriters?: () => Promise<() => Promise<void>>;
    onProgress: OnProgress;
    signal: AbortSignal;
  }): Promise<TakeResult>;
  scan(options: { onProgress: OnProgress; signal: AbortSignal }): Promise<ScanDigestResult>;
  restore(options: { snapshot: SnapshotRef; onProgress: OnProgress; signal: AbortSignal }): Promise<RestoreResult>;
}

export interface WorkAnswer {
  commands: Command[];
  /** Commands whose kind this agent does not know. */
  unknown: { id: string; kind: string }[];
  resultsKept: string[];
}

export interface WorkReport {
  results: Result[];
  progress: (Progress & { commandId: string }) | null;
  seal: Seal | null;
}

export interface Work {
  /** Takes over the processes that a predecessor had stopped when it died. */
  start(): void;
  /** A good answer came. */
  onAnswer(answer: WorkAnswer): void;
  report(): WorkReport;
  /** Something runs, is sealed or waits for its confirmation: the link should not be slow now. */
  isActive(): boolean;
  /** From now on no report says "sealed", and nothing new begins; what is stopped stays so until stop(). */
  quiet(): void;
  /** Ends what runs and lets every process go on. With `forGood` nothing starts again. */
  stop(reason: string, forGood: boolean): Promise<void>;
}

export interface WorkOptions {
  engine: Engine;
  sealer: Sealer;
  epoch: number;
  home: string;
  log: Logger;
  /** A result or a seal appeared or ended. */
  onChange?: () => void;
  /** Monotonic, ms. */
  now?: () => number;
  recheckMs?: number;
}

interface Run {
  command: Command;
  controller: AbortController;
  done: Promise<void>;
  progress: Progress | null;
  /** Wakes a seal that waits for its next check. */
  nudge: () => void;
}

type SealCommand = Extract<Command, { kind: "seal" }>;
type Failure = Extract<ScanDigestResult, { ok: false }>;

interface SealState {
  /** What the sealed workspace equals. */
  current: { snapshot: SnapshotRef; stats: SnapshotStats | null } | null;
  usedSeq: number;
  /** The command for which the workspace was looked at since something last ran. */
  lookedFor: string | null;
}

const MAX_RESULTS = 16;
/** A list that a predecessor left without a time, or with one in a strange future, is not kept longer than this. */
const MAX_RECOVERED_MS = 10 * 60_000;

export function createWork(options: WorkOptions): Work {
  const {
    engine,
    sealer,
    epoch,
    home,
    log,
    onChange = () => {},
    now = () => performance.now(),
    recheckMs = 2_000,
  } = options;
  const results = new Map<string, Result>();
  /** Done and still wanted: not to be begun again. */
  const finished = new Set<string>();
  let wanted: Command[] = [];
  let run: Run | null = null;
  let seal: Omit<Seal, "commandId" | "holdsForMs"> | null = null;
  let lastAnswerAt = now();
  let holdTimer: NodeJS.Timeout | undefined;
  let recovered = false;
  let ended = false;
  let muted = false;

  const wantedSeal = () => wanted.find((one) => one.kind === "seal");

  const setSeal = (next: typeof seal) => {
    const changed = JSON.stringify(seal) !== JSON.stringify(next);
    seal = next;
    if (changed) onChange();
  };

  const finish = (result: Result) => {
    finished.add(result.commandId);
    results.set(result.commandId, result);
    if (result.outcome === "failed")
      log.warn("command_failed", { command: result.commandId, code: result.code, message: result.message });
    else log.info("command_done", { command: result.commandId, outcome: result.outcome });
    onChange();
  };

  const fail = (
    commandId: string,
    failure: { code: string; message: string; retryable: boolean; paths?: string[] },
  ) => {
    const paths = failure.paths?.length ? ` (${failure.paths.slice(0, 5).join(", ")})` : "";
    const message = `${failure.message}${paths}`.slice(0, 1000);
    finish({ commandId, outcome: "failed", code: failure.code.slice(0, 80), message, retryable: failure.retryable });
  };

  // --- the seal's end ---------------------------------------------------------------------------------------------

  /** What the agent still owes: it keeps the seal for this long even if it never hears again. */
  const holdsForMs = () => {
    const command = run?.command.kind === "seal" ? run.command : null;
    return command ? Math.max(0, Math.floor(lastAnswerAt + command.holdMs - now())) : 0;
  };

  const armHold = (delayMs: number, onEnd: () => void) => {
    clearTimeout(holdTimer);
    holdTimer = setTimeout(onEnd, Math.max(0, delayMs));
  };

  const watchHold = () => {
    const left = holdsForMs();
    sealer.extend(Date.now() + left);
    armHold(left, () => {
      if (run?.command.kind !== "seal") return;
      if (holdsForMs() > 0) return watchHold();
      log.warn("seal_ended", { command: run.command.id, reason: "no answer came in time" });
      // What was wanted then says nothing about now: the next answer decides.
      wanted = [];
      release(run);
    });
  };

  /** First no report says "sealed", then the processes go on, then the work that relied on it is given up. */
  const release = (target: Run) => {
    setSeal(null);
    sealer.resume();
    target.controller.abort();
  };

  // --- which command runs -----------------------------------------------------------------------------------------

  const reconcile = () => {
    if (ended) return;
    if (run) {
      const current = run;
      const next =
        wanted.find((one) => one.id === current.command.id) ??
        (current.command.kind === "seal" ? wantedSeal() : undefined);
      if (next && next.kind === current.command.kind && !current.controller.signal.aborted) {
        // A new seal in place of the old one takes over the stopped processes, but what it reports is looked at anew.
        if (next.id !== current.command.id) setSeal(null);
        current.command = next;
        if (next.kind === "seal") watchHold();
        current.nudge();
      } else if (!current.controller.signal.aborted) {
        log.info("command_withdrawn", { command: current.command.id, kind: current.command.kind });
        release(current);
      }
      return;
    }
    const next = wanted.find((one) => !finished.has(one.id));
    if (recovered && next?.kind !== "seal") endRecovered("the seal is no longer wanted");
    if (next) begin(next);
  };

  const begin = (command: Command) => {
    recovered = false;
    const controller = new AbortController();
    const started: Run = { command, controller, progress: null, nudge: () => {}, done: Promise.resolve() };
    run = started;
    log.info("command_begun", { command: command.id, kind: command.kind });
    if (command.kind === "seal") watchHold();
    started.done = perform(started)
      .catch((error) => {
        if (controller.signal.aborted) return;
        log.error("command_broke", { command: started.command.id, error });
        fail(started.command.id, { code: "agent_error", message: describeError(error), retryable: true });
      })
      .finally(() => {
        clearTimeout(holdTimer);
        seal = null;
        sealer.resume();
        if (run === started) run = null;
        reconcile();
      });
  };

  const perform = (target: Run): Promise<void> => {
    const { command } = target;
    switch (command.kind) {
      case "snapshot":
        return performSnapshot(target, command);
      case "restore":
        return performRestore(target, command);
      case "seal":
        return performSeal(target);
    }
  };

  const onProgress = (target: Run) => (progress: SnapshotProgress) => {
    target.progress = toProgress(progress);
  };

  // --- the commands -----------------------------------------------------------------------------------------------

  const performSnapshot = async (target: Run, command: Extract<Command, { kind: "snapshot" }>) => {
    const { signal } = target.controller;
    const taken = await engine.take({
      seq: command.seq,
      alreadyQuiet: false,
      pauseWriters: async () => {
        const outcome = await sealer.stop("pause", Date.now() + 60_000);
        if (!outcome.ok) log.warn("pause_incomplete", { code: outcome.code, message: outcome.message });
        if (signal.aborted) sealer.resume();
        return async () => {
          sealer.resume();
        };
      },
      onProgress: onProgress(target),
      signal,
    });
    if (signal.aborted) return;
    if (!taken.ok) return fail(command.id, taken);
    if (taken.digest === digestOfNothing) return fail(command.id, brokenEngine);
    const { seq, digest, stats } = taken;
    if (stats.torn > 0) log.warn("snapshot_torn", { seq, torn: stats.torn, skipped: stats.skipped.slice(0, 10) });
    finish({
      commandId: command.id,
      outcome: "snapshot_taken",
      snapshot: { seq, epoch: taken.epoch, digest },
      stats: toStats(taken),
    });
  };

  const performRestore = async (target: Run, command: Extract<Command, { kind: "restore" }>) => {
    const { signal } = target.controller;
    // Once reported it is never done over: what was written since then is the user's.
    const before = readRestored(home);
    if (before?.commandId === command.id && before.digest === command.snapshot.digest) {
      return finish({ commandId: command.id, outcome: "restored", digest: before.digest });
    }
    const restored = await engine.restore({ snapshot: command.snapshot, onProgress: onProgress(target), signal });
    if (signal.aborted) return;
    if (!restored.ok) return fail(command.id, restored);
    const { digest } = restored;
    const { entries, files, plainBytes, skipped, degraded } = restored.stats;
    if (skipped.length > 0 || degraded.length > 0)
      log.warn("restore_inexact", { skipped: skipped.slice(0, 10), degraded });
    saveRestored(home, { commandId: command.id, digest });
    finish({ commandId: command.id, outcome: "restored", digest, stats: { entries, files, plainBytes } });
  };

  const performSeal = async (target: Run) => {
    const { signal } = target.controller;
    const command = () => target.command as SealCommand;
    const state: SealState = { current: null, usedSeq: 0, lookedFor: null };
    for (;;) {
      const stopped = await sealer.stop("seal", Date.now() + holdsForMs());
      // The processes may have been let go while this pass was stopping them; begin() lets go what it stopped.
      if (signal.aborted) return;
      if (!stopped.ok) {
        setSeal(null);
        return fail(command().id, { ...stopped, retryable: true });
      }
      const { id, seq } = command();
      const look = stopped.fresh > 0 || state.lookedFor !== id || (state.current === null && seq > state.usedSeq);
      if (look) {
        setSeal(null);
        const failure = await lookAtSealed(target, command(), state);
        if (signal.aborted) return;
        if (failure) return fail(id, failure);
        state.lookedFor = id;
        // One more pass before anything is said: nothing may have run while we looked.
        continue;
      }
      if (state.current) setSeal({ ...state.current, stoppedProcesses: stopped.stopped });
      await waitFor(recheckMs, target);
    }
  };

  /** Finds out which snapshot the sealed workspace equals, and takes it where there is none. */
  const lookAtSealed = async (target: Run, { proved, seq }: SealCommand, state: SealState): Promise<Failure | null> => {
    const { signal } = target.controller;
    const scan = await scanStill(target);
    target.progress = null;
    if (!scan.ok || signal.aborted) return scan.ok ? null : scan;
    if (scan.digest === digestOfNothing) return brokenEngine;
    if (scan.digest === proved.digest && proved.epoch === epoch) {
      if (!state.current || !sameRef(state.current.snapshot, proved)) state.current = { snapshot: proved, stats: null };
      return null;
    }
    if (state.current?.snapshot.digest === scan.digest) return null;
    state.current = null;
    // A number is used once; the worker gives the next one when it has proved what it has.
    if (seq <= state.usedSeq) return null;
    state.usedSeq = seq;
    const taken = await engine.take({ seq, alreadyQuiet: true, onProgress: onProgress(target), signal });
    target.progress = null;
    if (!taken.ok || signal.aborted) return taken.ok ? null : taken;
    if (taken.stats.torn > 0) return tornFailure(taken.stats.torn, taken.stats.skipped);
    state.current = { snapshot: { seq: taken.seq, epoch: taken.epoch, digest: taken.digest }, stats: toStats(taken) };
    return null;
  };

  /** A second look where the first one met something that moved, for what was under way when it stopped. */
  const scanStill = async (target: Run): Promise<ScanDigestResult> => {
    const { signal } = target.controller;
    const options = { onProgress: onProgress(target), signal };
    let scan = await engine.scan(options);
    if (scan.ok && scan.torn > 0 && !signal.aborted) scan = await engine.scan(options);
    return scan.ok && scan.torn > 0 ? tornFailure(scan.torn) : scan;
  };

  const waitFor = (ms: number, target: Run) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      const end = () => {
        clearTimeout(timer);
        resolve();
      };
      target.nudge = end;
      target.controller.signal.addEventListener("abort", end, { once: true });
    });

  // --- a predecessor's seal ---------------------------------------------------------------------------------------

  const endRecovered = (reason: string) => {
    if (!recovered) return;
    recovered = false;
    clearTimeout(holdTimer);
    const continued = sealer.resume();
    log.warn("old_seal_ended", { reason, continued });
  };

  return {
    start() {
      const found = sealer.recover();
      if (!found) return;
      log.warn("old_seal_found", { kind: found.kind, held: found.held });
      recovered = true;
      if (found.kind === "pause") return endRecovered("the snapshot that paused them was cut short");
      const left = Math.min(MAX_RECOVERED_MS, found.untilAt - Date.now());
      armHold(left, () => endRecovered("no answer came in time"));
    },

    onAnswer(answer) {
      if (ended) return;
      lastAnswerAt = now();
      for (const id of answer.resultsKept) results.delete(id);
      const ids = new Set([...answer.commands, ...answer.unknown].map((one) => one.id));
      for (const id of finished) if (!ids.has(id) && !results.has(id)) finished.delete(id);
      for (const { id, kind } of answer.unknown) {
        if (finished.has(id)) continue;
        fail(id, {
          code: "command_unknown",
          message: `This agent does not know the command "${kind}".`,
          retryable: false,
        });
      }
      wanted = answer.commands;
      reconcile();
    },

    report() {
      const command = run?.command;
      const holds = holdsForMs();
      const sealed =
        !muted && seal && command?.kind === "seal" && holds > 0
          ? { commandId: command.id, ...seal, holdsForMs: holds }
          : null;
      const progress = command && run?.progress ? { commandId: command.id, ...run.progress } : null;
      return { results: [...results.values()].slice(0, MAX_RESULTS), progress, seal: sealed };
    },

    quiet() {
      ended = true;
      muted = true;
    },

    isActive: () => run !== null || recovered || results.size > 0,

    async stop(reason, forGood) {
      ended ||= forGood;
      wanted = [];
      if (run || recovered) log.info("work_stopped", { reason, command: run?.command.id ?? null });
      endRecovered(reason);
      const current = run;
      if (!current) return;
      release(current);
      await current.done;
    },
  };
}

/** SHA-256 of no bytes. A real tree has its root at least, so a machine is never destroyed on this word. */
const digestOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const brokenEngine: Failure = {
  ok: false,
  code: "agent_error",
  message: "The snapshot engine saw an empty tree where there is a folder.",
  retryable: false,
};

function tornFailure(torn: number, skipped: { path: string; reason: string }[] = []): Failure {
  const paths = skipped.map((one) => `${one.path}: ${one.reason}`);
  const message = `${torn} entries of the workspace could not be read, or changed although every process is stopped.`;
  return { ok: false, code: "workspace_unreadable", message, retryable: true, paths };
}
