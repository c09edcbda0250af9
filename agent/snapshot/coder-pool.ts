/**
 * Threads for what costs processor time: big files, encoding, decoding, hashes, small files at a restore. Started when they are needed, ended
 * with the run. A thread that dies fails every task of the pool with `thread_failed`: nothing hangs, nothing is half done
 * without an error.
 */
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { limits } from "../../core/snapshot/limits.ts";
import {
  type AnswerOf,
  type CoderData,
  type CoderRequest,
  type CoderResponse,
  type CoderTask,
  ownedBy,
  threadLoaded,
  unpackError,
} from "./coder-tasks.ts";
import { Stop } from "./stop.ts";

export type Effort = "background" | "full";

/** The main thread feeds at most so many. */
const mostThreads = 8;
/** One runs, one waits in the thread itself, so that a busy main thread does not make it idle. */
const tasksPerThread = 2;

const mostLoadMs = 10_000;

/** A buffer for the plain bytes of any frame; the frame that comes of it may be a few bytes longer. */
export const frameBufferBytes = limits.chunkBytes + 64;

interface Waiting {
  task: CoderTask;
  resolve: (answer: never) => void;
  reject: (error: Error) => void;
}

interface Thread {
  worker: Worker;
  /** Its program is loaded, or it has ended. */
  loaded: Promise<void>;
  running: Map<number, Waiting>;
}

export class CoderPool {
  readonly size: number;
  readonly #isBackground: boolean;
  readonly #program: Promise<URL>;
  readonly #threads: Thread[] = [];
  /** Of an encrypted snapshot. Set it before the first task: a thread is started with it. */
  dataKey: Uint8Array | null = null;
  readonly #queue: Waiting[] = [];
  #n = 0;
  #failure: Error | null = null;
  #starting: Promise<void> | null = null;

  constructor(effort: Effort = "full", program: Promise<URL> = threadProgram()) {
    this.#program = program;
    this.#isBackground = effort === "background";
    this.size = Math.max(1, Math.min(availableParallelism(), this.#isBackground ? 2 : mostThreads));
  }

  /** So many tasks keep every thread busy. */
  get capacity(): number {
    return this.size * tasksPerThread;
  }

  /** Tasks that are not answered yet. */
  get load(): number {
    return this.#threads.reduce((sum, { running }) => sum + running.size, this.#queue.length);
  }

  /** The task's bytes belong to the thread: for good, or until the answer where they are shared. Errors: what the task throws; Stop `thread_failed`. */
  run<T extends CoderTask>(task: T): Promise<AnswerOf<T>> {
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      const waiting = { task, resolve: resolve as Waiting["resolve"], reject };
      // A file is read chunk after chunk, and what comes next waits for it: the threads shall never be out of frames.
      if (task.kind === "cut") this.#queue.unshift(waiting);
      else this.#queue.push(waiting);
      this.#dispatch();
    });
  }

  /** Ends every thread at once. What still runs or waits fails with `aborted`. */
  async close(): Promise<void> {
    this.#fail(new Stop("aborted", "The work was interrupted; it can be resumed.", true));
    await this.#starting;
    await Promise.all(
      this.#threads.map(async ({ worker, loaded }) => {
        // Node 22 ends the whole process when a thread is terminated while it awaits a module.
        await Promise.race([loaded, sleep(mostLoadMs, undefined, { ref: false })]);
        await worker.terminate();
      }),
    );
  }

  #dispatch(): void {
    while (this.#queue.length > 0 && !this.#failure) {
      const thread = this.#freeThread();
      if (!thread) return;
      const waiting = this.#queue.shift()!;
      const owned = ownedBy(waiting.task);
      const n = this.#n++;
      thread.running.set(n, waiting);
      const request: CoderRequest = { n, task: waiting.task };
      thread.worker.postMessage(request, owned ? [owned] : []);
    }
  }

  #freeThread(): Thread | null {
    let best: Thread | null = null;
    for (const thread of this.#threads) if (thread.running.size < (best?.running.size ?? tasksPerThread)) best = thread;
    // A thread with nothing to do comes first, then a new one, then a second task for one that works.
    if (best?.running.size === 0 || this.#threads.length >= this.size) return best;
    this.#starting ??= this.#start();
    return best;
  }

  async #start(): Promise<void> {
    try {
      const program = await this.#program;
      if (this.#failure) return;
      const workerData: CoderData = { isBackground: this.#isBackground, dataKey: this.dataKey };
      const worker = new Worker(program, { workerData, execArgv: threadArgs, resourceLimits });
      const loaded = new Promise<void>((resolve) => {
        worker.once("message", () => resolve());
        worker.once("exit", () => resolve());
      });
      const thread: Thread = { worker, loaded, running: new Map() };
      worker.on("message", (message: CoderResponse | typeof threadLoaded) => {
        if (message !== threadLoaded) this.#onResponse(thread, message);
      });
      worker.on("error", (error) => this.#fail(threadFailed((error as Error | undefined)?.message ?? "unknown")));
      worker.on("exit", (code) => this.#fail(threadFailed(`it ended with ${code}`)));
      this.#threads.push(thread);
    } catch (error) {
      this.#fail(threadFailed((error as Error).message));
    } finally {
      this.#starting = null;
    }
    this.#dispatch();
  }

  #onResponse(thread: Thread, response: CoderResponse): void {
    const waiting = thread.running.get(response.n);
    thread.running.delete(response.n);
    this.#dispatch();
    if (response.ok) waiting?.resolve(response.answer as never);
    else waiting?.reject(unpackError(response.error));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const waiting = [...this.#queue.splice(0), ...this.#threads.flatMap((thread) => [...thread.running.values()])];
    for (const thread of this.#threads) thread.running.clear();
    for (const { reject } of waiting) reject(this.#failure);
  }
}

/** `bytes` in an ArrayBuffer of their own, which can be given to a thread. Copies only where they share one. */
export function ownBytes(bytes: Uint8Array): Uint8Array {
  const isOwn = bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength;
  return isOwn ? bytes : new Uint8Array(bytes);
}

function threadFailed(why: string): Stop {
  return new Stop("thread_failed", `A coder thread failed: ${why}.`, true);
}

const threadArgs = ["--disable-warning=ExperimentalWarning"];
/** A thread makes little garbage, and V8 would let it grow to 48 MB before it looks. */
const resourceLimits = { maxYoungGenerationSizeMb: 6 };
let program: Promise<URL> | null = null;

/** In the one-file agent the thread's program is a text inside it (tools/build.ts); else it lies beside this file. */
function threadProgram(): Promise<URL> {
  program ??= import("soneca:coder-thread").then(
    ({ default: text }) => new URL(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`),
    () => new URL("./coder-thread.ts", import.meta.url),
  );
  return program;
}
