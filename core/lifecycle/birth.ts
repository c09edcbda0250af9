/** How an instance comes into being: by renting a machine, or by adopting one that is rented already. */
import { type AutoHibernation, type AutoHibernationPatch, defaultAutoHibernation } from "../protocol/config.ts";
import { type InstanceId, machineLabel, type UserId } from "../protocol/ids.ts";
import { copyEffect, copyName } from "./copying.ts";
import type { Context, Outcome } from "./events.ts";
import { log, minutesMs, out } from "./machines.ts";
import type { Policies } from "./policy.ts";
import type { Copying } from "./snapshot-types.ts";
import { rentNext } from "./starting.ts";
import type { Actor, MachineSpec, RentedFacts, State } from "./types.ts";

export interface Birth {
  instance: InstanceId;
  /** The team. */
  owner: UserId;
  /** Whose wish it was; the owner itself without. */
  by?: UserId;
  name: string;
  spec: MachineSpec;
  config?: AutoHibernation;
  /** What `config` was made of. */
  own?: AutoHibernationPatch;
  policies?: Policies;
}

export function createInstance(birth: Birth, ctx: Context): Outcome {
  const actor = makerOf(birth);
  // Whoever makes an instance is there to choose: it gets what it asked for or hears that there is none.
  const wake = {
    actor,
    gpuType: birth.spec.gpuType,
    region: birth.spec.region,
    askedAt: ctx.now,
    reach: "same" as const,
  };
  const state = blank(birth, ctx);
  const rented = rentNext(state, { wake, back: null, attempt: 1, since: ctx.now }, ctx);
  return { state: rented.state, effects: [log("created", actor, { name: birth.name }), ...rented.effects] };
}

/** An instance from a snapshot of another: asleep until its parts are copied, then woken if that is wanted. */
export function createFork(birth: Birth, from: Copying["from"], isWoken: boolean, ctx: Context): Outcome {
  const actor = makerOf(birth);
  const { gpuType, region } = birth.spec;
  const wake = isWoken ? { actor, gpuType, region, askedAt: ctx.now, reach: "same" as const } : null;
  const deleteAt = ctx.now + minutesMs(birth.config?.delete_after_pause_minutes ?? 0);
  return out(
    {
      ...blank(birth, ctx),
      ...copyName,
      copying: {
        from,
        wake,
        since: ctx.now,
        nextAt: ctx.now + ctx.timings.copyEveryMs,
        tries: 0,
        parts: 0,
        partsTotal: null,
      },
      now: { status: "hibernated", since: ctx.now, deleteAt, verifyAt: null, verifyTries: 0 },
    },
    log("created", actor, { name: birth.name, from: `${from.instance}@${from.ref.seq}` }),
    log("copy_started", actor, { from: `${from.instance}@${from.ref.seq}` }),
    copyEffect(from),
  );
}

/** The machine holds somebody's work from the first moment: it is never given up without a proof or a discard. */
export function adoptInstance(birth: Birth, facts: RentedFacts, rentedAt: number, ctx: Context): Outcome {
  const actor = makerOf(birth);
  const epoch = 1;
  return {
    state: {
      ...blank(birth, ctx),
      epoch,
      now: {
        status: "provisioning",
        machine: {
          epoch,
          label: machineLabel(birth.instance, epoch),
          facts,
          adopted: true,
          holdsWork: true,
          // Paid before, but not through us: our account of it begins with the adoption.
          rentedAt: Math.max(rentedAt, ctx.now),
          meter: { from: Math.max(rentedAt, ctx.now), seenAt: ctx.now },
        },
        since: ctx.now,
        wake: { actor, gpuType: facts.gpuType, region: facts.region, askedAt: ctx.now },
        back: null,
        step: "booting",
        attempt: 1,
        attemptSince: ctx.now,
        checks: 0,
        lookAt: ctx.now + ctx.timings.lookEveryMs,
      },
    },
    effects: [log("adopted", actor, { name: birth.name, provider_id: facts.providerId })],
  };
}

function makerOf({ owner, by }: Birth): Actor {
  return { kind: "user", id: by ?? owner };
}

function blank(birth: Birth, ctx: Context): State {
  return {
    v: 1,
    instance: birth.instance,
    owner: birth.owner,
    name: birth.name,
    config: birth.config ?? defaultAutoHibernation,
    ...(birth.own && { own: birth.own }),
    ...(birth.policies && { policies: birth.policies }),
    spec: birth.spec,
    createdAt: ctx.now,
    epoch: 0,
    seq: 0,
    snapshot: null,
    retiring: [],
    lost: [],
    avoid: [],
    lastWakeAt: null,
    trouble: null,
    now: { status: "deleted", since: ctx.now },
  };
}
