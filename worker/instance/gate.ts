/**
 * The gate of the machine that runs, as its object knows it: where it is, which pipe leads to it, whether everything passes. Kept in
 * a row of its own, because nothing of the instance's life depends on it.
 *
 *   reported -> ordered (key, pipe) -> open -> probed -> ready --found shut, a probe that fails, another port--> open
 */
import type { PipeKind } from "../../core/protocol/gate.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { GateOrder, GateReport, PipeOrder } from "../../core/protocol/wire.ts";
import type { Env } from "../env.ts";
import { gateKey, gateToken } from "../proxy/gate-token.ts";
import { pipeKindOf, pipeOf, type WayThere } from "../proxy/pipes.ts";
import { nudge, probePipe } from "../proxy/probe.ts";
import { tunnelSettings } from "../tunnel/settings.ts";
import { GateTunnel } from "./gate-tunnel.ts";

export interface GateRow {
  /** 0: no machine has told of one. */
  epoch: number;
  port: number;
  pipe: PipeKind;
  readyAt: number | null;
  /** Epochs that may have a tunnel. */
  tunnels?: number[];
  /** Since when a tunnel is wanted and none is open. */
  tunnelSince?: number | undefined;
  /** No tunnel could be had for this machine: it has the relay. */
  hasNoTunnel?: true;
}

export interface GateHost {
  instance(): InstanceId;
  load(): GateRow | null;
  save(row: GateRow): void;
  /** Work that nobody waits for. */
  keep(work: Promise<void>): void;
  /** Traffic can pass now. */
  onReady(): void;
}

const probeAgainMs = 1_000;
const tunnelPatienceMs = 90_000;
const none: GateRow = { epoch: 0, port: 0, pipe: "direct", readyAt: null };

export class InstanceGate {
  readonly #env: Env;
  readonly #host: GateHost;
  readonly #tunnel: GateTunnel;
  #row: GateRow | undefined;
  #isOpen = false;
  #trouble: string | null = null;
  #probing: Promise<void> | null = null;
  #probedAt = 0;
  /** The order is to be given again, although the agent follows one of its kind. */
  #again = false;

  constructor(env: Env, host: GateHost) {
    this.#env = env;
    this.#host = host;
    this.#tunnel = new GateTunnel(env, {
      instance: () => host.instance(),
      epochs: () => this.#known().tunnels ?? [],
      setEpochs: (tunnels) => this.#write({ ...this.#known(), tunnels }),
      keep: (work) => host.keep(work),
    });
  }

  /** Null: no machine of this epoch has told of a gate. */
  way(epoch: number): WayThere | null {
    const { epoch: known, pipe, port } = this.#known();
    return known === epoch ? { instance: this.#host.instance(), epoch, pipe, gatePort: port } : null;
  }

  /** The way once everything passes it. */
  openWay(epoch: number): WayThere | null {
    return this.#known().readyAt === null ? null : this.way(epoch);
  }

  trouble(): string | null {
    return this.#trouble ?? this.#tunnel.trouble;
  }

  /** The report of the machine that is meant. A probe follows where one is due. */
  learn(epoch: number, report: GateReport | undefined): void {
    if (!report) return;
    this.#isOpen = report.isOpen && report.keyed;
    const pipe = report.pipe ?? pipeKindOf(this.#env);
    const row = this.#known();
    if (row.epoch !== epoch || row.port !== report.port || row.pipe !== pipe) {
      const { tunnelSince: _, hasNoTunnel: __, ...others } = row;
      const kept = row.epoch === epoch ? row : others;
      this.#write({ ...kept, epoch, port: report.port, pipe, readyAt: null });
      this.#trouble = null;
    }
    if (!this.#isOpen) this.#trouble = report.trouble ?? this.#trouble;
    else this.#probe(epoch);
  }

  /** A request found it shut: no traffic until it was tried again. */
  shut(epoch: number): void {
    const row = this.#known();
    if (row.epoch === epoch && row.readyAt !== null) this.#write({ ...row, readyAt: null });
    if (this.#isOpen) this.#probe(epoch);
  }

  /** Requests broke on it, which may be their own fault: it is tried, and shut for the others only if that fails. */
  async doubt(epoch: number): Promise<void> {
    if (Date.now() - this.#probedAt > probeAgainMs) this.#probe(epoch, true);
    await this.#probing;
  }

  /** Somebody waits for it: it may have come back since it was last tried. */
  tryAgain(epoch: number): void {
    if (Date.now() - this.#probedAt > probeAgainMs) this.#probe(epoch);
  }

  /** Undefined: it is all that it is to be, or cannot be yet. */
  async order(epoch: number, report: GateReport | undefined): Promise<GateOrder | undefined> {
    if (!report) return undefined;
    const kind = this.#wanted(report);
    if (report.keyed && report.pipe === kind && !this.#again) return undefined;
    const pipe: PipeOrder | null = kind === "tunnel" ? this.#tunnel.order(epoch, report.port) : { kind };
    if (!pipe) return undefined;
    this.#again = false;
    return { key: await gateKey(this.#env.AGENT_JWT_SECRET, this.#host.instance(), epoch), pipe };
  }

  /** The agent is to speak now. Nothing depends on it: it would speak a little later by itself. */
  nudge(epoch: number): void {
    const way = this.way(epoch);
    if (!way) return;
    const work = async () => {
      const token = await this.#token(epoch);
      await nudge(pipeOf(this.#env, way), token);
    };
    this.#host.keep(work().catch(() => undefined));
  }

  /** What led to machines that are gone goes too. `isThere`: whether the machine of an epoch is still accounted for. */
  settle(isThere: (epoch: number) => boolean): void {
    const row = this.#known();
    this.#tunnel.settle(isThere);
    if (row.epoch === 0 || isThere(row.epoch)) return;
    if (row.pipe === "relay") {
      const shut = this.#env.RELAY.getByName(this.#host.instance()).shut(row.epoch);
      this.#host.keep(Promise.resolve(shut).catch(() => undefined));
    }
    this.#isOpen = false;
    this.#trouble = null;
    this.#write({ ...none, ...(row.tunnels && { tunnels: row.tunnels }) });
  }

  /** Where no tunnel can be had, or none opens for so long, the relay takes its place for the rest of this machine's life. */
  #wanted(report: GateReport): PipeKind {
    const kind = pipeKindOf(this.#env);
    if (kind !== "tunnel") return kind;
    const row = this.#known();
    if (row.hasNoTunnel || tunnelSettings(this.#env) === null) return "relay";
    const isOpen = report.pipe === "tunnel" && report.isOpen;
    const { tunnelSince } = row;
    if (isOpen && tunnelSince !== undefined) this.#write({ ...row, tunnelSince: undefined });
    else if (!isOpen && tunnelSince === undefined) this.#write({ ...row, tunnelSince: Date.now() });
    else if (!isOpen && Date.now() - tunnelSince! > tunnelPatienceMs) {
      this.#write({ ...row, hasNoTunnel: true });
      return "relay";
    }
    return "tunnel";
  }

  /** `evenReady`: also one that is ready. */
  #probe(epoch: number, evenReady = false): void {
    const way = this.way(epoch);
    if (!way || this.#probing || (this.#known().readyAt !== null && !evenReady)) return;
    this.#probedAt = Date.now();
    const work = async () => {
      const probed = await probePipe(pipeOf(this.#env, way), await this.#token(epoch));
      const row = this.#known();
      if (row.epoch !== epoch || row.port !== way.gatePort || row.pipe !== way.pipe) return;
      const wasReady = row.readyAt !== null;
      // So many requests pass it that there was no room for this one.
      if (wasReady && !probed.ok && probed.isFull) return;
      this.#trouble = probed.ok ? null : `${probed.what}: ${probed.message}`;
      if (wasReady !== probed.ok) this.#write({ ...row, readyAt: probed.ok ? Date.now() : null });
      if (probed.ok) this.#host.onReady();
      else if (way.pipe === "tunnel" && probed.what === "socket") {
        // Some cloudflared lose the upgrade on one of their two protocols.
        this.#tunnel.protocol = this.#tunnel.protocol === "quic" ? "http2" : "quic";
        this.#again = true;
      }
    };
    const done = work()
      .catch((error: unknown) => {
        this.#trouble = String(error).slice(0, 250);
      })
      .finally(() => {
        this.#probing = null;
      });
    this.#probing = done;
    this.#host.keep(done);
  }

  #token(epoch: number): Promise<string> {
    return gateToken(this.#env.AGENT_JWT_SECRET, { instance: this.#host.instance(), epoch, port: null });
  }

  #known(): GateRow {
    this.#row ??= this.#host.load() ?? none;
    return this.#row;
  }

  #write(row: GateRow): void {
    this.#row = row;
    this.#host.save(row);
  }
}
