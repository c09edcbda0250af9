/**
 * The behaviour of the stand-in without its HTTP: offers, contracts, their boots and their bill.
 *
 *   create -> booting -> running <-> stopped (stop, start, reboot)
 *                 any  -> offline (the host died) -> booting (it came back)
 *                 any  -> destroying -> absent, once no process and no folder is left
 *
 * Every change is on disk before it is answered, so that a SIGKILL loses nothing: machines go on running, and the next
 * start finds them again.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type BilledState, type BillRow, createMeter, endMeter, readMeter, turnMeter } from "./bill.ts";
import { buildCatalog, type CatalogOffer } from "./catalog.ts";
import type { Faults } from "./fault-rules.ts";
import { createMachines, type MachineOptions, type MachineSpec, type Machines } from "./machines.ts";
import type { Network } from "./network.ts";
import { type BootFault, type Contract, loadState, saveState } from "./state.ts";

export interface CloudOptions {
  stateDir: string;
  faults: Faults;
  bootMs: number;
  now: () => number;
  machines: MachineOptions;
  /** Between the machines and this host; null where they talk to it without anything between. */
  network: Network | null;
}

export interface CreateOrder {
  offerId: number;
  image: string;
  diskGb: number;
  label: string | null;
  env: Record<string, string>;
  onstart: string | null;
  runtype: string;
  /** `stopped` is made but does not run: what a failed create may leave behind. `queuedMs` waits for a GPU, 0 for ever. */
  begins?: "running" | "stopped" | { queuedMs: number };
  /** Percent of the offer's price. */
  percent?: number;
}

export interface Cloud {
  machines: Machines;
  network: Network | null;
  /** Offers that nobody rents, or all. */
  offers(options?: { rentedToo: boolean }): CatalogOffer[];
  offerOf(contract: Contract): CatalogOffer;
  findOffer(id: number): CatalogOffer | null;
  /** Contracts that the provider knows, also those not yet listed. */
  contracts(): Contract[];
  find(id: number): Contract | null;
  create(order: CreateOrder): Contract;
  specOf(contract: Contract): MachineSpec;
  setLabel(contract: Contract, label: string | null): void;
  stop(contract: Contract): Promise<void>;
  start(contract: Contract): { queued: boolean };
  reboot(contract: Contract): Promise<void>;
  /** Begins it; the contract is absent when it is done. */
  destroy(contract: Contract): void;
  /** vast.ai stops it: outbid, or out of credit. */
  interrupt(contract: Contract): Promise<void>;
  /** Every process of the machine dies at once; `gone` takes the contract with it. */
  loseHost(contract: Contract, how: "offline" | "gone"): Promise<void>;
  /** The host is there again and boots the machine. */
  returnHost(contract: Contract): void;
  bill(): Promise<BillRow[]>;
  /** Ends timers; with `keepMachines: false` every machine process dies as well, the contracts stay. */
  close(options: { keepMachines: boolean }): Promise<void>;
}

const BOOT_FAULTS = ["boot_never", "boot_gpu_error", "boot_host_error", "boot_image_error", "boot_exited"] as const;

const BILLED: Record<Contract["stage"], BilledState> = {
  booting: "loading",
  running: "running",
  stopped: "stopped",
  interrupted: "stopped",
  queued: "stopped",
  offline: "offline",
  destroying: "stopped",
};

export function createCloud({ stateDir, faults, bootMs, now, machines: kind, network }: CloudOptions): Cloud {
  const state = loadState(stateDir, 40_000_001 + (randomBytes(4).readUInt32BE() % 9_000_000));
  const machines = createMachines(join(stateDir, "machines"), kind);
  const catalog = new Map(buildCatalog().map((offer) => [offer.id, offer]));
  const timers = new Map<number, NodeJS.Timeout>();
  const dying = new Map<number, Promise<void>>();
  const halting = new Map<number, Promise<void>>();
  const closing = new AbortController();
  let closed = false;

  const save = () => saveState(stateDir, state);
  const offerOf = (contract: Contract) => catalog.get(contract.offerId)!;
  const subjectOf = (contract: Contract, on: string) => ({ on, label: contract.label, id: contract.id });
  const after = (contract: Contract, ms: number, act: () => unknown) => {
    clearTimeout(timers.get(contract.id));
    timers.set(
      contract.id,
      setTimeout(() => !closed && void act(), Math.max(0, ms)),
    );
  };
  /** The one place where a stage changes, so that the bill cannot miss it. */
  const enter = (contract: Contract, stage: Contract["stage"], change: Partial<Contract> = {}) => {
    Object.assign(contract, { stage, pending: null, ...change });
    turnMeter(contract.meter, BILLED[stage], now());
    save();
  };

  const specOf = (contract: Contract): MachineSpec => {
    const { gpu, gpuCount, machineId } = offerOf(contract);
    const { id, apiKey, env, onstart, links } = contract;
    return { id, apiKey, env: network ? network.rewrite(env, links) : env, onstart, gpu, gpuCount, machineId };
  };

  const strikeBoot = (contract: Contract): BootFault | null => {
    for (const name of BOOT_FAULTS) {
      const hit = faults.strike(name, subjectOf(contract, "boot"));
      if (hit) return { name, variant: hit.variant };
    }
    return null;
  };

  const finishBoot = async (contract: Contract) => {
    await halting.get(contract.id);
    const isOff = () => closed || !(contract.stage === "booting" || contract.stage === "running");
    if (isOff()) return;
    try {
      if (network) contract.links = await network.link(contract.id, contract.env);
      if (isOff()) return;
      contract.process = machines.start(specOf(contract));
    } catch (error) {
      machines.note(contract.id, (error as Error).message);
      return enter(contract, "booting", { bootFault: { name: "boot_exited", variant: "exited" } });
    }
    enter(contract, "running", { runningAt: now() });
  };

  const beginBoot = (contract: Contract) => {
    const bootFault = strikeBoot(contract);
    const takesMs = bootMs + (faults.strike("boot_slow", subjectOf(contract, "boot"))?.ms ?? 0);
    enter(contract, "booting", { bootAt: now(), bootFault, bootMs: takesMs, dueAt: null, process: null });
    if (!bootFault) after(contract, takesMs, () => finishBoot(contract));
  };

  const halt = async (contract: Contract, stage: "stopped" | "interrupted" | "offline") => {
    clearTimeout(timers.get(contract.id));
    const init = contract.process;
    enter(contract, stage, { dueAt: null, process: null });
    const done = machines.kill(contract.id, init).catch((error) => machines.note(contract.id, error.message));
    halting.set(contract.id, done);
    await done;
    halting.delete(contract.id);
  };

  const remove = async (contract: Contract) => {
    await readTraffic(contract);
    endMeter(contract.meter, now());
    state.bill.push(readMeter(contract, now()));
    state.contracts = state.contracts.filter((one) => one !== contract);
    save();
    await network?.unlink(contract.id);
  };

  const readTraffic = async (contract: Contract) => {
    const traffic = await network?.readTraffic(contract.id);
    if (traffic) Object.assign(contract.meter, traffic);
  };

  const finishDestroy = async (contract: Contract) => {
    await machines.remove(contract.id, contract.process);
    const wait = (contract.dueAt ?? 0) - now();
    if (wait > 0) await sleep(wait, undefined, { signal: closing.signal }).catch(() => {});
    if (now() < (contract.dueAt ?? 0)) return;
    await remove(contract);
  };

  const watchDestroy = (contract: Contract) => {
    const done = finishDestroy(contract)
      .catch((error) => machines.note(contract.id, `destroy: ${error.message}`))
      .finally(() => dying.delete(contract.id));
    dying.set(contract.id, done);
  };

  const beginDestroy = (contract: Contract, lagMs: number) => {
    clearTimeout(timers.get(contract.id));
    enter(contract, "destroying", { dueAt: now() + lagMs });
    watchDestroy(contract);
  };

  /** What was accepted and waits. */
  const wait = (contract: Contract, act: "stop" | "destroy", at: number) => {
    contract.pending = { act, at };
    after(contract, at - now(), () => (act === "stop" ? halt(contract, "stopped") : beginDestroy(contract, 0)));
    save();
  };

  const isEnding = ({ stage, pending }: Contract) => stage === "destroying" || pending?.act === "destroy";

  const cloud: Cloud = {
    machines,
    network,
    specOf,
    offerOf,
    contracts: () => state.contracts,
    find: (id) => state.contracts.find((one) => one.id === id) ?? null,
    findOffer: (id) => (state.contracts.some((one) => one.offerId === id) ? null : (catalog.get(id) ?? null)),

    offers({ rentedToo } = { rentedToo: false }) {
      const taken = new Set(rentedToo ? [] : state.contracts.map((one) => one.offerId));
      return [...catalog.values()].filter(({ id }) => !taken.has(id));
    },

    create({ begins = "running", percent = 100, ...order }) {
      const offer = catalog.get(order.offerId)!;
      const at = now();
      const dphBase = Number(((offer.dphBase * percent) / 100).toFixed(6));
      const contract: Contract = {
        ...order,
        id: state.nextId++,
        apiKey: randomBytes(32).toString("hex"),
        createdAt: at,
        listedAt: at + (faults.strike("list_lag", { on: "create", label: order.label })?.ms ?? 0),
        stage: "stopped",
        bootAt: at,
        bootFault: null,
        bootMs,
        runningAt: null,
        dueAt: null,
        pending: null,
        dphBase,
        links: {},
        process: null,
        meter: createMeter(offer, {
          state: begins === "running" ? "loading" : "stopped",
          dph: dphBase,
          diskGb: order.diskGb,
          at,
        }),
      };
      state.contracts.push(contract);
      machines.prepare(specOf(contract));
      if (begins === "running") beginBoot(contract);
      else if (begins === "stopped") save();
      else queue(contract, begins.queuedMs);
      return contract;
    },

    setLabel(contract, label) {
      contract.label = label;
      save();
    },

    async stop(contract) {
      if (isEnding(contract) || contract.stage === "stopped" || contract.stage === "offline") return;
      const lag = faults.strike("stop_lag", subjectOf(contract, "stop"));
      if (lag && contract.stage === "running") return wait(contract, "stop", now() + lag.ms);
      await halt(contract, "stopped");
    },

    start(contract) {
      if (isEnding(contract)) return { queued: false };
      if (contract.pending?.act === "stop") {
        clearTimeout(timers.get(contract.id));
        enter(contract, contract.stage);
      }
      if (contract.stage !== "stopped" && contract.stage !== "interrupted" && contract.stage !== "queued") {
        return { queued: false };
      }
      const hit = faults.strike("start_queued", subjectOf(contract, "start"));
      if (hit) queue(contract, hit.ms);
      else beginBoot(contract);
      return { queued: hit?.variant === "said" };
    },

    async reboot(contract) {
      if (isEnding(contract) || (contract.stage !== "running" && contract.stage !== "booting")) return;
      await halt(contract, "stopped");
      beginBoot(contract);
    },

    destroy(contract) {
      if (isEnding(contract)) return;
      const lag = faults.strike("destroy_lag", subjectOf(contract, "destroy"));
      if (lag?.variant === "running") return wait(contract, "destroy", now() + lag.ms);
      beginDestroy(contract, lag?.ms ?? 0);
    },

    async interrupt(contract) {
      if (!isEnding(contract)) await halt(contract, "interrupted");
    },

    async loseHost(contract, how) {
      if (isEnding(contract)) return;
      await halt(contract, "offline");
      if (how === "offline") return;
      await machines.remove(contract.id, null);
      await remove(contract);
    },

    returnHost(contract) {
      if (contract.stage === "offline") beginBoot(contract);
    },

    async bill() {
      await Promise.all(state.contracts.map(readTraffic));
      return [...state.bill, ...state.contracts.map((contract) => readMeter(contract, now()))];
    },

    async close({ keepMachines }) {
      closed = true;
      closing.abort();
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.allSettled([...dying.values(), ...halting.values()]);
      if (keepMachines) return;
      await Promise.all(state.contracts.map((contract) => machines.kill(contract.id, contract.process)));
      for (const { meter, stage } of state.contracts) if (stage === "running") turnMeter(meter, "stopped", now());
      save();
    },
  };

  const queue = (contract: Contract, ms: number) => {
    enter(contract, "queued", { dueAt: ms > 0 ? now() + ms : null });
    if (ms > 0) after(contract, ms, () => beginBoot(contract));
  };

  /** After a restart: adopt what lives, run again what should live, finish what was being stopped or destroyed. */
  const resume = () => {
    for (const contract of state.contracts) {
      if (contract.stage === "destroying") {
        watchDestroy(contract);
        continue;
      }
      const { pending } = contract;
      if (contract.stage === "running" && machines.isAlive(contract.process)) {
        if (pending) wait(contract, pending.act, pending.at);
        continue;
      }
      if (pending) {
        void (pending.act === "stop" ? halt(contract, "stopped") : beginDestroy(contract, 0));
        continue;
      }
      // What was started or not yet killed when the stand-in died is not on record: it would run twice.
      const cleared = machines.kill(contract.id, null).catch((error) => machines.note(contract.id, error.message));
      halting.set(contract.id, cleared);
      if (contract.stage === "running") {
        turnMeter(contract.meter, "stopped", now());
        machines.note(contract.id, "the machine was dead while it should run: started again");
        void finishBoot(contract);
      } else if (contract.stage === "booting" && !contract.bootFault) {
        after(contract, contract.bootAt + contract.bootMs - now(), () => finishBoot(contract));
      } else if (contract.stage === "queued" && contract.dueAt !== null) {
        after(contract, contract.dueAt - now(), () => beginBoot(contract));
      }
    }
  };
  resume();
  return cloud;
}
