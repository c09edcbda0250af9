/** The effects that concern the store alone, carried out; see worker/instance/effects.ts for what such a handler owes. */
import type { LifecycleEvent, WorldEffect } from "../../core/lifecycle/events.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { Env } from "../env.ts";
import { proveSnapshot } from "../proof.ts";
import { type CollectDeps, collectSnapshots } from "./collect.ts";
import { copySnapshot } from "./copy.ts";
import { salvage } from "./salvage.ts";

export type StoreEffect = Extract<WorldEffect, { kind: "prove" | "salvage" | "copy" | "collect" }>;

export interface StoreDeps extends Omit<CollectDeps, "bucket" | "instance"> {
  env: Env;
  instance: InstanceId;
}

/** For so long a snapshot stays for whom it is copied; each part of the copy says so anew. */
export const holdMs = 3_600_000;

export async function runStoreEffect(effect: StoreEffect, deps: StoreDeps): Promise<LifecycleEvent> {
  const { env, instance } = deps;
  const bucket = env.SNAPSHOTS;
  switch (effect.kind) {
    case "prove": {
      const proof = await proveSnapshot(bucket, instance, effect.ref, effect.mayBeTorn);
      if (proof.ok) {
        const { parts, bytes, manifest } = proof;
        return { type: "proved", ref: effect.ref, parts, bytes, manifest };
      }
      return { type: "proofFailed", ref: effect.ref, retryable: proof.retryable, message: proof.message };
    }
    case "salvage":
      return salvage(bucket, instance, effect.damaged, deps.history());
    case "copy": {
      const { from } = effect;
      const other = env.INSTANCE.getByName(from.instance);
      // An object that does not answer lets its snapshot go no sooner than the hold before it ends.
      await other.hold({ by: instance, ref: from.ref, until: Date.now() + holdMs }).catch(() => {});
      const event = await copySnapshot(bucket, instance, from, effect.to);
      const isOver = event.type === "copied" ? event.done !== null : !event.retryable;
      if (isOver) await other.hold({ by: instance, ref: from.ref, until: 0 }).catch(() => {});
      return event;
    }
    case "collect":
      try {
        return await collectSnapshots({ ...deps, bucket });
      } catch (error) {
        return { type: "collectFailed", message: String(error).slice(0, 300) };
      }
  }
}
