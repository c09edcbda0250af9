/** The calls to the provider and the store that effects ask for, and the event that each one ends in. */
import { wantsRental } from "../attempts.ts";
import type { LifecycleEvent, WorldEffect } from "../events.ts";
import type { State } from "../types.ts";
import { runAgent } from "./agent.ts";
import type { Clock } from "./clock.ts";
import { type FakeProvider, factsOf, isAlive, takeOne } from "./provider.ts";
import { collectIn, copyIn, type FakeStore, proveIn, salvageIn } from "./store.ts";
import type { Story } from "./story.ts";

interface CallsWorld {
  readonly clock: Clock;
  readonly story: Story;
  readonly provider: FakeProvider;
  readonly store: FakeStore;
  readonly state: State;
}

export class Calls {
  /** On what the last destroy was based. */
  basis = "";
  /** Epochs that were said to be gone, falsely, or that stood still unseen. */
  readonly lies = new Set<number>();
  readonly #world: CallsWorld;
  readonly #clock: Clock;
  readonly #story: Story;
  readonly #provider: FakeProvider;
  readonly #store: FakeStore;

  constructor(world: CallsWorld) {
    this.#world = world;
    this.#clock = world.clock;
    this.#story = world.story;
    this.#provider = world.provider;
    this.#store = world.store;
  }

  get #now(): number {
    return this.#clock.now;
  }

  outcomeOf(effect: WorldEffect, wasCutOff: boolean): LifecycleEvent | null {
    switch (effect.kind) {
      case "rent":
        return this.#rent(effect, wasCutOff);
      case "look":
        return this.look(effect);
      case "end":
        return this.#end(effect);
      case "stop":
        return this.#stop(effect);
      case "start":
        return this.#start(effect);
      case "prove":
        return proveIn(this.#store, effect, this.#now);
      case "salvage":
        return salvageIn(this.#store, effect.damaged, this.#now);
      case "copy":
        return copyIn(this.#store, effect.to, this.#now);
      case "collect":
        return collectIn(this.#store, this.#world.state, this.#now);
    }
  }

  #rent({ epoch, label, avoid }: Extract<WorldEffect, { kind: "rent" }>, wasCutOff: boolean): LifecycleEvent | null {
    if (!wantsRental(this.#world.state, epoch) && !wasCutOff) return null;
    if (!this.#provider.answers(this.#now)) return { type: "rentUnknown", epoch };
    const found = this.#provider.byLabel(label, this.#now);
    if (found) return { type: "rented", epoch, facts: factsOf(found) };
    if (wasCutOff) return { type: "rentUnknown", epoch };
    if (takeOne(this.#provider.trouble, "noOffer")) {
      return { type: "rentFailed", epoch, code: "no_offer", message: "none", tryNext: false, machineId: null };
    }
    if (takeOne(this.#provider.trouble, "rentFails")) {
      return { type: "rentFailed", epoch, code: "offer_gone", message: "taken", tryNext: true, machineId: 9 };
    }
    const machine = this.#provider.create(epoch, label, this.#now);
    if (avoid.includes(factsOf(machine).machineId ?? 0)) this.#story.check("a host is rented that is avoided");
    if (takeOne(this.#provider.trouble, "rentLost")) return { type: "rentUnknown", epoch };
    return { type: "rented", epoch, facts: factsOf(machine) };
  }

  look({ epoch, label, providerId }: { epoch: number; label: string; providerId: number | null }): LifecycleEvent {
    if (!this.#provider.answers(this.#now)) return { type: "lookFailed", epoch, message: "no answer" };
    const listed = this.#provider.listed(this.#now);
    const machine = listed.find((one) => (providerId === null ? one.label === label : one.providerId === providerId));
    if (machine && providerId !== null && takeOne(this.#provider.trouble, "saysGone")) return this.#lie(epoch);
    if (machine) {
      const isUp = machine.bootAt !== null && machine.bootAt <= this.#now;
      const isStill = machine.stoppedAt !== null || machine.haltedAt !== null;
      const phase =
        machine.awayUntil !== null && this.#now < machine.awayUntil
          ? "lost"
          : machine.queuedUntil !== null
            ? "queued"
            : isStill
              ? "stopped"
              : isUp
                ? "running"
                : "loading";
      return { type: "seen", epoch, facts: factsOf(machine), phase, fatal: null, message: null };
    }
    if (providerId === null) return { type: "notFound", epoch };
    const known = this.#provider.byId(providerId);
    if (known && this.#now < known.listedAt) return { type: "lookFailed", epoch, message: "not listed yet" };
    return { type: "gone", epoch, at: known?.endedAt ?? this.#now };
  }

  #end(effect: Extract<WorldEffect, { kind: "end" }>): LifecycleEvent {
    const { epoch, providerId } = effect;
    const machine = providerId === null ? undefined : this.#provider.byId(providerId);
    if (!machine || machine.stoppedAt !== null) return this.look(effect);
    const isStopped = this.#world.state.retiring.some(
      (one) => one.machine.epoch === epoch && one.isStopped && !one.acceptedAt,
    );
    const isUp = isAlive(machine) && machine.bootAt !== null && machine.bootAt <= this.#now;
    if (isStopped && isUp) return this.look(effect);
    if (!this.#provider.answers(this.#now)) return { type: "endTried", epoch, accepted: false, message: "no answer" };
    if (takeOne(this.#provider.trouble, "saysGone")) return this.#lie(epoch);
    this.basis = effect.basis.kind;
    const answer = this.#provider.destroy(machine, this.#now);
    if (answer === "lost") return { type: "endTried", epoch, accepted: false, message: "timeout" };
    return { type: "endTried", epoch, accepted: answer === "accepted", message: null };
  }

  #stop(effect: Extract<WorldEffect, { kind: "stop" }>): LifecycleEvent {
    const { epoch, providerId } = effect;
    const machine = providerId === null ? undefined : this.#provider.byId(providerId);
    if (!machine || machine.stoppedAt !== null) return this.look(effect);
    if (machine.haltedAt !== null && machine.queuedUntil === null) return this.look(effect);
    const { trouble } = this.#provider;
    if (!this.#provider.answers(this.#now) || takeOne(trouble, "stopFails"))
      return { type: "stopTried", epoch, accepted: false, message: "no" };
    machine.queuedUntil = null;
    const boot = machine.boots;
    this.#clock.at(this.#now + trouble.stopLagMs, () => {
      runAgent(machine.agent, this.#now);
      if (machine.boots === boot) this.#provider.halt(machine, this.#now);
    });
    if (trouble.stopLagMs === 0) this.#provider.halt(machine, this.#now);
    return { type: "stopTried", epoch, accepted: true, message: null };
  }

  #start({ epoch, providerId }: Extract<WorldEffect, { kind: "start" }>): LifecycleEvent {
    const machine = this.#provider.byId(providerId ?? 0);
    if (!this.#provider.answers(this.#now)) return { type: "started", epoch };
    const { trouble } = this.#provider;
    const no = { type: "startFailed", epoch, code: "provider_refused", message: "no" } as const;
    if (!machine || machine.stoppedAt !== null || takeOne(trouble, "startFails")) return no;
    const isSaid = takeOne(trouble, "startQueued");
    if (!isSaid && !takeOne(trouble, "startQueuedUnsaid")) {
      this.#provider.boot(machine, this.#now);
      return { type: "started", epoch };
    }
    machine.queuedUntil = this.#now + 120_000;
    this.#clock.at(machine.queuedUntil, () => machine.queuedUntil !== null && this.#provider.boot(machine, this.#now));
    return isSaid ? { ...no, code: "start_queued" } : { type: "started", epoch };
  }

  #lie(epoch: number): LifecycleEvent {
    // Its bill ends at another moment than was said: no charge of it can be right.
    this.lies.add(epoch);
    return { type: "gone", epoch, at: this.#now };
  }
}
