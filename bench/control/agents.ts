/** Simulated agents: heartbeats as the real one sends them, each at its own moment of the interval. */
import type { Interval, StatusAnswer } from "../../core/protocol/wire.ts";

export interface SimulatedAgent {
  instance: string;
  token: string;
}

/** One GPU that works, and the signals of a workspace in use. */
function interval(n: number, fromAt: number, toAt: number): Interval {
  const busy = 80 + (n % 17);
  return {
    n,
    fromAt,
    toAt,
    expected: 10,
    taken: 10,
    gpus: [
      { index: 0, name: "RTX 4090", max: busy, mean: busy, busyShare: 1, memoryUsedMb: 20_000, memoryTotalMb: 24_564 },
    ],
    sensorError: null,
    signals: {
      cpu: { value: 90 + (n % 7), detail: `python (${4_000 + n})` },
      terminal: { value: 30 + n },
    },
  };
}

export interface BeatResult {
  ms: number;
  /** Null when all went well. */
  error: string | null;
}

/** Beats `beats` times at the pace, from its own offset on; each interval is sent again until it is kept. */
export async function runAgent(
  url: string,
  agent: SimulatedAgent,
  { beats, everyMs, offsetMs, signal }: { beats: number; everyMs: number; offsetMs: number; signal: AbortSignal },
): Promise<BeatResult[]> {
  const results: BeatResult[] = [];
  const bootId = crypto.randomUUID();
  const startedAt = Date.now();
  const first = performance.now() + offsetMs;
  let pending: Interval[] = [];
  for (let n = 0; n < beats; n++) {
    await waitUntil(first + n * everyMs, signal);
    const now = Date.now();
    pending.push(interval(n, now - everyMs, now));
    const began = performance.now();
    const answer = await post(url, agent, { bootId, startedAt, pending }, signal);
    results.push({ ms: performance.now() - began, error: answer.ok ? null : answer.error });
    if (answer.ok) pending = pending.filter((one) => one.n > answer.kept);
  }
  return results;
}

interface Boot {
  bootId: string;
  startedAt: number;
  pending: Interval[];
}

async function post(
  url: string,
  agent: SimulatedAgent,
  { bootId, startedAt, pending }: Boot,
  signal: AbortSignal,
): Promise<{ ok: true; kept: number } | { ok: false; error: string }> {
  const report = {
    instance_id: agent.instance,
    gpu_util: pending.at(-1)?.gpus[0]?.max ?? null,
    sentAt: Date.now(),
    agent: { version: "0.1.0", bootId, startedAt, workspace: "/workspace" },
    intervals: pending,
    results: [],
    seal: null,
    held: [],
  };
  try {
    const response = await fetch(`${url}/api/agent/status`, {
      method: "POST",
      headers: { authorization: `Bearer ${agent.token}`, "content-type": "application/json" },
      body: JSON.stringify(report),
      signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]),
    });
    if (!response.ok) return { ok: false, error: `${response.status} ${(await response.text()).slice(0, 200)}` };
    return { ok: true, kept: ((await response.json()) as StatusAnswer).intervalsKept };
  } catch (error) {
    signal.throwIfAborted();
    return { ok: false, error: String(error) };
  }
}

async function waitUntil(at: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const ms = at - performance.now();
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  signal.throwIfAborted();
}
