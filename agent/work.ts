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
import type { Command, HookReport, Progress, Result, Seal } from "../core/protocol/wire.ts";
import type { Hooks } from "./hooks.ts";
import { describeError, type Logger } from "./log.ts";
import type { Sealer } from "./seal.ts";
import type { CommandFailure, Engine, HeldSeal, Run, RunTools } from "./work-run.ts";
import { performSeal } from "./work-seal.ts";
import { performCheckpoint, performHook, performRestore, performSnapshot } from "./work-transfer.ts";

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
  /** What runs or holds is part of a sleep: whoever comes now may call it off. */
  isSleeping(): boolean;
  /** From now on no report says "sealed", and nothing new begins; what is stopped stays so until stop(). */
  quiet(): void;
  /** Ends what runs and lets every process go on. With `forGood` nothing starts again. */
  stop(reason: string, forGood: boolean): Promise<void>;
}

export interface WorkOptions {
  engine: Engine;
  sealer: Sealer;
  hooks: Hooks;
  epoch: number;
  home: string;
  log: Logger;
  /** A result or a seal appeared or ended. */
  onChange?: () => void;
  /** Monotonic, ms. */
  now?: () => number;
  recheckMs?: number;
}

const MAX_RESULTS = 16;
/** A list that a predecessor left without a time, or with one in a strange future, is not kept longer than this. */
const MAX_RECOVERED_MS = 10 * 60_000;

export function createWork(options: WorkOptions): Work {
  const {
    engine,
    sealer,
    hooks,
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
  let seal: HeldSeal | null = null;
  let lastAnswerAt = now();
  let holdTimer: NodeJS.Timeout | undefined;
  let recovered = false;
  let ended = false;
  let muted = false;

  const wantedSeal = () => wanted.find((one) => one.kind === "seal");

  const setSeal = (next: HeldSeal | null) => {
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

  const fail = (commandId: string, failure: CommandFailure, hook?: HookReport) => {
    const paths = failure.paths?.length ? ` (${failure.paths.slice(0, 5).join(", ")})` : "";
    const message = `${failure.message}${paths}`.slice(0, 1000);
    const { code, retryable } = failure;
    finish({ commandId, outcome: "failed", code: code.slice(0, 80), message, retryable, ...(hook && { hook }) });
  };

  const tools: RunTools = { engine, sealer, hooks, epoch, home, log, finish, fail };

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
        return performSnapshot(tools, target, command);
      case "checkpoint":
        return performCheckpoint(tools, target, command);
      case "restore":
        return performRestore(tools, target, command);
      case "hook":
        return performHook(tools, target, command);
      case "seal":
        return performSeal(tools, target, { holdsForMs, setSeal, recheckMs });
    }
  };

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
    isSleeping: () => recovered || run?.command.kind === "snapshot" || run?.command.kind === "seal",

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
