/**
 * The gate of the machine that runs, as its object knows it: where it is, whether everything passes the pipe to it. Kept in a row
 * of its own, because nothing of the instance's life depends on it.
 *
 *   reported -> ordered (key, pipe) -> open -> probed -> ready --a request found it shut, another port--> open
 */
import type { PipeKind } from "../../core/protocol/gate.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { GateOrder, GateReport } from "../../core/protocol/wire.ts";
import type { Env } from "../env.ts";
import { gateKey, gateToken } from "../proxy/gate-token.ts";
import { pipeKindOf, pipeOf, type WayThere } from "../proxy/pipes.ts";
import { nudge, probePipe } from "../proxy/probe.ts";

export interface GateRow {
  epoch: number;
  port: number;
  pipe: PipeKind;
  readyAt: number | null;
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

export class InstanceGate {
  readonly #env: Env;
  readonly #host: GateHost;
  #row: GateRow | null | undefined;
  #isOpen = false;
  #trouble: string | null = null;
  #probing = false;

  constructor(env: Env, host: GateHost) {
    this.#env = env;
    this.#host = host;
  }

  /** Null: no machine of this epoch has told of a gate. */
  way(epoch: number): WayThere | null {
    const row = this.#known();
    if (!row || row.epoch !== epoch) return null;
    return { instance: this.#host.instance(), epoch, pipe: row.pipe, gatePort: row.port };
  }

  /** The way once everything passes it. */
  openWay(epoch: number): WayThere | null {
    return this.#known()?.readyAt == null ? null : this.way(epoch);
  }

  trouble(): string | null {
    return this.#trouble;
  }

  /** The report of the machine that is meant. A probe follows where one is due. */
  learn(epoch: number, report: GateReport | undefined): void {
    if (!report) return;
    this.#isOpen = report.isOpen && report.keyed;
    const pipe = report.pipe ?? pipeKindOf(this.#env);
    const row = this.#known();
    if (!row || row.epoch !== epoch || row.port !== report.port || row.pipe !== pipe) {
      this.#write({ epoch, port: report.port, pipe, readyAt: null });
      this.#trouble = null;
    }
    if (!this.#isOpen) this.#trouble = report.trouble ?? this.#trouble;
    else this.#probe(epoch);
  }

  /** A request found it shut: no traffic until it was tried again, which a report brings. */
  doubt(epoch: number): void {
    const row = this.#known();
    if (row?.epoch === epoch && row.readyAt !== null) this.#write({ ...row, readyAt: null });
    if (this.#isOpen) this.#probe(epoch);
  }

  /** Undefined: it is all that it is to be. */
  async order(epoch: number, report: GateReport | undefined): Promise<GateOrder | undefined> {
    const kind = pipeKindOf(this.#env);
    if (!report || (report.keyed && report.pipe === kind)) return undefined;
    const key = await gateKey(this.#env.AGENT_JWT_SECRET, this.#host.instance(), epoch);
    return { key, pipe: { kind: kind === "tunnel" ? "relay" : kind } };
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

  #probe(epoch: number): void {
    const way = this.way(epoch);
    if (!way || this.#probing || this.#known()?.readyAt != null) return;
    this.#probing = true;
    const work = async () => {
      const probed = await probePipe(pipeOf(this.#env, way), await this.#token(epoch));
      const row = this.#known();
      if (row?.epoch !== epoch || row.port !== way.gatePort) return;
      this.#trouble = probed.ok ? null : `${probed.what}: ${probed.message}`;
      if (!probed.ok) return;
      this.#write({ ...row, readyAt: Date.now() });
      this.#host.onReady();
    };
    this.#host.keep(
      work()
        .catch((error: unknown) => {
          this.#trouble = String(error).slice(0, 250);
        })
        .finally(() => {
          this.#probing = false;
        }),
    );
  }

  #token(epoch: number): Promise<string> {
    return gateToken(this.#env.AGENT_JWT_SECRET, { instance: this.#host.instance(), epoch, port: null });
  }

  #known(): GateRow | null {
    if (this.#row === undefined) this.#row = this.#host.load();
    return this.#row;
  }

  #write(row: GateRow): void {
    this.#row = row;
    this.#host.save(row);
  }
}
