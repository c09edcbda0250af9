/** The v1 API of vast.ai in memory, behind `fetch`: machines, offers, and whatever a test wants to go wrong. */
import { vi } from "vitest";

export interface VastMachine {
  id: number;
  label: string | null;
  env: Record<string, string>;
  status: string;
  message: string | null;
  gpuName: string;
  usdPerHour: number;
  region: string;
  gpuRam: number;
  machineId?: number;
  /** Of traffic, both ways; not told without. */
  usdPerGb?: number | undefined;
  /** Whether its row shows the environment. */
  showsEnv: boolean;
  /** Whose it is: only keys of this account see it. */
  account: string;
}

/** The deployment's own, as bindings of the tests have it. */
export const deploymentKey = "vast-key-for-tests";

export type Operation = "search" | "create" | "list" | "label" | "destroy";
/** Plays instead of the next call of a kind; null lets the call through. */
export type Fault = (id: number | null, body: Record<string, unknown>) => Response | null | Promise<Response | null>;

export const vastErrors = {
  down: () => Response.json({ success: false, msg: "bad gateway" }, { status: 502 }),
  /** A revoked key is answered with 404. */
  auth: () => Response.json({ success: false, error: "auth_error", msg: "Invalid user key" }, { status: 404 }),
  refused: () => Response.json({ success: false, error: "invalid_args", msg: "image not allowed" }, { status: 400 }),
  offerGone: () => Response.json({ success: false, error: "no_such_ask", msg: "not available" }, { status: 410 }),
  lost: () => Promise.reject(new TypeError("connection lost")),
};

/** Of all tests of a file: instances of earlier ones still ask, and must not mean a machine of the present one. */
let nextId = 500;

export class FakeVast {
  readonly machines = new Map<number, VastMachine>();
  readonly calls: { operation: Operation; id: number | null }[] = [];
  offers = [offer(7001, 0.4), offer(7002, 0.5)];
  /** Faults that hold until they are taken away. */
  always: Partial<Record<Operation, Fault>> = {};
  /** What a machine costs beside its offer. */
  markup = 1;
  /** Whose each key is; one that is not here is refused. */
  readonly keys = new Map([[deploymentKey, "deployment"]]);
  #once: { operation: Operation; fault: Fault }[] = [];

  once(operation: Operation, fault: Fault): void {
    this.#once.push({ operation, fault });
  }

  count(operation: Operation): number {
    return this.calls.filter((call) => call.operation === operation).length;
  }

  withLabel(label: string): VastMachine[] {
    return [...this.machines.values()].filter((machine) => machine.label === label);
  }

  ofInstance(instance: string): VastMachine[] {
    return [...this.machines.values()].filter((machine) => machine.label?.startsWith(`soneca:${instance}:`));
  }

  add(label: string | null, change: Partial<VastMachine> = {}): VastMachine {
    const machine = {
      id: nextId++,
      label,
      env: {},
      status: "running",
      message: null,
      gpuName: "RTX 4090",
      usdPerHour: 0.41,
      region: "Brazil, BR",
      gpuRam: 24564,
      showsEnv: false,
      account: "deployment",
      ...change,
    };
    this.machines.set(machine.id, machine);
    return machine;
  }

  /** The stand-in takes the place of every outbound call of the worker. */
  install(): void {
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => this.#answer(String(input), init));
  }

  async #answer(href: string, init: RequestInit | undefined): Promise<Response> {
    const url = new URL(href);
    if (url.host !== "vast.test") throw new Error(`the worker called ${url.host}`);
    const headers = new Headers(init?.headers);
    const account = this.keys.get((headers.get("authorization") ?? "").replace("Bearer ", ""));
    if (account === undefined) return vastErrors.auth();
    const id = Number(/\/(?:instances|asks)\/(\d+)\//.exec(url.pathname)?.[1] ?? Number.NaN);
    const operation = operationOf(init?.method ?? "GET", url.pathname);
    const body = typeof init?.body === "string" ? JSON.parse(init.body) : {};
    const target = Number.isNaN(id) ? null : id;
    this.calls.push({ operation, id: target });
    const index = this.#once.findIndex((one) => one.operation === operation);
    const fault = index >= 0 ? this.#once.splice(index, 1)[0]!.fault : this.always[operation];
    const faulty = await fault?.(target, body);
    return faulty ?? this.effect(operation, target, body, account);
  }

  effect(operation: Operation, id: number | null, body: Record<string, unknown>, account = "deployment"): Response {
    const its = id === null ? undefined : this.machines.get(id);
    const isSeen = its?.account === account;
    switch (operation) {
      case "search":
        return Response.json({ offers: this.offers });
      case "create": {
        const env = body.env as Record<string, string>;
        const {
          gpu_name: gpuName,
          dph_total,
          geolocation,
          gpu_ram,
          machine_id,
          inet_up_cost: usdPerGb,
        } = this.offers.find((one) => one.id === id) ?? this.offers[0]!;
        const machine = this.add(body.label as string, {
          env,
          status: "loading",
          gpuName,
          usdPerHour: dph_total * this.markup,
          region: geolocation,
          gpuRam: gpu_ram,
          machineId: machine_id,
          usdPerGb,
          showsEnv: true,
          account,
        });
        return Response.json({ success: true, new_contract: machine.id });
      }
      case "list": {
        const instances = [...this.machines.values()].filter((one) => one.account === account).map(row);
        return Response.json({ success: true, total_instances: instances.length, next_token: null, instances });
      }
      case "label": {
        if (!its || !isSeen) return notThere();
        if (body.state === undefined) its.label = body.label as string;
        else its.status = body.state as string;
        return Response.json({ success: true });
      }
      case "destroy":
        return isSeen && this.machines.delete(id!) ? Response.json({ success: true }) : notThere();
    }
  }
}

function notThere(): Response {
  return Response.json({ success: false, error: "no_such_instance", msg: "no such instance" }, { status: 404 });
}

function operationOf(method: string, path: string): Operation {
  if (path.startsWith("/api/v0/bundles")) return "search";
  if (path.startsWith("/api/v0/asks/")) return "create";
  if (method === "GET") return "list";
  return method === "DELETE" ? "destroy" : "label";
}

export function offer(id: number, usdPerHour: number, change: object = {}) {
  return {
    id,
    machine_id: id + 10_000,
    host_id: 77,
    num_gpus: 1,
    gpu_name: "RTX 4090",
    gpu_ram: 24564,
    disk_space: 812.4,
    dph_base: usdPerHour,
    dph_total: usdPerHour,
    storage_cost: 0,
    reliability2: 0.991,
    rentable: true,
    rented: false,
    verification: "verified",
    is_bid: false,
    geolocation: "Brazil, BR",
    inet_up_cost: undefined as number | undefined,
    inet_down_cost: undefined as number | undefined,
    ...change,
  };
}

function row(machine: VastMachine) {
  return {
    id: machine.id,
    label: machine.label,
    actual_status: machine.status,
    intended_status: "running",
    cur_state: machine.status === "running" ? "running" : "unloaded",
    status_msg: machine.message,
    machine_id: machine.machineId ?? machine.id + 20_000,
    gpu_name: machine.gpuName,
    num_gpus: 1,
    gpu_ram: machine.gpuRam,
    extra_env: machine.showsEnv ? Object.entries(machine.env) : [],
    dph_total: machine.usdPerHour,
    inet_up_cost: machine.usdPerGb,
    inet_down_cost: machine.usdPerGb,
    disk_space: 50,
    image_uuid: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
    geolocation: machine.region,
    uptime_mins: machine.status === "running" ? 0.05 : null,
    ssh_host: "ssh5.vast.ai",
    ssh_port: 10122,
    start_date: Date.now() / 1000 - 60,
  };
}
