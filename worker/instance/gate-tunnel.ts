/**
 * The tunnel of the machine that runs. Opening it takes calls to Cloudflare, so it happens beside everything else: until it is
 * there the machine has no order for a pipe. Its token is kept in memory alone and is asked for again where it is needed.
 */
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { PipeOrder } from "../../core/protocol/wire.ts";
import type { Env } from "../env.ts";
import { tunnelSettings } from "../tunnel/settings.ts";
import { createTunnels } from "../tunnel/tunnels.ts";

export interface TunnelHost {
  instance(): InstanceId;
  /** Epochs that may have a tunnel: written before one is made, and until it is gone. */
  epochs(): readonly number[];
  setEpochs(epochs: number[]): void;
  keep(work: Promise<void>): void;
}

export class GateTunnel {
  readonly #env: Env;
  readonly #host: TunnelHost;
  #open: { epoch: number; gatePort: number; token: string } | null = null;
  #busy = new Set<string>();
  #trouble: string | null = null;
  protocol: "quic" | "http2" = "quic";

  constructor(env: Env, host: TunnelHost) {
    this.#env = env;
    this.#host = host;
  }

  get trouble(): string | null {
    return this.#trouble;
  }

  /** Null until the tunnel is there. */
  order(epoch: number, gatePort: number): PipeOrder | null {
    const open = this.#open;
    if (open?.epoch !== epoch || open.gatePort !== gatePort) {
      this.#begin(epoch, gatePort);
      return null;
    }
    const { CLOUDFLARED_URL: url, CLOUDFLARED_SHA256: sha256 } = this.#env;
    return {
      kind: "tunnel",
      token: open.token,
      protocol: this.protocol,
      binary: url && sha256 ? { url, sha256 } : null,
    };
  }

  /** Tunnels of machines that are gone go too; what does not work now is done at the next change, or by the sweep. */
  settle(isWanted: (epoch: number) => boolean): void {
    for (const epoch of this.#host.epochs()) if (!isWanted(epoch)) this.#end(epoch);
  }

  #begin(epoch: number, gatePort: number): void {
    this.#alone(`open ${epoch}`, async () => {
      const settings = tunnelSettings(this.#env);
      if (!settings) return;
      const epochs = this.#host.epochs();
      if (!epochs.includes(epoch)) this.#host.setEpochs([...epochs, epoch]);
      const opened = await createTunnels(settings).openTunnel({ instance: this.#host.instance(), epoch, gatePort });
      this.#trouble = opened.ok ? null : opened.message;
      if (opened.ok) this.#open = { epoch, gatePort, token: opened.tunnel.token };
    });
  }

  #end(epoch: number): void {
    this.#alone(`close ${epoch}`, async () => {
      const settings = tunnelSettings(this.#env);
      if (!settings) return;
      const closed = await createTunnels(settings).closeTunnel({ instance: this.#host.instance(), epoch });
      if (!closed.ok) return;
      if (this.#open?.epoch === epoch) this.#open = null;
      this.#host.setEpochs(this.#host.epochs().filter((one) => one !== epoch));
    });
  }

  /** Never the same work twice at a time. */
  #alone(name: string, work: () => Promise<void>): void {
    if (this.#busy.has(name)) return;
    this.#busy.add(name);
    const done = work()
      .catch((error: unknown) => {
        this.#trouble = String(error).slice(0, 250);
      })
      .finally(() => this.#busy.delete(name));
    this.#host.keep(done);
  }
}
