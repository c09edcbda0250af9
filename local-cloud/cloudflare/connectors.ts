/** The connectors of all tunnels: who is connected, and a connection to the service behind one. */
import { randomUUID } from "node:crypto";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { type FromConnector, onLines, readFirstLine, writeLine } from "./lines.ts";
import { findByToken, type State, type Tunnel } from "./state.ts";

export type Opened = { ok: true; socket: Socket } | { ok: false; status: number };

export interface Connectors {
  port: number;
  /** How many of the tunnel are connected. */
  count(tunnelId: string): number;
  /** A connection to the service for this hostname. status 530: no connector; else what the connector says. */
  open(tunnelId: string, hostname: string): Promise<Opened>;
  configure(tunnel: Tunnel): void;
  /** Ends every connection of the tunnel; its connectors may come again while it exists. */
  end(tunnelId: string): void;
  close(): Promise<void>;
}

const OPEN_MS = 10_000;

export async function startConnectors(state: State, port: number): Promise<Connectors> {
  const controls = new Map<string, Set<Socket>>();
  const carried = new Map<string, Set<Socket>>();
  const waiting = new Map<string, (opened: Opened) => void>();
  const sockets = new Set<Socket>();
  const setOf = (map: Map<string, Set<Socket>>, id: string) => map.get(id) ?? map.set(id, new Set()).get(id)!;
  const settle = (id: string, opened: Opened): boolean => {
    const take = waiting.get(id);
    waiting.delete(id);
    take?.(opened);
    return take !== undefined;
  };

  const register = (socket: Socket, token: string) => {
    const tunnel = findByToken(state, token);
    if (!tunnel) {
      writeLine(socket, { kind: "refused", message: "Unauthorized: Tunnel not found" });
      socket.end();
      return;
    }
    const set = setOf(controls, tunnel.id).add(socket);
    socket.on("close", () => set.delete(socket));
    writeLine(socket, { kind: "registered", connection: randomUUID(), ingress: tunnel.ingress ?? [] });
    onLines<FromConnector>(socket, (line) => {
      if (line.kind === "failed") settle(line.id, { ok: false, status: line.status });
    });
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, async (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    const line = await readFirstLine<FromConnector>(socket);
    if (line?.kind === "register") {
      socket.on("end", () => socket.end());
      register(socket, line.token);
    } else if (line?.kind !== "carry" || !settle(line.id, { ok: true, socket })) socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });

  return {
    port: (server.address() as AddressInfo).port,
    count: (id) => controls.get(id)?.size ?? 0,
    async open(tunnelId, hostname) {
      const [control] = controls.get(tunnelId) ?? [];
      if (!control) return { ok: false, status: 530 };
      const id = randomUUID();
      const opened = await new Promise<Opened>((resolve) => {
        const limit = setTimeout(() => settle(id, { ok: false, status: 502 }), OPEN_MS);
        const onClose = () => settle(id, { ok: false, status: 502 });
        control.once("close", onClose);
        waiting.set(id, (answer) => {
          clearTimeout(limit);
          control.off("close", onClose);
          resolve(answer);
        });
        writeLine(control, { kind: "open", id, hostname });
      });
      if (opened.ok) {
        const set = setOf(carried, tunnelId).add(opened.socket);
        opened.socket.on("close", () => set.delete(opened.socket));
      }
      return opened;
    },
    configure({ id, ingress }) {
      for (const socket of controls.get(id) ?? []) writeLine(socket, { kind: "configure", ingress: ingress ?? [] });
    },
    end(tunnelId) {
      for (const map of [controls, carried]) for (const socket of map.get(tunnelId) ?? []) socket.destroy();
    },
    async close() {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
