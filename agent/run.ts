/** `soneca-agent run`: the parts put together, from the lock to the last farewell. */
import { agentExit } from "../core/protocol/bootstrap.ts";
import { version } from "../core/protocol/version.ts";
import { createGate } from "./gate/gate.ts";
import { createTraffic } from "./gate/traffic.ts";
import { readHeld, watchHeld } from "./held.ts";
import { createHooks } from "./hooks.ts";
import { type Env, readSettings, type Settings, type Tokens, takeLock } from "./identity.ts";
import { createLink } from "./link.ts";
import { createLogger, describeError, type Logger } from "./log.ts";
import { createMonitor } from "./monitor.ts";
import { type Cloudflared, createCloudflared } from "./pipe/cloudflared.ts";
import { createPipes, directPipe, type OpenPipe, type OpenPipeOf, type Pipes } from "./pipe/pipes.ts";
import { createRelay, type Relay } from "./pipe/relay.ts";
import { createTunnelPipes } from "./pipe/tunnel.ts";
import { createSealer } from "./seal.ts";
import { createSensors } from "./signals/all.ts";
import { countOwnTraffic } from "./signals/own-traffic.ts";
import { createSignals } from "./signals/poller.ts";
import { createUpdater } from "./update.ts";
import { createWork } from "./work.ts";
import type { Engine } from "./work-run.ts";

export const exitCode = { ...agentExit, usage: 2 } as const;

export interface RunOptions {
  env: Env;
  logFile: string | null;
  /** Binds the snapshot engine to this machine. */
  createEngine: (settings: Settings, tokens: Tokens) => Engine;
}

export async function runAgent({ env, logFile, createEngine }: RunOptions): Promise<number> {
  const outcome = readSettings(env);
  if (!outcome.ok) {
    process.stderr.write(`soneca-agent: ${outcome.message}\n`);
    return exitCode.usage;
  }
  const { settings, tokens } = outcome;
  const { home, workspace, instance, epoch } = settings;
  const lock = await takeLock(home);
  if (!lock.ok) {
    process.stderr.write(`soneca-agent: an agent with this home (${home}) runs already, as process ${lock.pid}.\n`);
    return exitCode.alreadyRuns;
  }
  // Files of the workspace are found by path, so the agent itself never stands in it.
  process.chdir("/");
  const log = createLogger({ file: logFile });
  log.hide(tokens.current());
  if (env.CONTAINER_API_KEY) log.hide(env.CONTAINER_API_KEY);
  log.info("agent_started", {
    version,
    pid: process.pid,
    instance,
    epoch,
    workspace,
    home,
    url: settings.url,
  });

  const sealer = createSealer({ root: workspace, home, log, env });
  const monitor = createMonitor({ env, gpuCount: settings.gpuCount });
  const hooks = createHooks({ workspace, home, instance, env, log });
  const engine = createEngine(settings, tokens);
  const work = createWork({ engine, sealer, hooks, epoch, home, log, onChange: () => link.beatNow() });
  const ownTraffic = countOwnTraffic();
  const signals = createSignals({ sensors: createSensors({ workspace, env, traffic: ownTraffic, sealer }) });
  // Who comes in the middle of a sleep is felt at once: it calls the sleep off.
  const traffic = createTraffic(() => {
    if (work.isSleeping()) link.beatNow();
  });
  const isSealed = () => sealer.held() > 0;
  const gate = createGate({ instance, epoch, traffic, isSealed, onNudge: () => link.beatNow(), log });
  const onOpen = () => link.beatNow();
  const cloudflared = createCloudflared({ home, log, env, onChange: onOpen });
  const pipes = await openPipes(gate, openPipeWith({ settings, tokens, cloudflared, onOpen, log }), log);
  const withTraffic = { ...signals, take: () => ({ ...signals.take(), traffic: traffic.take() }) };
  const held = () => readHeld(home);
  const { url, container } = settings;
  const isAtRest = () => !work.isActive() && traffic.open() === 0;
  const updater = createUpdater({ home, url, env, log, isAtRest, onReady: () => void end() });
  const link = createLink({
    ...{ url, instance, workspace, container, tokens, monitor, held, work, log },
    signals: pipes ? withTraffic : signals,
    ...{ gate: pipes, updater },
  });
  const watcher = watchHeld(home, () => link.beatNow());

  const onSignal = (signal: NodeJS.Signals) => {
    log.info("agent_asked_to_end", { signal });
    void end();
  };
  let ending: Promise<void> | null = null;
  const end = () => {
    ending ??= (async () => {
      // Told first, let go second: the worker must not believe in a seal that is no more.
      work.quiet();
      await link.stop(true);
      await work.stop("the agent ends", true);
    })();
    return ending;
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, onSignal);
  process.on("SIGHUP", () => {});
  process.on("uncaughtException", (error) => {
    log.error("agent_broke", { error, stack: error.stack?.slice(0, 4000) });
    // The list of stopped processes stays: the agent that the loop starts next decides about it.
    lock.release();
    process.exit(1);
  });

  // One that an agent before this left running serves a gate that is gone.
  void cloudflared.stop();
  work.start();
  monitor.start();
  signals.start();
  const reason = await link.run();
  await ending;
  updater?.stop();
  monitor.stop();
  signals.stop();
  watcher.close();
  ownTraffic.stop();
  await pipes?.stop();
  await cloudflared.stop();
  await gate.stop();
  await work.stop("the agent ends", true);
  const isUpdated = reason === "stopped" && updater?.isReady() === true;
  log.info("agent_ended", { reason: isUpdated ? "updated" : reason });
  lock.release();
  if (isUpdated) return exitCode.updated;
  return reason === "fenced" ? exitCode.fenced : exitCode.done;
}

interface PipeHands {
  settings: Settings;
  tokens: Tokens;
  cloudflared: Cloudflared;
  /** The control plane tries a pipe once it hears that it is open. */
  onOpen: () => void;
  log: Logger;
}

function openPipeWith({ settings, tokens, cloudflared, onOpen, log }: PipeHands): OpenPipeOf {
  const openTunnel = createTunnelPipes(cloudflared);
  return (order, gatePort) => {
    switch (order.kind) {
      case "direct":
        return directPipe;
      case "relay":
        return relayAsPipe(createRelay({ url: settings.url, token: () => tokens.current(), gatePort, onOpen, log }));
      case "tunnel":
        return openTunnel(order);
    }
  };
}

function relayAsPipe(relay: Relay): OpenPipe {
  relay.start();
  return {
    isOpen: () => relay.state() === "open",
    trouble: () => (relay.state() === "open" ? null : "the relay is not open yet"),
    stop: async () => relay.stop(),
  };
}

/** Null where the gate cannot listen: the machine then has no services that could be reached, and works without. */
async function openPipes(gate: ReturnType<typeof createGate>, open: OpenPipeOf, log: Logger): Promise<Pipes | null> {
  try {
    const gatePort = await gate.start();
    log.info("gate_listens", { port: gatePort });
    return createPipes({ gatePort, admission: gate.admission, open, log });
  } catch (error) {
    log.error("gate_not_started", { message: describeError(error) });
    return null;
  }
}
