/**
 * Follows an instance until what was asked of it has come true, or visibly will not.
 *
 *   asked --> passing states --> goal            done
 *                  |
 *                  +--> state that the goal cannot follow from --> Failure `wait_failed`, with the words of `trouble`
 *                  +--> timeout --> Failure `wait_timeout`: nothing is cancelled
 */
import type { StatusWord } from "../core/lifecycle/abilities.ts";
import type { InstanceView } from "../core/protocol/views.ts";
import { Failure } from "./failure.ts";
import { formatBytes, formatDuration } from "./format.ts";
import type { Output } from "./output.ts";
import { statusPhrase, workPhrase } from "./status-words.ts";

export type Goal = "awake" | "asleep" | "discarded";

const ends: Record<Goal, { reached: readonly StatusWord[]; missed: readonly StatusWord[]; words: string }> = {
  awake: {
    reached: ["running", "idle"],
    missed: ["hibernated", "deleted", "failed"],
    words: "The wake did not succeed.",
  },
  asleep: {
    reached: ["hibernated", "deleted"],
    missed: ["running", "idle", "waking", "failed"],
    words: "It does not go to sleep.",
  },
  discarded: {
    reached: ["deleted", "hibernated"],
    missed: ["running", "idle", "waking", "failed"],
    words: "It was not discarded.",
  },
};

export interface WaitOptions {
  goal: Goal;
  /** The answer to the request itself. */
  first: InstanceView;
  /** `trouble.at` before the request: only later trouble belongs to it. Null when there was none. */
  troubleBefore: string | null;
  timeoutMs: number;
  get: () => Promise<InstanceView>;
  output: Output;
  sleep?: (ms: number) => Promise<void>;
  now?: () => number;
}

const firstPollMs = 400;
const longestPollMs = 3_000;
/** A control plane that does not answer for this long ends the wait. */
const silenceLimitMs = 60_000;

/** Errors: Failure `wait_failed`, `wait_timeout`, or what the control plane said. */
export async function waitFor(options: WaitOptions): Promise<InstanceView> {
  const now = options.now ?? Date.now;
  const sleep = options.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));
  const startAt = now();
  const teller = new Teller(options.output, startAt, now);
  let view = options.first;
  let silentSince: number | null = null;
  for (let pollMs = firstPollMs; ; pollMs = Math.min(pollMs * 1.3, longestPollMs)) {
    teller.tell(view);
    const { reached, missed } = ends[options.goal];
    if (reached.includes(view.status) && !view.copying) return view;
    // What is tried again later, or waits for a copy, has not missed its goal yet.
    const again = options.goal === "awake" ? view.keep_trying : options.goal === "asleep" ? view.sleep_request : null;
    const goesOn = again?.next_at != null || (options.goal === "awake" && view.copying?.then_wakes);
    if (missed.includes(view.status) && !goesOn) throw missedGoal(options, view);
    const leftMs = startAt + options.timeoutMs - now();
    if (leftMs <= 0) throw tooLate(options, view);
    await sleep(Math.min(pollMs, leftMs));
    try {
      view = await options.get();
      silentSince = null;
    } catch (error) {
      if (!(error instanceof Failure) || !error.details.retryable) throw error;
      silentSince ??= now();
      if (now() - silentSince > silenceLimitMs) throw error;
      if (!options.output.json) options.output.note(`${error.message} It is asked again.`);
    }
  }
}

function missedGoal({ goal, troubleBefore }: WaitOptions, view: InstanceView): Failure {
  const { trouble } = view;
  // What `failed` says is always its own.
  const isNew = trouble !== null && (trouble.at !== troubleBefore || view.status === "failed");
  const kept = isNew && trouble.kept ? ` Kept: ${trouble.kept}` : "";
  const reason = isNew ? `${trouble.message.replace(/[.\s]*$/, ".")}${kept}` : calledOff(goal, view);
  return new Failure("wait_failed", `${ends[goal].words} ${reason}`, `See \`soneca instance show ${view.id}\`.`, {
    exitCode: 1,
    context: {
      instance_id: view.id,
      status: view.status,
      ...(isNew && { trouble: { code: trouble.code, message: trouble.message } }),
    },
  });
}

function calledOff(goal: Goal, view: InstanceView): string {
  if (goal === "awake") return "It was called off.";
  return view.status === "waking" ? "It was asked to wake." : "Busy again, or asked to wake: the sleep was called off.";
}

function tooLate({ timeoutMs }: WaitOptions, view: InstanceView): Failure {
  return new Failure(
    "wait_timeout",
    `After ${formatDuration(timeoutMs)} it is still ${view.state}.`,
    `Nothing was cancelled: it goes on. Look with \`soneca instance show ${view.id}\`.`,
    { exitCode: 1, context: { instance_id: view.id, status: view.status, state: view.state } },
  );
}

/** A line per state; between them the progress, redrawn on a terminal and one line per quarter elsewhere. */
class Teller {
  readonly #output: Output;
  readonly #startAt: number;
  readonly #now: () => number;
  #state = "";
  #mark = "";

  constructor(output: Output, startAt: number, now: () => number) {
    this.#output = output;
    this.#startAt = startAt;
    this.#now = now;
  }

  tell(view: InstanceView): void {
    const output = this.#output;
    const elapsed = formatDuration(this.#now() - this.#startAt);
    // An idle countdown is no change of state worth a line.
    const wake = view.wake ? `${view.wake.phase} ${view.wake.machines_asked}` : "";
    const again = view.keep_trying?.next_at ?? view.sleep_request?.next_at ?? "";
    const state = `${view.state} ${view.status} ${wake} ${again} ${view.copying?.parts_done ?? ""}`;
    if (state !== this.#state) {
      this.#state = state;
      this.#mark = "";
      output.document({ type: "state", instance: view }, "line");
      output.print(`${elapsed.padStart(6)}  ${output.status(view.status, statusPhrase(view, this.#now()))}`);
    }
    const work = workPhrase(view);
    if (work === null) return;
    const { progress } = view;
    const share = progress && progress.plain_bytes > 0 ? Math.min(1, progress.done_bytes / progress.plain_bytes) : null;
    const mark = `${progress?.phase ?? view.state} ${share === null ? "" : Math.floor(share * 4)}`;
    const line = `${elapsed.padStart(6)}    ${work}${share === null ? "" : amounts(view, share)}`;
    output.redraw(line);
    if (mark === this.#mark) return;
    this.#mark = mark;
    if (progress) output.document({ type: "progress", instance_id: view.id, progress }, "line");
    if (!output.isTerminal) output.print(line);
  }
}

function amounts({ progress }: InstanceView, share: number): string {
  if (!progress) return "";
  const parts = progress.parts_total > 0 ? `, ${progress.parts_done} of ${progress.parts_total} parts` : "";
  const bytes = `${formatBytes(progress.done_bytes)} of ${formatBytes(progress.plain_bytes)}`;
  return `: ${Math.floor(share * 100)} %, ${bytes}${parts}`;
}
