/**
 * Brings the agent that the control plane wants. It is fetched beside the one that runs, and its hash is looked at; the
 * loop that starts agents swaps them once this one has ended, and swaps back when the new one does not work
 * (core/protocol/boot/start-script.ts).
 *
 *   another build is wanted, at rest --> fetched --> still at rest: ends as `updated` --> the new one, on trial
 *   on trial --> reported often enough: confirmed, and told
 *
 * Never while a command runs, is sealed, or has a result to deliver: then the next answer asks again.
 */
import { createHash } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bootFiles, loopEnv } from "../core/protocol/boot/files.ts";
import { version } from "../core/protocol/version.ts";
import type { UpdateOrder, UpdateReport } from "../core/protocol/wire.ts";
import type { Env } from "./identity.ts";
import { describeError, type Logger } from "./log.ts";

export interface Updater {
  /** SHA-256 of the program that runs. */
  build: string;
  report(): UpdateReport | undefined;
  /** A good answer came. */
  onAnswer(answer: { update?: UpdateOrder | undefined; updateKept?: string | undefined }): void;
  /** The next agent lies ready, and this one is to end as `updated`. */
  isReady(): boolean;
  stop(): void;
}

export interface UpdaterOptions {
  home: string;
  url: string;
  env: Env;
  log: Logger;
  isAtRest: () => boolean;
  /** This agent should end now. */
  onReady: () => void;
  fetch?: typeof fetch;
  timeoutMs?: number;
  now?: () => number;
}

const ANSWERS_TO_CONFIRM = 3;
const MAX_BYTES = 64 * 1024 * 1024;
const TIMEOUT_MS = 120_000;
const FIRST_PAUSE_MS = 30_000;
const MAX_PAUSE_MS = 3_600_000;

/** Null where no loop would start the next one, or where this is not the program that it starts. */
export function createUpdater(options: UpdaterOptions): Updater | null {
  const { home, url, env, log, isAtRest, onReady, timeoutMs = TIMEOUT_MS, now = Date.now } = options;
  const send = options.fetch ?? fetch;
  const file = (name: keyof typeof bootFiles) => join(home, bootFiles[name]);
  const program = env[loopEnv] ? readBytes(file("agent")) : null;
  if (!program) return null;
  const build = sha256Of(program);
  const stopping = new AbortController();
  let answers = 0;
  let fetching = false;
  let ready = false;
  let failures = 0;
  let notBefore = 0;
  let told: UpdateReport | undefined = readRolledBack(file("rolledBack"));
  if (told) log.warn("agent_rolled_back", { build: told.build, reason: told.reason });

  const confirm = () => {
    if (answers < ANSWERS_TO_CONFIRM || readText(file("trial")) !== build) return;
    rmSync(`${file("trial")}.starts`, { force: true });
    rmSync(file("trial"), { force: true });
    log.info("agent_updated", { version, build });
    told = { id: `updated-${build.slice(0, 40)}`, outcome: "updated", build, version, reason: null };
  };

  const bring = async ({ version, build: wanted }: UpdateOrder) => {
    fetching = true;
    try {
      const limit = AbortSignal.any([AbortSignal.timeout(timeoutMs), stopping.signal]);
      const response = await send(`${url}/agent/${bootFiles.agent}`, { signal: limit });
      const bytes = await readBody(response);
      const found = sha256Of(bytes);
      // The deployment may have changed since: its next answer names what it serves now.
      if (found !== wanted) throw new Error(`it is ${found.slice(0, 12)} and not ${wanted.slice(0, 12)}`);
      const draft = `${file("next")}.draft`;
      writeFileSync(draft, bytes, { mode: 0o600 });
      if (!isAtRest()) return rmSync(draft, { force: true });
      renameSync(draft, file("next"));
      ready = true;
      log.info("agent_update_ready", { version, build: wanted });
      onReady();
    } catch (error) {
      if (stopping.signal.aborted) return;
      rmSync(`${file("next")}.draft`, { force: true });
      failures++;
      notBefore = now() + Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 10));
      log.warn("agent_update_failed", { version, build: wanted, failures, message: describeError(error) });
    } finally {
      fetching = false;
    }
  };

  return {
    build,
    report: () => told,
    onAnswer({ update, updateKept }) {
      answers++;
      if (told && updateKept === told.id) {
        if (told.outcome === "rolled_back") rmSync(file("rolledBack"), { force: true });
        told = undefined;
      }
      confirm();
      if (!update || update.build === build || fetching || ready || now() < notBefore || !isAtRest()) return;
      // One that is on trial itself is judged first.
      if (readText(file("trial")) !== null) return;
      if ((readText(file("badBuilds")) ?? "").split("\n").includes(update.build)) return;
      void bring(update);
    },
    isReady: () => ready,
    stop: () => stopping.abort(),
  };
}

/** What the loop wrote: the build, and why. */
function readRolledBack(path: string): UpdateReport | undefined {
  const [build, ...words] = (readText(path) ?? "").split(" ");
  if (!build || !/^[0-9a-f]{64}$/.test(build)) return undefined;
  const reason = words.join(" ").slice(0, 300) || null;
  return { id: `rolled-back-${build.slice(0, 40)}`, outcome: "rolled_back", build, version: null, reason };
}

async function readBody(response: Response): Promise<Buffer> {
  if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function readBytes(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}

function readText(path: string): string | null {
  return readBytes(path)?.toString("utf8").trim() ?? null;
}
