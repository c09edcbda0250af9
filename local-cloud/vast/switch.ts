/**
 * node local-cloud/vast/switch.ts FILE
 *
 * The wire between the machines and this host: for each machine a port of its own for each port of the host that it was
 * told of. Every byte passes here and is counted, and each machine's wire can be slowed, stalled or cut.
 *
 * It is a process of its own, because a provider whose API is dead does not cut off its machines. FILE is what it
 * remembers; it ends when FILE is gone or belongs to another one. Commands come as JSON over HTTP with the token in FILE.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { readStat } from "./machines.ts";

/** stalled: connections stay and carry nothing. down: they are reset, and new ones too. */
export type WireMode = "up" | "stalled" | "down";

export interface Wire {
  mode: WireMode;
  /** In each direction; null for no limit. */
  bytesPerSecond: number | null;
  /** From the machine, and to it. */
  upBytes: number;
  downBytes: number;
  /** Port of the switch by port of the host. */
  ports: Record<string, number>;
}

export interface SwitchFile {
  pid: number;
  startTime: number;
  port: number;
  token: string;
  wires: Record<string, Wire>;
}

export type SwitchCommand =
  | { do: "link"; machine: number; targets: number[] }
  | { do: "unlink"; machine: number }
  | { do: "set"; machine: number; change: Partial<Pick<Wire, "mode" | "bytesPerSecond">> }
  | { do: "read"; machine: number };

const SLICE_MS = 50;

class MachineWire {
  readonly wire: Wire;
  #servers: Server[] = [];
  #sockets = new Set<Socket>();
  #wake = new Set<() => void>();
  #freeAt = { up: 0, down: 0 };

  constructor(wire: Partial<Wire> = {}) {
    this.wire = { mode: "up", bytesPerSecond: null, upBytes: 0, downBytes: 0, ports: {}, ...wire };
  }

  /** The same port as before, where there was one. */
  async link(target: number): Promise<void> {
    if (this.#servers.some((server) => (server.address() as AddressInfo).port === this.wire.ports[target])) return;
    const server = createServer({ allowHalfOpen: true }, (near) => this.#carry(near, target));
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.wire.ports[target] ?? 0, "127.0.0.1", resolve);
    });
    this.#servers.push(server);
    this.wire.ports[target] = (server.address() as AddressInfo).port;
  }

  set(change: Partial<Wire>): void {
    Object.assign(this.wire, change);
    this.#freeAt = { up: 0, down: 0 };
    if (this.wire.mode === "down") for (const socket of this.#sockets) socket.resetAndDestroy();
    for (const wake of this.#wake) wake();
  }

  end(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#sockets) socket.destroy();
    for (const wake of this.#wake) wake();
  }

  #carry(near: Socket, target: number): void {
    if (this.wire.mode === "down") return void near.resetAndDestroy();
    const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
      socket.on("close", () => this.#sockets.delete(socket));
    }
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    void this.#pump(near, far, "up").catch(() => near.destroy());
    void this.#pump(far, near, "down").catch(() => far.destroy());
  }

  async #pump(from: Socket, to: Socket, way: "up" | "down"): Promise<void> {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.length; ) {
        await this.#waitUntilUp(to);
        const slice = chunk.subarray(at, at + this.#sliceBytes());
        await this.#waitForTurn(slice.length, way);
        await this.#waitUntilUp(to);
        if (to.destroyed) return;
        this.wire[way === "up" ? "upBytes" : "downBytes"] += slice.length;
        at += slice.length;
        if (!to.write(slice)) await new Promise((done) => to.once("drain", done).once("close", done));
      }
    }
    await this.#waitUntilUp(to);
    to.end();
  }

  #sliceBytes(): number {
    const pace = this.wire.bytesPerSecond;
    return pace === null ? Number.MAX_SAFE_INTEGER : Math.max(1, Math.ceil((pace * SLICE_MS) / 1000));
  }

  /** All connections of a machine share its pace. */
  async #waitForTurn(bytes: number, way: "up" | "down"): Promise<void> {
    const pace = this.wire.bytesPerSecond;
    if (pace === null) return;
    const now = Date.now();
    this.#freeAt[way] = Math.max(now, this.#freeAt[way]) + (bytes / pace) * 1000;
    await sleep(this.#freeAt[way] - now);
  }

  async #waitUntilUp(to: Socket): Promise<void> {
    while (this.wire.mode === "stalled" && !to.destroyed) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#wake.delete(wake);
          to.off("close", wake);
          resolve();
        };
        this.#wake.add(wake);
        to.once("close", wake);
      });
    }
  }
}

async function runSwitch(file: string): Promise<void> {
  const earlier = readFile(file);
  const machines = new Map<string, MachineWire>();
  for (const [id, wire] of Object.entries(earlier?.wires ?? {})) {
    const machine = new MachineWire(wire);
    machines.set(id, machine);
    // A port that somebody took meanwhile is lost: its machine stays cut off, and the others do not.
    for (const target of Object.keys(wire.ports)) await machine.link(Number(target)).catch(() => undefined);
  }
  const token = randomBytes(24).toString("hex");

  const carryOut = async (command: SwitchCommand): Promise<Wire | null> => {
    const id = String(command.machine);
    const machine = machines.get(id);
    if (command.do === "link") {
      const linked = machine ?? new MachineWire();
      machines.set(id, linked);
      for (const target of command.targets) await linked.link(target);
      return linked.wire;
    }
    if (command.do === "set") machine?.set(command.change);
    if (command.do === "unlink") {
      machine?.end();
      machines.delete(id);
    }
    return machine?.wire ?? null;
  };

  const server = createHttpServer(async (request, response) => {
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(body));
    };
    try {
      if (request.headers.authorization !== `Bearer ${token}`) return answer(403, { error: "not the token" });
      let text = "";
      for await (const chunk of request) text += chunk;
      const wire = await carryOut(JSON.parse(text));
      save();
      answer(200, { wire });
    } catch (error) {
      answer(500, { error: String(error) });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  let saved = "";
  const save = () => {
    const whole: SwitchFile = {
      pid: process.pid,
      startTime: readStat(process.pid)?.startTime ?? 0,
      port: (server.address() as AddressInfo).port,
      token,
      wires: Object.fromEntries([...machines].map(([id, { wire }]) => [id, wire])),
    };
    const text = JSON.stringify(whole);
    if (text === saved) return;
    saved = text;
    writeFileSync(`${file}.new`, text, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };
  save();
  setInterval(() => {
    if (readFile(file)?.pid !== process.pid) process.exit(0);
    save();
  }, 500);
}

function readFile(file: string): SwitchFile | null {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return null;
  }
}

// Without a signal handler of its own it would end with the terminal's Ctrl-C, before the machines have said goodbye.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
await runSwitch(process.argv[2]!);
