/** One command while it runs, and what every kind of command has at hand. */
import type { Command, HookReport, Progress, Result, Seal, SnapshotRef } from "../core/protocol/wire.ts";
import type { Hooks } from "./hooks.ts";
import type { Logger } from "./log.ts";
import type { Sealer } from "./seal.ts";
import type {
  ChangesResult,
  OnProgress,
  Pause,
  RestoreResult,
  ScanDigestResult,
  SnapshotFailure,
  TakeResult,
} from "./snapshot/types.ts";
import { toProgress } from "./translate.ts";

/** The snapshot engine, bound to this machine's workspace and store. */
export interface Engine {
  take(options: {
    seq: number;
    alreadyQuiet: boolean;
    effort?: "background" | "full";
    concurrency?: number;
    maxRounds?: number;
    pauseWriters?: () => Promise<Pause>;
    onProgress: OnProgress;
    signal: AbortSignal;
  }): Promise<TakeResult>;
  scan(options: { onProgress: OnProgress; signal: AbortSignal }): Promise<ScanDigestResult>;
  /** What changed since the snapshot of this digest; null where it is not known, above all after a restart. */
  changesSince(options: { digest: string | null; signal: AbortSignal }): Promise<ChangesResult | null>;
  restore(options: { snapshot: SnapshotRef; onProgress: OnProgress; signal: AbortSignal }): Promise<RestoreResult>;
}

export interface Run {
  command: Command;
  controller: AbortController;
  done: Promise<void>;
  progress: Progress | null;
  /** Wakes a seal that waits for its next check. */
  nudge: () => void;
}

export type CommandFailure = Pick<SnapshotFailure, "code" | "message" | "retryable" | "paths">;
/** What a report says of a seal that holds, but for whose command it is and for how long. */
export type HeldSeal = Omit<Seal, "commandId" | "holdsForMs">;

export interface RunTools {
  engine: Engine;
  sealer: Sealer;
  hooks: Hooks;
  epoch: number;
  home: string;
  log: Logger;
  finish(result: Result): void;
  fail(commandId: string, failure: CommandFailure, hook?: HookReport): void;
}

export function progressOf(target: Run): OnProgress {
  return (progress) => {
    target.progress = toProgress(progress);
  };
}

/** SHA-256 of no bytes. A real tree has its root at least, so a machine is never destroyed on this word. */
export const digestOfNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
export const brokenEngine: SnapshotFailure = {
  ok: false,
  code: "agent_error",
  message: "The snapshot engine saw an empty tree where there is a folder.",
  retryable: false,
};
