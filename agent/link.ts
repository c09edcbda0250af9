/**
 * The heartbeat: one report, one answer, one at a time. Whatever is not confirmed is sent again with the next beat, so
 * a lost, late or malformed answer costs a beat and nothing else.
 */
import { randomBytes } from "node:crypto";
import * as z from "zod";
import { version } from "../core/protocol/version.ts";
import type { Command, GateOrder, GateReport, Held, Interval, StatusReport } from "../core/protocol/wire.ts";
import { snapshotRefSchema } from "../core/protocol/wire.ts";
import type { Tokens } from "./identity.ts";
import { describeError, type Logger } from "./log.ts";
import { highestUtilization, type Monitor, type MonotonicInterval } from "./monitor.ts";
import type { Signals } from "./signals/poller.ts";
import type { Updater } from "./update.ts";
import type { Work } from "./work.ts";

/** fenced: a newer machine owns the workspace; this agent must not run again. */
export type LinkEnd = "stopped" | "fenced";

export interface Link {
  /** Beats until stop() or until the worker says that this machine was replaced. */
  run(): Promise<LinkEnd>;
  beatNow(): void;
  /** Ends the loop. With `farewell` one last report goes out, that says what holds no more; at most two seconds. */
  stop(farewell?: boolean): Promise<void>;
}

export interface LinkOptions {
  url: string;
  instance: string;
  workspace: string;
  /** The provider's number of this machine, where it is known. */
  container?: number | null;
  tokens: Tokens;
  monitor: Pick<Monitor, "setPace" | "takeInterval">;
  signals: Pick<Signals, "setPace" | "take">;
  /** Commands that hold the machine now. */
  held: () => Held[];
  work: Pick<Work, "onAnswer" | "report" | "isActive" | "stop">;
  /** The gate of this machine, where it has one. */
  gate?: { report(): GateReport; order(order: GateOrder): void } | null;
  /** Takes new agents, where something starts them. */
  updater?: Pick<Updater, "build" | "report" | "onAnswer"> | null;
  log: Logger;
  fetch?: typeof fetch;
  random?: () => number;
  timeoutMs?: number;
  /** How long between two tries when the token is refused. */
  refusedMs?: number;
  maxBackoffMs?: number;
  /** The same while a command runs or a seal holds. */
  activeBackoffMs?: number;
}

const MIN_BEAT_MS = 200;
const MAX_BEAT_MS = 300_000;
const FIRST_BACKOFF_MS = 500;
const MAX_INTERVALS = 240;
/** 240 intervals of a machine with 16 GPUs; one with more sends fewer, so that a report stays under about 600 KB. */
const MAX_READINGS = 3_840;
const MAX_ANSWER_BYTES = 1024 * 1024;

const commandId = z.string().min(1).max(80);
const seq = z.number().int().min(1);
const hookSchema = z.object({
  run: z.string().max(4_096).nullable(),
  timeoutMs: z.number().positive().max(3_600_000),
  reason: z.enum(["idle", "asked", "wake", "called_off"]),
  mayVeto: z.boolean(),
});
const commandSchema = z.discriminatedUnion("kind", [
  z.object({ id: commandId, kind: z.literal("snapshot"), seq, hook: hookSchema.optional() }),
  z.object({
    id: commandId,
    kind: z.literal("checkpoint"),
    seq,
    since: snapshotRefSchema.shape.digest.nullable(),
    minChangeBytes: z.number().min(0),
  }),
  z.object({
    id: commandId,
    kind: z.literal("seal"),
    proved: snapshotRefSchema,
    seq,
    holdMs: z.number().positive().max(86_400_000),
  }),
  z.object({ id: commandId, kind: z.literal("restore"), snapshot: snapshotRefSchema, hook: hookSchema.optional() }),
  z.object({ id: commandId, kind: z.literal("hook"), hook: hookSchema }),
]);
const knownKinds: readonly string[] = commandSchema.options.map((option) => option.shape.kind.value);

const gateOrderSchema = z.object({
  key: z.string().min(32).max(200),
  pipe: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("direct") }),
    z.object({ kind: z.literal("relay") }),
    z.object({
      kind: z.literal("tunnel"),
      token: z.string().min(1).max(8192),
      protocol: z.enum(["quic", "http2"]),
      binary: z.object({ url: z.url().max(2048), sha256: z.string().regex(/^[0-9a-f]{64}$/) }).nullable(),
    }),
  ]),
});
const answerSchema = z.object({
  ok: z.literal(true),
  status: z.string().max(200),
  nextBeatMs: z.number().positive(),
  gpuUsageThreshold: z.number().positive().max(100),
  commands: z.array(z.looseObject({ id: commandId, kind: z.string().max(80) })).max(64),
  intervalsKept: z.number().int(),
  resultsKept: z.array(z.string()),
  token: z.string().min(1).max(8192).optional(),
  gate: gateOrderSchema.optional(),
  update: z.object({ version: z.string().max(40), build: z.string().regex(/^[0-9a-f]{64}$/) }).optional(),
  updateKept: z.string().max(80).optional(),
});

export type ParsedAnswer = Omit<z.infer<typeof answerSchema>, "commands"> & {
  commands: Command[];
  unknown: { id: string; kind: string }[];
};

/** null: not an answer. A kind that is not known is no error of the answer; a known one with wrong fields is. */
export function parseAnswer(value: unknown): ParsedAnswer | null {
  const answer = answerSchema.safeParse(value);
  if (!answer.success) return null;
  const commands: Command[] = [];
  const unknown: { id: string; kind: string }[] = [];
  for (const one of answer.data.commands) {
    if (!knownKinds.includes(one.kind)) {
      unknown.push({ id: one.id, kind: one.kind });
      continue;
    }
    const command = commandSchema.safeParse(one);
    if (!command.success) return null;
    commands.push(command.data);
  }
  return { ...answer.data, commands, unknown };
}

type BeatOutcome =
  | { kind: "answered"; answer: ParsedAnswer }
  | { kind: "failed"; message: string; retryAfterMs: number | null }
  | { kind: "refused"; code: string; message: string }
  | { kind: "fenced"; message: string };

export function createLink(options: LinkOptions): Link {
  const { url, instance, workspace, container, tokens, monitor, signals, work, log } = options;
  const { timeoutMs = 5_000, refusedMs = 30_000, maxBackoffMs = 15_000, activeBackoffMs = 3_000 } = options;
  const { random = Math.random, updater } = options;
  const doFetch = options.fetch ?? fetch;
  const bootId = randomBytes(9).toString("base64url");
  const startedAt = Date.now();
  const stopping = new AbortController();

  let intervals: MonotonicInterval[] = [];
  let newest: MonotonicInterval | null = null;
  let threshold = 5;
  let lastStatus: string | null = null;
  let failures = 0;
  let wake: (() => void) | null = null;
  let hurry = false;

  const buildReport = (): StatusReport => {
    const interval = monitor.takeInterval();
    if (interval) keep({ ...interval, signals: signals.take() });
    // Both clocks are read together: an interval that waited keeps its distance from `sentAt` when the clock is set.
    const sentAt = Date.now();
    const uptimeMs = performance.now();
    const offsetMs = sentAt - uptimeMs;
    const utilization = newest ? highestUtilization(newest, threshold) : null;
    const update = updater?.report();
    const limit = Math.max(
      1,
      Math.min(MAX_INTERVALS, Math.floor(MAX_READINGS / Math.max(1, newest?.gpus.length ?? 1))),
    );
    return {
      instance_id: instance,
      gpu_util: utilization,
      timestamp: new Date(sentAt).toISOString(),
      status: statusWord(utilization, threshold),
      sentAt,
      uptimeMs,
      agent: {
        ...{ version, bootId, startedAt, workspace },
        ...(container && { container }),
        ...(updater && { build: updater.build }),
      },
      ...(update && { update }),
      intervals: intervals.slice(-limit).map((one) => placeInterval(one, offsetMs)),
      held: options.held(),
      ...(options.gate && { gate: options.gate.report() }),
      ...work.report(),
    };
  };

  const keep = (interval: MonotonicInterval) => {
    newest = interval;
    intervals = [...intervals, interval].slice(-MAX_INTERVALS);
    const utilization = highestUtilization(interval, threshold);
    log.info("interval", {
      gpu_util: utilization,
      status: statusWord(utilization, threshold),
      samples: `${interval.taken}/${interval.expected}`,
      ...(interval.sensorError ? { sensor_error: interval.sensorError } : {}),
    });
  };

  const beat = async (limitMs: number, cancel: AbortSignal | null): Promise<BeatOutcome> => {
    const signals = [AbortSignal.timeout(limitMs), ...(cancel ? [cancel] : [])];
    const report = buildReport();
    try {
      const response = await doFetch(`${url}/api/agent/status`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${tokens.current()}` },
        body: JSON.stringify(report),
        redirect: "error",
        signal: AbortSignal.any(signals),
      });
      return readAnswer(response.status, response.headers.get("retry-after"), await readText(response));
    } catch (error) {
      const timedOut = signals[0]?.aborted === true;
      return {
        kind: "failed",
        message: timedOut ? `no answer within ${limitMs / 1000} s` : describeError(error),
        retryAfterMs: null,
      };
    }
  };

  /** The time until the next beat, or null at the end. */
  const settle = async (outcome: BeatOutcome): Promise<number | null> => {
    switch (outcome.kind) {
      case "answered":
        return accept(outcome.answer);
      case "failed":
        return postpone(outcome);
      case "refused":
        failures++;
        log.error("token_refused", { code: outcome.code, message: outcome.message });
        await work.stop("the control plane refused the token", false);
        return refusedMs;
      case "fenced":
        log.error("epoch_fenced", { message: outcome.message });
        await work.stop("a newer machine owns this workspace", true);
        return null;
    }
  };

  const accept = (answer: ParsedAnswer): number => {
    if (failures > 0) log.info("link_restored", { after_failures: failures });
    failures = 0;
    threshold = answer.gpuUsageThreshold;
    const nextMs = Math.min(MAX_BEAT_MS, Math.max(MIN_BEAT_MS, answer.nextBeatMs));
    monitor.setPace({ intervalMs: nextMs, threshold });
    signals.setPace({ intervalMs: nextMs });
    intervals = intervals.filter((one) => one.n > answer.intervalsKept);
    if (answer.token !== undefined) {
      log.hide(answer.token);
      renew(answer.token);
    }
    if (answer.gate && options.gate) {
      log.hide(answer.gate.key);
      if (answer.gate.pipe.kind === "tunnel") log.hide(answer.gate.pipe.token);
      options.gate.order(answer.gate);
      // The control plane tries the pipe once it knows that it is open.
      hurry = true;
    }
    if (answer.status !== lastStatus) log.info("instance_status", { status: answer.status, next_beat_ms: nextMs });
    lastStatus = answer.status;
    work.onAnswer(answer);
    updater?.onAnswer(answer);
    return nextMs;
  };

  const renew = (token: string) => {
    try {
      log.info(tokens.renew(token) ? "credential_renewed" : "credential_not_taken");
    } catch (error) {
      log.error("credential_not_saved", { error });
    }
  };

  const postpone = ({ message, retryAfterMs }: { message: string; retryAfterMs: number | null }): number => {
    failures++;
    // Each failure of a long outage is one line too many.
    if (failures <= 3 || failures % 20 === 0) log.warn("beat_failed", { failures, message });
    const limit = work.isActive() ? activeBackoffMs : maxBackoffMs;
    if (retryAfterMs !== null) return Math.min(limit, Math.max(MIN_BEAT_MS, retryAfterMs));
    return (
      MIN_BEAT_MS +
      random() * Math.max(0, Math.min(limit, FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 10)) - MIN_BEAT_MS)
    );
  };

  const rest = (ms: number) =>
    new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        wake = null;
        resolve();
      };
      const timer = setTimeout(end, ms);
      wake = end;
      if (stopping.signal.aborted) end();
    });

  return {
    async run() {
      for (;;) {
        hurry = false;
        const waitMs = await settle(await beat(timeoutMs, stopping.signal));
        if (waitMs === null) return "fenced";
        if (stopping.signal.aborted) return "stopped";
        // Only a link that works may be hurried: while it fails, the backoff decides.
        const hurried = hurry && failures === 0;
        await rest(hurried ? MIN_BEAT_MS : waitMs);
        if (stopping.signal.aborted) return "stopped";
      }
    },
    beatNow() {
      hurry = true;
      if (failures === 0 && wake) {
        const end = wake;
        wake = null;
        // What happens in the same turn goes out together.
        setTimeout(end, 20);
      }
    },
    async stop(farewell = false) {
      stopping.abort();
      wake?.();
      if (farewell) await beat(2_000, null);
    },
  };
}

function readAnswer(status: number, retryAfter: string | null, text: string): BeatOutcome {
  const value = parseJson(text);
  if (status >= 200 && status < 300) {
    const answer = parseAnswer(value);
    return answer
      ? { kind: "answered", answer }
      : { kind: "failed", message: `HTTP ${status}, but no valid answer`, retryAfterMs: null };
  }
  const error = errorSchema.safeParse(value);
  const code = error.success ? error.data.error.code : "";
  const message = error.success ? error.data.error.message : `HTTP ${status}`;
  if (status === 401 || status === 403) {
    if (code === "epoch_fenced") return { kind: "fenced", message };
    // Without one of our codes it is somebody else's page, a proxy's for example.
    if (code !== "") return { kind: "refused", code, message };
  }
  const seconds = Number(retryAfter);
  const retryAfterMs = retryAfter !== null && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
  return { kind: "failed", message: code ? `HTTP ${status} ${code}: ${message}` : message, retryAfterMs };
}

const errorSchema = z.object({ error: z.object({ code: z.string().max(80), message: z.string() }) });

async function readText(response: Response): Promise<string> {
  if (!response.body) return "";
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new Error("the answer is too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function placeInterval(interval: MonotonicInterval, offsetMs: number): Interval {
  const { fromMs, toMs, ...rest } = interval;
  return { ...rest, fromAt: Math.round(fromMs + offsetMs), toAt: Math.round(toMs + offsetMs) };
}

function statusWord(utilization: number | null, threshold: number): "active" | "idle" | "unknown" {
  if (utilization === null) return "unknown";
  return utilization >= threshold ? "active" : "idle";
}
