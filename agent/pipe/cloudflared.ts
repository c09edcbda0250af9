/**
 * Runs cloudflared, and keeps it running:
 *
 *   stopped --run--> starting --registered--> connected --no connection for a while--> starting, other protocol
 *                       ^                        |
 *                       +---- waiting <--- ended-+         stop: from anywhere
 *
 * It is a child of the agent, so a seal does not stop it (`findFamily`), and it stands in "/". One that an agent before
 * this one left running is no child any more: it is ended before the next begins.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentEnv } from "../../core/protocol/wire.ts";
import type { Env } from "../identity.ts";
import type { Logger } from "../log.ts";
import { type BinaryOffer, type FoundBinary, findCloudflared } from "./binary.ts";
import { createCloudflaredLog } from "./cloudflared-log.ts";
import { endGroup, endLeftGroup, rememberGroup, signalGroup } from "./process-group.ts";

export type Protocol = "quic" | "http2";

type NotFound = Extract<FoundBinary, { ok: false }>;

export interface TunnelOrder {
  token: string;
  /** To begin with: where it does not connect, the other one has its turn. quic when left out. */
  protocol?: Protocol;
  binary?: BinaryOffer | null;
}

export interface CloudflaredState {
  phase: "stopped" | "starting" | "connected" | "waiting";
  protocol: Protocol;
  pid: number | null;
  /** Processes that were started since `run`. */
  starts: number;
  /** The last lines of its log, without secrets. */
  tail: string[];
}

export interface Cloudflared {
  /**
   * Idempotent: the same order goes on, another token or protocol begins anew. It runs then, not yet connected: see
   * `state`. A failure is the answer for a minute, so that an order may be repeated with every beat.
   */
  run(order: TunnelOrder): Promise<{ ok: true } | NotFound>;
  /** Begins anew with the other protocol: for the caller who sees that WebSockets do not pass with this one. */
  switchProtocol(): void;
  /** Resolves when no process of it is left, also none of an agent before this one. Idempotent. */
  stop(): Promise<void>;
  state(): CloudflaredState;
}

export interface CloudflaredOptions {
  home: string;
  log: Logger;
  env: Env;
  /** Replaces the search of binary.ts. */
  findBinary?: (offer: BinaryOffer | null, signal: AbortSignal) => Promise<FoundBinary>;
  /** Without any connection for so long, the other protocol has its turn. */
  patienceMs?: number;
  /** Before a process that ended is started again: full jitter up to base * 2^n. */
  backoffMs?: number;
  maxBackoffMs?: number;
  /** From SIGTERM to SIGKILL. */
  graceMs?: number;
  /** Told when `phase` changes. */
  onChange?: () => void;
}

const failureStandsMs = 60_000;

const other = (protocol: Protocol): Protocol => (protocol === "quic" ? "http2" : "quic");

/** What it must not see: the agent's token, the provider's key, and settings that would go before its arguments. */
function environmentFor(env: Env, home: string): Env {
  const rest = Object.entries(env).filter(
    ([name]) => name !== agentEnv.token && name !== "CONTAINER_API_KEY" && !name.startsWith("TUNNEL_"),
  );
  // Its configuration files are looked for below HOME; those of the user are not meant for this tunnel.
  return { ...Object.fromEntries(rest), HOME: home };
}

export function createCloudflared(options: CloudflaredOptions): Cloudflared {
  const { log, env, patienceMs = 30_000, backoffMs = 1_000, maxBackoffMs = 60_000, graceMs = 5_000 } = options;
  const home = join(options.home, "tunnel");
  const tokenFile = join(home, "token");
  const leftFile = join(home, "cloudflared.json");
  const find = options.findBinary ?? ((offer, signal) => findCloudflared({ home: options.home, env, offer, signal }));
  const output = createCloudflaredLog(() => token ?? "", look);

  let token: string | null = null;
  let program = "";
  let protocol: Protocol = "quic";
  /** What the last order began with. */
  let ordered: Protocol = "quic";
  let phase: CloudflaredState["phase"] = "stopped";
  let child: ChildProcess | null = null;
  let starts = 0;
  let failures = 0;
  let connectedAt: number | null = null;
  let failed: { answer: NotFound; offer: string; at: number } | null = null;
  let search = new AbortController();
  let patience: NodeJS.Timeout | undefined;
  let restart: NodeJS.Timeout | undefined;
  /** One `run` or `stop` at a time. */
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work, work);
    turn = mine;
    return mine;
  };

  const enter = (next: CloudflaredState["phase"]) => {
    if (phase === next) return;
    phase = next;
    clearTimeout(patience);
    if (phase === "starting") patience = setTimeout(giveUp, patienceMs).unref();
    options.onChange?.();
  };

  /** After each line of its log. */
  function look(): void {
    if (!child || (phase !== "starting" && phase !== "connected")) return;
    const isConnected = output.connections() > 0;
    if (isConnected && phase === "starting") {
      connectedAt ??= performance.now();
      log.info("tunnel_connected", { protocol });
    }
    enter(isConnected ? "connected" : "starting");
  }

  const giveUp = () => {
    log.warn("tunnel_not_connected", { protocol, waitedMs: patienceMs, tail: output.tail().slice(-3).join("\n") });
    begin(other(protocol));
  };

  /** Ends the process that runs, and starts one at once when it is gone. */
  const begin = (next: Protocol) => {
    if (next === protocol) return;
    protocol = next;
    clearTimeout(restart);
    if (child) void endGroup(child.pid!, graceMs);
    else start();
  };

  const start = () => {
    if (token === null) return;
    output.begin();
    const wanted = protocol;
    const args = ["tunnel", "--no-autoupdate", "--metrics", "127.0.0.1:0", "--protocol", wanted];
    const started = spawn(program, [...args, "run", "--token-file", tokenFile], {
      cwd: "/",
      env: environmentFor(env, home),
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that all of it can be ended.
      detached: true,
    });
    child = started;
    starts++;
    connectedAt = null;
    for (const stream of [started.stdout!, started.stderr!]) stream.setEncoding("utf8").on("data", output.take);
    if (started.pid !== undefined) rememberGroup(leftFile, started.pid);
    log.info("tunnel_started", { pid: started.pid, protocol });
    phase = "waiting";
    enter("starting");
    let hasEnded = false;
    const onEnd = (how: string) => {
      if (hasEnded || child !== started) return;
      hasEnded = true;
      child = null;
      rmSync(leftFile, { force: true });
      // The rest of its group goes with it.
      if (started.pid !== undefined) signalGroup(started.pid, "SIGKILL");
      if (token === null) return enter("stopped");
      // One that ends soon after it connects is no better than one that does not connect.
      if (connectedAt !== null && performance.now() - connectedAt > maxBackoffMs) failures = 0;
      const isAsked = wanted !== protocol;
      const pauseMs = isAsked ? 0 : Math.random() * Math.min(maxBackoffMs, backoffMs * 2 ** Math.min(failures++, 16));
      if (!isAsked)
        log.warn("tunnel_ended", { how, pauseMs: Math.round(pauseMs), tail: output.tail().slice(-3).join("\n") });
      enter("waiting");
      restart = setTimeout(start, pauseMs).unref();
    };
    started.on("error", (error) => onEnd(error.message));
    started.on("exit", (code, signal) => onEnd(signal ?? `exit ${code}`));
  };

  const stopNow = async () => {
    token = null;
    clearTimeout(restart);
    clearTimeout(patience);
    const { pid } = child ?? {};
    if (pid !== undefined) await endGroup(pid, graceMs);
    else if (await endLeftGroup(leftFile, graceMs)) log.info("tunnel_leftover_ended");
    child = null;
    rmSync(tokenFile, { force: true });
    rmSync(leftFile, { force: true });
    enter("stopped");
  };

  const runNow = async (order: TunnelOrder): Promise<{ ok: true } | NotFound> => {
    const { protocol: wanted = "quic" } = order;
    if (order.token === token) {
      if (wanted !== ordered) begin(wanted);
      ordered = wanted;
      return { ok: true };
    }
    const offer = JSON.stringify(order.binary ?? null);
    if (failed?.offer === offer && performance.now() - failed.at < failureStandsMs) return failed.answer;
    log.hide(order.token);
    search = new AbortController();
    const found = await find(order.binary ?? null, search.signal);
    await stopNow();
    if (!found.ok) {
      if (!search.signal.aborted) failed = { answer: found, offer, at: performance.now() };
      log.warn("tunnel_not_possible", { code: found.code, message: found.message });
      return found;
    }
    mkdirSync(home, { recursive: true, mode: 0o700 });
    writeFileSync(tokenFile, order.token, { mode: 0o600 });
    chmodSync(tokenFile, 0o600);
    token = order.token;
    program = found.path;
    protocol = wanted;
    ordered = wanted;
    starts = 0;
    failures = 0;
    start();
    return { ok: true };
  };

  return {
    run: (order) => inTurn(() => runNow(order)),
    switchProtocol() {
      if (token === null) return;
      log.info("tunnel_protocol_switched", { from: protocol, to: other(protocol) });
      begin(other(protocol));
    },
    stop() {
      // A download must not be waited for.
      search.abort();
      return inTurn(stopNow);
    },
    state: () => ({ phase, protocol, pid: child?.pid ?? null, starts, tail: output.tail() }),
  };
}
