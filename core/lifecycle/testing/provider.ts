/** A provider that rents machines, loses answers, lags, refuses and bills. Its own bill is the truth of the tests. */
import type { RentedFacts } from "../types.ts";
import { type FakeAgent, newAgent, rebootAgent } from "./agent.ts";

export interface FakeMachine {
  providerId: number;
  epoch: number;
  label: string;
  createdAt: number;
  /** From then on a list by label shows it. */
  listedAt: number;
  /** When its agent begins to speak; null for a machine that never comes up. */
  bootAt: number | null;
  /** Its agent was heard by a state that knew the machine. */
  heard: boolean;
  microUsdPerHour: number;
  /** Only stopped: its disk is kept. */
  haltedAt: number | null;
  /** A start waits for a GPU until then. */
  queuedUntil: number | null;
  /** Its host is away until then, and starts it when it is back. */
  awayUntil: number | null;
  /** How often it was started, and how long it ran before the present start. */
  boots: number;
  ranMs: number;
  /** Nothing runs on it any more from here on, though it may still be listed and paid. */
  stoppedAt: number | null;
  /** The end of its bill. */
  endedAt: number | null;
  cause: "destroyed" | "vanished" | null;
  agent: FakeAgent;
}

/** What goes wrong, set by a test or by the fuzz. Counters are used up one by one; times hold until then. */
export interface ProviderTrouble {
  rentFails: number;
  rentLost: number;
  /** Nothing fits. */
  noOffer: number;
  rentsNeverBoot: number;
  /** The next machines boot this much later. */
  bootLagMs: number;
  /** What a machine costs that is rented from now on. */
  microUsdPerHour: number;
  listLagMs: number;
  failsUntil: number;
  destroyFails: number;
  /** As many are accepted and not carried out. */
  destroyIgnored: number;
  /** The destroy takes effect and its answer is lost. */
  destroyLost: number;
  destroyLagMs: number;
  /** One false "gone" about a machine that is there. */
  saysGone: number;
  stopFails: number;
  /** An accepted stop takes so long. */
  stopLagMs: number;
  startFails: number;
  /** No GPU is free: it starts, and costs, two minutes later; and whether the answer says so. */
  startQueued: number;
  startQueuedUnsaid: number;
}

export class FakeProvider {
  readonly machines: FakeMachine[] = [];
  readonly trouble: ProviderTrouble = calm();
  /** A destroy that took effect; the invariants look at what was on the machine at that moment. */
  onDestroy: (machine: FakeMachine, now: number) => void = () => {};
  /** A machine that was asked to start, for the first time or again. */
  onStart: (machine: FakeMachine) => void = () => {};
  #nextId = 101;
  bootMs = 20_000;

  calm(): void {
    Object.assign(this.trouble, calm());
  }

  create(epoch: number, label: string, now: number): FakeMachine {
    const neverBoots = takeOne(this.trouble, "rentsNeverBoot");
    const machine: FakeMachine = {
      providerId: this.#nextId++,
      epoch,
      label,
      createdAt: now,
      listedAt: now + this.trouble.listLagMs,
      heard: false,
      bootAt: neverBoots ? null : now + this.bootMs + this.trouble.bootLagMs,
      microUsdPerHour: this.trouble.microUsdPerHour,
      haltedAt: null,
      queuedUntil: null,
      awayUntil: null,
      boots: 1,
      ranMs: 0,
      stoppedAt: null,
      endedAt: null,
      cause: null,
      agent: newAgent(epoch),
    };
    this.machines.push(machine);
    this.onStart(machine);
    return machine;
  }

  byId(providerId: number): FakeMachine | undefined {
    return this.machines.find((one) => one.providerId === providerId);
  }

  byLabel(label: string, now: number): FakeMachine | undefined {
    return this.machines.find((one) => one.label === label && one.listedAt <= now && isListed(one, now));
  }

  listed(now: number): FakeMachine[] {
    return this.machines.filter((one) => one.listedAt <= now && isListed(one, now));
  }

  answers(now: number): boolean {
    return now >= this.trouble.failsUntil;
  }

  /** What is paid at this moment. */
  paid(now: number): FakeMachine[] {
    return this.machines.filter((one) => isListed(one, now));
  }

  destroy(machine: FakeMachine, now: number): "accepted" | "refused" | "lost" {
    if (machine.stoppedAt !== null) return "accepted";
    if (takeOne(this.trouble, "destroyFails")) return "refused";
    if (takeOne(this.trouble, "destroyIgnored")) return "accepted";
    this.onDestroy(machine, now);
    machine.stoppedAt = now;
    machine.endedAt = now + this.trouble.destroyLagMs;
    machine.cause = "destroyed";
    return takeOne(this.trouble, "destroyLost") ? "lost" : "accepted";
  }

  /** Its disk and what is on it stay. */
  halt(machine: FakeMachine, now: number): void {
    if (!isAlive(machine)) return;
    machine.haltedAt = now;
    machine.ranMs += machine.bootAt === null ? 0 : Math.max(0, now - machine.bootAt);
  }

  /** `comesUp`: whoever starts it there sees to it that it does. */
  boot(machine: FakeMachine, now: number, { comesUp = false } = {}): void {
    if (machine.stoppedAt !== null || machine.haltedAt === null) return;
    machine.haltedAt = null;
    machine.queuedUntil = null;
    machine.boots++;
    const isDead = !comesUp && takeOne(this.trouble, "rentsNeverBoot");
    machine.bootAt = isDead ? null : now + 5_000 + this.trouble.bootLagMs;
    rebootAgent(machine.agent);
    this.onStart(machine);
  }

  /** The price of rented machines changes under way. */
  reprice(microUsdPerHour: number): void {
    this.trouble.microUsdPerHour = microUsdPerHour;
    for (const machine of this.machines) machine.microUsdPerHour = microUsdPerHour;
  }

  vanish(machine: FakeMachine, now: number): void {
    if (machine.stoppedAt !== null) return;
    machine.stoppedAt = now;
    machine.endedAt = now;
    machine.cause = "vanished";
  }
}

export function factsOf(machine: FakeMachine): RentedFacts {
  return {
    providerId: machine.providerId,
    machineId: 7000 + machine.providerId,
    gpuType: "RTX 4090",
    gpuCount: 1,
    region: "BR",
    microUsdPerHour: machine.microUsdPerHour,
    upMicroUsdPerGb: 10_000,
    downMicroUsdPerGb: 10_000,
    sshHost: "ssh.example.com",
    sshPort: 22,
  };
}

export function isListed(machine: FakeMachine, now: number): boolean {
  return machine.endedAt === null || now < machine.endedAt;
}

export function isAlive(machine: FakeMachine): boolean {
  return machine.stoppedAt === null && machine.haltedAt === null;
}

/** How long its GPU was paid. */
export function ranMs(machine: FakeMachine, now: number): number {
  if (machine.haltedAt !== null || machine.bootAt === null) return machine.ranMs;
  return machine.ranMs + Math.max(0, (machine.endedAt ?? now) - machine.bootAt);
}

export function takeOne<K extends string>(counters: Record<K, number>, name: K): boolean {
  if (counters[name] <= 0) return false;
  counters[name] -= 1;
  return true;
}

function calm(): ProviderTrouble {
  return {
    rentFails: 0,
    rentLost: 0,
    noOffer: 0,
    rentsNeverBoot: 0,
    bootLagMs: 0,
    microUsdPerHour: 400_000,
    listLagMs: 0,
    failsUntil: 0,
    destroyFails: 0,
    destroyIgnored: 0,
    destroyLost: 0,
    destroyLagMs: 0,
    saysGone: 0,
    stopFails: 0,
    stopLagMs: 0,
    startFails: 0,
    startQueued: 0,
    startQueuedUnsaid: 0,
  };
}
