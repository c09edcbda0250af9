/** The commands around the workspace: a snapshot of it, a checkpoint, a restore into it; and the script after a wake alone. */
import { type Command, hookVeto, maxTornPaths, type Result } from "../core/protocol/wire.ts";
import { hookWords } from "./hooks.ts";
import { readRestored, saveRestored } from "./restored.ts";
import { toStats } from "./translate.ts";
import { brokenEngine, digestOfNothing, progressOf, type Run, type RunTools } from "./work-run.ts";

/** Errors: what the engine throws. */
export async function performSnapshot(
  { engine, sealer, hooks, log, finish, fail }: RunTools,
  target: Run,
  command: Extract<Command, { kind: "snapshot" }>,
): Promise<void> {
  const { signal } = target.controller;
  const hook = command.hook ? await hooks.run("before_sleep", command.id, command.hook, signal) : null;
  if (signal.aborted) return;
  if (hook && hook.outcome !== "ok" && command.hook?.mayVeto) {
    return fail(command.id, { code: hookVeto, message: hookWords(hook), retryable: true }, hook);
  }
  const taken = await engine.take({
    seq: command.seq,
    alreadyQuiet: false,
    pauseWriters: async () => {
      const outcome = await sealer.stop("pause", Date.now() + 60_000);
      if (!outcome.ok) log.warn("pause_incomplete", { code: outcome.code, message: outcome.message });
      if (signal.aborted) sealer.resume();
      return { isHeld: outcome.ok, resume: async () => void sealer.resume() };
    },
    onProgress: progressOf(target),
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
    ...(hook && { hook }),
  });
}

/** Parts in flight: beside work that must not become slower. */
const checkpointConcurrency = 4;
/** What changed while the first round was read is read once more; what still changes is torn. */
const checkpointRounds = 2;

/** Errors: what the engine throws. */
export async function performCheckpoint(
  { engine, log, finish, fail }: RunTools,
  target: Run,
  command: Extract<Command, { kind: "checkpoint" }>,
): Promise<void> {
  const { signal } = target.controller;
  const changes = await engine.changesSince({ digest: command.since, signal });
  if (signal.aborted) return;
  if (changes && !changes.ok) return fail(command.id, changes);
  if (changes && (changes.entries === 0 || changes.bytes < command.minChangeBytes)) {
    const { entries: changedEntries, bytes: changedBytes } = changes;
    return finish({ commandId: command.id, outcome: "unchanged", changedEntries, changedBytes });
  }
  const taken = await engine.take({
    seq: command.seq,
    alreadyQuiet: false,
    effort: "background",
    concurrency: checkpointConcurrency,
    maxRounds: checkpointRounds,
    onProgress: progressOf(target),
    signal,
  });
  if (signal.aborted) return;
  if (!taken.ok) return fail(command.id, taken);
  if (taken.digest === digestOfNothing) return fail(command.id, brokenEngine);
  const { seq, digest, stats } = taken;
  if (stats.torn > 0)
    log.info("checkpoint_torn", { seq, torn: stats.torn, paths: taken.tornPaths.slice(0, maxTornPaths) });
  finish({
    commandId: command.id,
    outcome: "snapshot_taken",
    snapshot: { seq, epoch: taken.epoch, digest },
    stats: toStats(taken),
    torn: stats.torn,
    tornPaths: taken.tornPaths.slice(0, maxTornPaths).map((path) => path.slice(0, 4096)),
  });
}

/** Errors: what the engine throws. */
export async function performRestore(
  tools: RunTools,
  target: Run,
  command: Extract<Command, { kind: "restore" }>,
): Promise<void> {
  const { engine, hooks, home, log, finish, fail } = tools;
  const { signal } = target.controller;
  const end = async (restored: Pick<Extract<Result, { outcome: "restored" }>, "digest" | "stats">) => {
    const hook = command.hook ? await hooks.run("after_wake", command.id, command.hook, signal) : null;
    if (!signal.aborted) finish({ commandId: command.id, outcome: "restored", ...restored, ...(hook && { hook }) });
  };
  // Once in place it is never done over: what was written since then is the user's.
  const before = readRestored(home);
  if (before?.commandId === command.id && before.digest === command.snapshot.digest) {
    return end({ digest: before.digest });
  }
  const restored = await engine.restore({ snapshot: command.snapshot, onProgress: progressOf(target), signal });
  if (signal.aborted) return;
  if (!restored.ok) return fail(command.id, restored);
  const { digest } = restored;
  const { entries, files, plainBytes, skipped, degraded } = restored.stats;
  if (skipped.length > 0 || degraded.length > 0)
    log.warn("restore_inexact", { skipped: skipped.slice(0, 10), degraded });
  saveRestored(home, { commandId: command.id, digest });
  return end({ digest, stats: { entries, files, plainBytes } });
}

/** Errors: none. */
export async function performHook(
  { hooks, finish }: RunTools,
  target: Run,
  command: Extract<Command, { kind: "hook" }>,
): Promise<void> {
  const { signal } = target.controller;
  const hook = await hooks.run("after_wake", command.id, command.hook, signal);
  if (!signal.aborted) finish({ commandId: command.id, outcome: "hook_ended", ...(hook && { hook }) });
}
