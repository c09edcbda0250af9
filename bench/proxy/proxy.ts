/**
 * `npm run bench -- proxy`: one service on this host, called by the same client directly ("alone"), through a worker that
 * only fetches ("bare worker"), and through the proxy over each pipe. In every round each measure is taken of all ways, one after another and in turn another one first.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PipeKind } from "../../core/protocol/gate.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import { describeMachine, gitCommit, type Machine } from "../machine.ts";
import { rotated } from "../statistics.ts";
import { createWay, type EventTimes, measureDown, measureUp, timeAnswers, timeEvents, type Way } from "./client.ts";
import { type ServingCloud, startServingCloud } from "./cloud.ts";

export interface ProxyOptions {
  rounds: number;
  /** Of each service, in each round. */
  requests: number;
  megabytes: number;
  pipes: readonly PipeKind[];
}

export interface Sample {
  measure: string;
  way: string;
  round: number;
  /** ms; of `down` and `up` MB/s. */
  values: number[];
}

export interface ProxyResults {
  startedAt: string;
  commit: string;
  machine: Machine;
  options: ProxyOptions;
  samples: Sample[];
}

export const alone = "alone";
/** What the service itself takes, ms. */
export const serviceMs = [0, 20, 100] as const;
export const callers = [1, 8] as const;
export const answerName = (ms: number, parallel: number) => `answer after ${ms} ms, ${parallel} at a time`;
/** A small model on a GPU: its first word, and 50 words a second from then on. */
export const stream = { serviceMs: 100, count: 12, gapMs: 20 };
const streamsPerRound = 5;
/** Bytes per second of a line of 1 Gbit/s. */
export const lineBytes = 125e6;

type Take = (way: Way, options: ProxyOptions) => Promise<Record<string, number[]>>;

/** Everything that one look at a way measures, by what it takes. */
const takes: Take[] = [
  ...serviceMs.flatMap((ms) =>
    callers.map(
      (parallel): Take =>
        async (way, { requests }) => ({
          [answerName(ms, parallel)]: await timeAnswers(way, { serviceMs: ms, count: requests, parallel }),
        }),
    ),
  ),
  async (way) => {
    const streams: EventTimes[] = [];
    for (let i = 0; i < streamsPerRound; i++) streams.push(await timeEvents(way, stream));
    return { "first event": streams.map((one) => one.firstMs), "between events": streams.flatMap((one) => one.gapsMs) };
  },
  async (way, { megabytes }) => ({ down: [(await measureDown(way, megabytes * 1e6, 0)) / 1e6] }),
  async (way, { megabytes }) => ({ up: [(await measureUp(way, megabytes * 1e6, 0)) / 1e6] }),
  async (way, { megabytes }) => ({ "down the line": [(await measureDown(way, megabytes * 1e6, lineBytes)) / 1e6] }),
  async (way, { megabytes }) => ({ "up the line": [(await measureUp(way, megabytes * 1e6, lineBytes)) / 1e6] }),
];

export async function runProxy(
  repository: string,
  options: ProxyOptions,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<ProxyResults> {
  const startedAt = new Date().toISOString();
  const dir = mkdtempSync(join(tmpdir(), "soneca-bench-"));
  const port = await freePort();
  const clouds: ServingCloud[] = [];
  const service = await startService(port);
  try {
    for (const pipe of options.pipes) {
      say(`a local cloud over ${pipe}`);
      clouds.push(await startServingCloud(dir, { pipe, port, signal }));
    }
    const ways = [
      createWay(alone, `http://127.0.0.1:${port}/`),
      ...clouds.slice(0, 1).map((cloud) => cloud.bare),
      ...clouds.map(({ way }) => way),
    ];
    for (const way of ways) await warmUp(way);
    const samples: Sample[] = [];
    for (let round = 0; round < options.rounds; round++) {
      say(`round ${round + 1} of ${options.rounds}`);
      for (const take of takes) {
        for (const way of rotated(ways, round)) {
          signal.throwIfAborted();
          for (const [measure, values] of Object.entries(await take(way, options)))
            samples.push({ measure, way: way.name, round, values });
        }
      }
    }
    return { startedAt, commit: gitCommit(repository), machine: describeMachine(dir), options, samples };
  } finally {
    await Promise.all(clouds.map((cloud) => cloud.stop()));
    service.kill();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Programs compile what they run often, and connections are made. */
async function warmUp(way: Way): Promise<void> {
  await timeAnswers(way, { serviceMs: 0, count: 300, parallel: 8 });
  await measureDown(way, 20e6, 0);
  await measureUp(way, 20e6, 0);
}

async function startService(port: number): Promise<ChildProcess> {
  const program = join(import.meta.dirname, "service.ts");
  const args = ["--disable-warning=ExperimentalWarning", program, String(port)];
  const service = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(service, "exit").then(() => {
    throw new Error("the service did not start");
  });
  await Promise.race([once(service.stdout!, "data"), ended]);
  ended.catch(() => undefined);
  return service;
}
