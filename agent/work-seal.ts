/** The seal: every process stopped, and the workspace equal to a snapshot, for as long as it is wanted. */
import type { Command, SnapshotRef, SnapshotStats } from "../core/protocol/wire.ts";
import type { ScanDigestResult } from "./snapshot/types.ts";
import { sameRef, toStats } from "./translate.ts";
import {
  brokenEngine,
  digestOfNothing,
  type Engine,
  type HeldSeal,
  progressOf,
  type Run,
  type RunTools,
} from "./work-run.ts";

type SealCommand = Extract<Command, { kind: "seal" }>;
type Failure = Extract<ScanDigestResult, { ok: false }>;

interface SealState {
  /** What the sealed workspace equals. */
  current: { snapshot: SnapshotRef; stats: SnapshotStats | null } | null;
  usedSeq: number;
  /** The command for which the workspace was looked at since something last ran. */
  lookedFor: string | null;
}

interface Hold {
  /** What the agent still owes. */
  holdsForMs(): number;
  setSeal(seal: HeldSeal | null): void;
  recheckMs: number;
}

/** Stops everything, finds the snapshot that the workspace then equals, and looks again as long as the seal holds. */
export async function performSeal(
  tools: RunTools,
  target: Run,
  { holdsForMs, setSeal, recheckMs }: Hold,
): Promise<void> {
  const { sealer, fail } = tools;
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
      const failure = await lookAtSealed(tools, target, command(), state);
      if (signal.aborted) return;
      if (failure) return fail(id, failure);
      state.lookedFor = id;
      // One more pass before anything is said: nothing may have run while we looked.
      continue;
    }
    if (state.current) setSeal({ ...state.current, stoppedProcesses: stopped.stopped });
    await waitFor(recheckMs, target);
  }
}

/** Finds out which snapshot the sealed workspace equals, and takes it where there is none. */
async function lookAtSealed(
  { engine, epoch }: RunTools,
  target: Run,
  { proved, seq }: SealCommand,
  state: SealState,
): Promise<Failure | null> {
  const { signal } = target.controller;
  const scan = await scanStill(engine, target);
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
  const taken = await engine.take({ seq, alreadyQuiet: true, onProgress: progressOf(target), signal });
  target.progress = null;
  if (!taken.ok || signal.aborted) return taken.ok ? null : taken;
  if (taken.stats.torn > 0) return tornFailure(taken.stats.torn, taken.stats.skipped);
  state.current = { snapshot: { seq: taken.seq, epoch: taken.epoch, digest: taken.digest }, stats: toStats(taken) };
  return null;
}

/** A second look where the first one met something that moved, for what was under way when it stopped. */
async function scanStill(engine: Engine, target: Run): Promise<ScanDigestResult> {
  const { signal } = target.controller;
  const options = { onProgress: progressOf(target), signal };
  let scan = await engine.scan(options);
  if (scan.ok && scan.torn > 0 && !signal.aborted) scan = await engine.scan(options);
  return scan.ok && scan.torn > 0 ? tornFailure(scan.torn) : scan;
}

function waitFor(ms: number, target: Run): Promise<void> {
  return new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    target.nudge = end;
    target.controller.signal.addEventListener("abort", end, { once: true });
  });
}

function tornFailure(torn: number, skipped: { path: string; reason: string }[] = []): Failure {
  const paths = skipped.map((one) => `${one.path}: ${one.reason}`);
  const message = `${torn} entries of the workspace could not be read, or changed although every process is stopped.`;
  return { ok: false, code: "workspace_unreadable", message, retryable: true, paths };
}
