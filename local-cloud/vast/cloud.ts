/**
 * The behaviour of the stand-in without its HTTP: offers, contracts, their boots and their bill.
 *
 *   create -> booting -> running <-> stopped (stop, start, reboot)
 *                 any  -> destroying -> absent, once no process and no folder is left
 *
 * Every change is on disk before it is answered, so that a SIGKILL loses nothing: machines go on running, and the next
 * start finds them again.
 */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { buildCatalog, type CatalogOffer } from "./catalog.ts";
import type { Faults } from "./faults.ts";
import { createMachines, type MachineSpec, type Machines } from "./machines.ts";
import type { Row } from "./query.ts";
import {
  type BillRow,
  type BootFault,
  type Contract,
  loadState,
  pauseMeter,
  readMeter,
  saveState,
  startMeter,
} from "./state.ts";
import { diskUsdPerHour, readInstanceRow, readOfferRow, readStatus } from "./wire.ts";

export interface CloudOptions {
  stateDir: string;
  faults: Faults;
  bootMs: number;
  now: () => number;
}

export interface CreateOrder {
  offerId: number;
  image: string;
  diskGb: number;
  label: string | null;
  env: Record<string, string>;
  onstart: string | null;
  runtype: string;
  /** A contract that is made but does not run: what a failed create may leave behind. */
  stopped?: boolean;
}

export interface Cloud {
  machines: Machines;
  offers(diskGb: number): Row[];
  findOffer(id: number): CatalogOffer | null;
  /** Contracts that the provider knows, also those not yet listed. */
  contracts(): Contract[];
  find(id: number): Contract | null;
  create(order: CreateOrder): Contract;
  rows(): Row[];
  rowOf(contract: Contract): Row;
  specOf(contract: Contract): MachineSpec;
  regionOf(contract: Contract): string;
  setLabel(contract: Contract, label: string | null): void;
  stop(contract: Contract): Promise<void>;
  start(contract: Contract): { queued: boolean };
  reboot(contract: Contract): Promise<void>;
  /** Begins it; the contract is absent when it is done. */
  destroy(contract: Contract): void;
  bill(): BillRow[];
  /** Ends timers; with `keepMachines: false` every machine process dies as well, the contracts stay. */
  close(options: { keepMachines: boolean }): Promise<void>;
}

export function createCloud({ stateDir, faults, bootMs, now }: CloudOptions): Cloud {
  const state = loadState(stateDir, 40_000_001 + (randomBytes(4).readUInt32BE() % 9_000_000));
  const machines = createMachines(join(stateDir, "machines"));
  const catalog = new Map(buildCatalog().map((offer) => [offer.id, offer]));
  const timers = new Map<number, NodeJS.Timeout>();
  const dying = new Map<number, Promise<void>>();
  const halting = new Map<number, Promise<void>>();
  const closing = new AbortController();
  let closed = false;

  const save = () => saveState(stateDir, state);
  const offerOf = (contract: Contract) => catalog.get(contract.offerId)!;
  const after = (contract: Contract, ms: number, act: () => unknown) => {
    clearTimeout(timers.get(contract.id));
    timers.set(
      contract.id,
      setTimeout(() => !closed && void act(), Math.max(0, ms)),
    );
  };

  const specOf = (contract: Contract): MachineSpec => {
    const offer = offerOf(contract);
    const { id, apiKey, env, onstart } = contract;
    return { id, apiKey, env, onstart, gpu: offer.gpu, gpuCount: offer.gpuCount, machineId: offer.machineId };
  };

  const strikeBoot = (contract: Contract): BootFault | null => {
    const subject = { label: contract.label, id: contract.id };
    const kinds = {
      boot_never: "never",
      boot_gpu_error: "gpu_error",
      boot_image_error: "image_error",
      boot_exited: "exited",
    } as const;
    for (const [name, kind] of Object.entries(kinds))
      if (faults.strike(name as keyof typeof kinds, subject)) return kind;
    return null;
  };

  const finishBoot = async (contract: Contract) => {
    await halting.get(contract.id);
    if (closed || contract.stage === "destroying" || contract.stage === "stopped") return;
    try {
      contract.process = machines.start(specOf(contract));
    } catch (error) {
      machines.note(contract.id, (error as Error).message);
      Object.assign(contract, { stage: "booting", bootFault: "exited" });
      return save();
    }
    contract.stage = "running";
    contract.runningAt = now();
    startMeter(contract.meter, now());
    save();
  };

  const beginBoot = (contract: Contract) => {
    Object.assign(contract, {
      stage: "booting",
      bootAt: now(),
      bootFault: strikeBoot(contract),
      dueAt: null,
      process: null,
    });
    if (!contract.bootFault) after(contract, bootMs, () => finishBoot(contract));
  };

  const halt = async (contract: Contract, stage: "stopped" | "interrupted") => {
    clearTimeout(timers.get(contract.id));
    const init = contract.process;
    Object.assign(contract, { stage, dueAt: null, process: null });
    pauseMeter(contract.meter, now());
    save();
    const done = machines.kill(contract.id, init).catch((error) => machines.note(contract.id, error.message));
    halting.set(contract.id, done);
    await done;
    halting.delete(contract.id);
  };

  const finishDestroy = async (contract: Contract) => {
    await machines.remove(contract.id, contract.process);
    const wait = (contract.dueAt ?? 0) - now();
    if (wait > 0) await sleep(wait, undefined, { signal: closing.signal }).catch(() => {});
    if (now() < (contract.dueAt ?? 0)) return;
    contract.meter.endedAt = now();
    state.bill.push(readMeter(contract, now()));
    state.contracts = state.contracts.filter((one) => one !== contract);
    save();
  };

  const watchDestroy = (contract: Contract) => {
    const done = finishDestroy(contract)
      .catch((error) => machines.note(contract.id, `destroy: ${error.message}`))
      .finally(() => dying.delete(contract.id));
    dying.set(contract.id, done);
  };

  const cloud: Cloud = {
    machines,
    specOf,
    regionOf: (contract) => offerOf(contract).country,
    contracts: () => state.contracts,
    find: (id) => state.contracts.find((one) => one.id === id) ?? null,
    findOffer: (id) => (state.contracts.some((one) => one.offerId === id) ? null : (catalog.get(id) ?? null)),

    offers(diskGb) {
      const taken = new Set(state.contracts.map((one) => one.offerId));
      return [...catalog.values()]
        .filter(({ id }) => !taken.has(id))
        .map((offer) => readOfferRow(offer, diskGb, now()));
    },

    create({ stopped = false, ...order }) {
      const offer = catalog.get(order.offerId)!;
      const at = now();
      const contract: Contract = {
        ...order,
        id: state.nextId++,
        apiKey: randomBytes(32).toString("hex"),
        createdAt: at,
        listedAt: at + (faults.strike("list_lag", { label: order.label })?.ms ?? 0),
        stage: "stopped",
        bootAt: at,
        bootFault: null,
        runningAt: null,
        dueAt: null,
        process: null,
        meter: {
          startedAt: at,
          endedAt: null,
          gpuMs: 0,
          gpuSince: null,
          gpu: `${offer.gpuCount}x ${offer.gpu.name}`,
          dph: offer.dphBase,
          diskDph: Number(diskUsdPerHour(offer, order.diskGb).toFixed(6)),
        },
      };
      state.contracts.push(contract);
      machines.prepare(specOf(contract));
      if (!stopped) beginBoot(contract);
      save();
      return contract;
    },

    rows() {
      for (const contract of state.contracts) {
        const subject = { label: contract.label, id: contract.id };
        if (contract.stage === "running" && faults.strike("interrupted", subject)) void halt(contract, "interrupted");
      }
      return state.contracts.filter((contract) => contract.listedAt <= now()).map(cloud.rowOf);
    },

    rowOf(contract) {
      const isAlive = machines.isAlive(contract.process);
      const status = readStatus(contract, isAlive, now(), bootMs);
      const subject = { label: contract.label, id: contract.id };
      const flap = faults.strike("flap", subject);
      if (flap) Object.assign(status, { actual_status: flap.variant, status_msg: null });
      if (faults.strike("status_null", subject)) Object.assign(status, { actual_status: null, status_msg: null });
      const gpuUtil = isAlive ? readUtil(machines.readGpuLoad(contract.id)) : null;
      const row = readInstanceRow(contract, offerOf(contract), { status, gpuUtil, now: now() });
      return faults.strike("ports_late", subject) ? { ...row, ports: null } : row;
    },

    setLabel(contract, label) {
      contract.label = label;
      save();
    },

    async stop(contract) {
      if (contract.stage === "destroying" || contract.stage === "stopped") return;
      await halt(contract, "stopped");
    },

    start(contract) {
      if (contract.stage !== "stopped" && contract.stage !== "interrupted" && contract.stage !== "queued") {
        return { queued: false };
      }
      const hit = faults.strike("start_queued", { label: contract.label, id: contract.id });
      if (hit) {
        Object.assign(contract, { stage: "queued", dueAt: hit.ms > 0 ? now() + hit.ms : null });
        if (hit.ms > 0) after(contract, hit.ms, () => beginBoot(contract));
      } else {
        beginBoot(contract);
      }
      save();
      return { queued: hit !== null };
    },

    async reboot(contract) {
      if (contract.stage !== "running" && contract.stage !== "booting") return;
      await halt(contract, "stopped");
      beginBoot(contract);
      save();
    },

    destroy(contract) {
      if (contract.stage === "destroying") return;
      clearTimeout(timers.get(contract.id));
      pauseMeter(contract.meter, now());
      const lag = faults.strike("destroy_lag", { label: contract.label, id: contract.id })?.ms ?? 0;
      Object.assign(contract, { stage: "destroying", dueAt: now() + lag });
      save();
      watchDestroy(contract);
    },

    bill: () => [...state.bill, ...state.contracts.map((contract) => readMeter(contract, now()))],

    async close({ keepMachines }) {
      closed = true;
      closing.abort();
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.allSettled([...dying.values(), ...halting.values()]);
      if (keepMachines) return;
      await Promise.all(state.contracts.map((contract) => machines.kill(contract.id, contract.process)));
      for (const contract of state.contracts) pauseMeter(contract.meter, now());
      save();
    },
  };

  /** After a restart: adopt what lives, run again what should live, finish what was being stopped or destroyed. */
  const resume = () => {
    for (const contract of state.contracts) {
      if (contract.stage === "destroying") {
        watchDestroy(contract);
        continue;
      }
      if (contract.stage === "running" && machines.isAlive(contract.process)) continue;
      // What was started or not yet killed when the stand-in died is not on record: it would run twice.
      const cleared = machines.kill(contract.id, null).catch((error) => machines.note(contract.id, error.message));
      halting.set(contract.id, cleared);
      if (contract.stage === "running") {
        pauseMeter(contract.meter, now());
        machines.note(contract.id, "the machine was dead while it should run: started again");
        void finishBoot(contract);
      } else if (contract.stage === "booting" && !contract.bootFault) {
        after(contract, contract.bootAt + bootMs - now(), () => finishBoot(contract));
      } else if (contract.stage === "queued" && contract.dueAt !== null) {
        after(contract, contract.dueAt - now(), () => beginBoot(contract));
      }
    }
  };
  resume();
  return cloud;
}

/** The highest reading, as the host would sample it; null when any is not a number. */
function readUtil(lines: string[]): number | null {
  const values = lines.map((line) => (line === "busy" ? 97 : line === "idle" ? 0 : Number.parseInt(line, 10)));
  return values.length > 0 && values.every(Number.isFinite) ? Math.max(...values) : null;
}
