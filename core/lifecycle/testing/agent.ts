/**
 * An agent and its workspace. The content is one number that grows with every write, so that two contents are equal only
 * when nothing was written in between; its digest is that number in hex.
 */
import {
  type Command,
  type Held,
  type HookCommand,
  type HookReport,
  hookVeto,
  type Result,
  type Seal,
  type SnapshotRef,
} from "../../protocol/wire.ts";
import { type FakeStore, isWhole, refKey } from "./store.ts";

export interface FakeAgent {
  epoch: number;
  content: number;
  /** True once the instance said "running" to this machine: from then on there is work on it. */
  inUse: boolean;
  /** It was in use once: what is on it counts, though nobody writes before it is in use again. */
  hasWork: boolean;
  busy: boolean;
  quietSince: number | null;
  /** A process holds GPU memory: the floor of `auto` is higher. */
  memoryHeld: boolean;
  /** Seal and results survive a restart of the agent: it keeps both on disk. */
  seal: { commandId: string; snapshot: SnapshotRef | null; until: number } | null;
  results: Result[];
  done: string[];
  job: { commandId: string; endsAt: number; run: (now: number) => void } | null;
  silentUntil: number;
  /** What its scripts say: null where it has none. */
  hook: "ok" | "fails" | "veto" | null;
  /** Commands that run under `soneca-agent run`; like the seal they outlive the agent. */
  held: Held[];
}

export const jobMs = {
  hook: 1_000,
  checkpoint: 20_000,
  snapshot: 4_000,
  seal: 1_000,
  sealedSnapshot: 3_000,
  restore: 4_000,
};

export function newAgent(epoch: number): FakeAgent {
  return {
    epoch,
    content: 0,
    inUse: false,
    hasWork: false,
    busy: false,
    quietSince: null,
    memoryHeld: false,
    seal: null,
    results: [],
    done: [],
    job: null,
    silentUntil: 0,
    hook: null,
    held: [],
  };
}

export function digestOf(content: number): string {
  return content.toString(16).padStart(64, "0");
}

/** Time passes on the machine: a job ends, a seal that nobody renewed ends by itself. */
export function runAgent(agent: FakeAgent, now: number): void {
  if (agent.job && now >= agent.job.endsAt) {
    const { job } = agent;
    agent.job = null;
    job.run(now);
  }
  if (agent.seal && now >= agent.seal.until) agent.seal = null;
}

/** Null when the workspace may not change at this moment. */
export function write(agent: FakeAgent, nextContent: () => number): void {
  if (agent.inUse && !agent.seal) agent.content = nextContent();
}

export function restartAgent(agent: FakeAgent, now: number): void {
  agent.job = null;
  agent.quietSince = null;
  agent.silentUntil = now + 3_000;
}

/** The machine was stopped and starts: what is on its disk is all that is left. */
export function rebootAgent(agent: FakeAgent): void {
  Object.assign(agent, {
    inUse: false,
    seal: null,
    job: null,
    quietSince: null,
    silentUntil: 0,
    busy: false,
    held: [],
  });
}

export function sealReport(agent: FakeAgent, now: number): Seal | null {
  const { seal } = agent;
  if (!seal?.snapshot || agent.job) return null;
  const holdsForMs = Math.max(0, seal.until - now);
  return { commandId: seal.commandId, snapshot: seal.snapshot, stats: null, stoppedProcesses: 1, holdsForMs };
}

/** Takes in the answer to a beat. Level-triggered: what is not in it is off. */
export function obey(
  agent: FakeAgent,
  status: string,
  commands: Command[],
  kept: string[],
  store: FakeStore,
  now: number,
) {
  agent.results = agent.results.filter((one) => !kept.includes(one.commandId));
  if (agent.job && !commands.some((one) => one.id === agent.job?.commandId)) agent.job = null;
  if (agent.seal && !commands.some((one) => one.id === agent.seal?.commandId)) agent.seal = null;
  if (status === "running") {
    agent.inUse = true;
    agent.hasWork = true;
  }
  for (const command of commands) {
    if (command.kind === "seal") holdSeal(agent, command, store, now);
    else if (!agent.job && !agent.done.includes(command.id)) startJob(agent, command, store, now);
  }
}

function startJob(agent: FakeAgent, command: Exclude<Command, { kind: "seal" }>, store: FakeStore, now: number): void {
  const commandId = command.id;
  const finish = (result: Result) => {
    agent.done.push(commandId);
    agent.results.push(result);
  };
  if (command.kind === "checkpoint") {
    agent.job = {
      commandId,
      endsAt: now + jobMs.checkpoint,
      run: (at) => finish(checkpoint(agent, command, store, at)),
    };
    return;
  }
  if (command.kind === "snapshot") {
    const run = (now: number) => {
      const hook = hookOf(agent, "before_sleep", command.hook);
      if (agent.hook === "veto" && command.hook?.mayVeto) {
        const message = "The script ended with 9: training";
        return finish({ commandId, outcome: "failed", code: hookVeto, message, retryable: true, ...hook });
      }
      const failure = failureOf(store);
      if (failure) return finish({ commandId, outcome: "failed", ...failure });
      const snapshot = takeSnapshot(agent, command.seq, store, now);
      finish(
        snapshot ? { commandId, outcome: "snapshot_taken", snapshot, stats: someStats, ...hook } : exists(commandId),
      );
    };
    agent.job = { commandId, endsAt: now + jobMs.snapshot, run };
    return;
  }
  if (command.kind === "hook") {
    const run = () => finish({ commandId, outcome: "hook_ended", ...hookOf(agent, "after_wake", command.hook) });
    agent.job = { commandId, endsAt: now + jobMs.hook, run };
    return;
  }
  const run = () => {
    const found = [...store.manifests.values()].find((one) => refKey(one.ref) === refKey(command.snapshot));
    if (!found || !isWhole(store, found.ref)) {
      return finish({
        commandId,
        outcome: "failed",
        code: "snapshot_damaged",
        message: "part missing",
        retryable: false,
      });
    }
    agent.content = found.content;
    const hook = hookOf(agent, "after_wake", command.hook);
    finish({ commandId, outcome: "restored", digest: digestOf(agent.content), ...hook });
  };
  agent.job = { commandId, endsAt: now + jobMs.restore, run };
}

function holdSeal(agent: FakeAgent, command: Extract<Command, { kind: "seal" }>, store: FakeStore, now: number): void {
  const commandId = command.id;
  if (agent.seal?.commandId === commandId) {
    agent.seal.until = now + command.holdMs;
    if (agent.seal.snapshot || agent.job) return;
  } else {
    agent.seal = { commandId, snapshot: null, until: now + command.holdMs };
  }
  const isSame = digestOf(agent.content) === command.proved.digest;
  const run = (now: number) => {
    if (!agent.seal) return;
    const snapshot = isSame ? command.proved : takeSnapshot(agent, command.seq, store, now);
    if (snapshot) agent.seal.snapshot = snapshot;
    else agent.results.push(exists(commandId));
  };
  agent.job = { commandId, endsAt: now + (isSame ? jobMs.seal : jobMs.sealedSnapshot), run };
}

function takeSnapshot(agent: FakeAgent, seq: number, store: FakeStore, now: number): SnapshotRef | null {
  const ref = { seq, epoch: agent.epoch, digest: digestOf(agent.content) };
  const key = `${agent.epoch}.${seq}`;
  const known = store.manifests.get(key);
  if (known) return known.ref.digest === ref.digest ? ref : null;
  store.manifests.set(key, { ref, content: agent.content, at: now });
  return ref;
}

function hookOf(agent: FakeAgent, name: HookReport["name"], command: HookCommand | undefined): { hook?: HookReport } {
  if (!command || agent.hook === null) return {};
  const isOk = agent.hook === "ok";
  return { hook: { name, outcome: isOk ? "ok" : "failed", exit: isOk ? 0 : 9, ms: 12, tail: "training" } };
}

/** Nothing is stopped for it: a busy machine may have changed something under it. */
function checkpoint(
  agent: FakeAgent,
  command: Extract<Command, { kind: "checkpoint" }>,
  store: FakeStore,
  now: number,
): Result {
  const commandId = command.id;
  const failure = failureOf(store);
  if (failure) return { commandId, outcome: "failed", ...failure };
  if (command.since === digestOf(agent.content)) {
    return { commandId, outcome: "unchanged", changedEntries: 0, changedBytes: 0 };
  }
  const snapshot = takeSnapshot(agent, command.seq, store, now);
  if (!snapshot) return exists(commandId);
  const torn = agent.busy ? 2 : 0;
  return {
    commandId,
    outcome: "snapshot_taken",
    snapshot,
    stats: someStats,
    torn,
    tornPaths: ["log.txt"].slice(0, torn),
  };
}

function failureOf(store: FakeStore): { code: string; message: string; retryable: boolean } | null {
  if (store.uploadsFail > 0) {
    store.uploadsFail--;
    return { code: "store_unreachable", message: "no answer", retryable: true };
  }
  if (store.uploadsRefused === 0) return null;
  store.uploadsRefused--;
  return { code: "store_refused", message: "not allowed", retryable: false };
}

function exists(commandId: string): Result {
  return { commandId, outcome: "failed", code: "manifest_exists", message: "another one is there", retryable: true };
}

/** Large enough that traffic makes a cycle dear, and tau much later than the upload. */
const someStats = { entries: 1, files: 1, plainBytes: 8e9, storedBytes: 5e9, newStoredBytes: 5e9 };
