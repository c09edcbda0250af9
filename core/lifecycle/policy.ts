/** The settings of an instance as its layers make them: its own, its owner's for its GPU type and for all, the product's. */
import type { AutoHibernationPatch } from "../protocol/config.ts";
import { differencesFromDefault, resolveSettings, type SettingLayers } from "../protocol/policy.ts";
import { leavingOf } from "./attempts.ts";
import { currentMachine } from "./machines.ts";
import type { State } from "./types.ts";

/** What its owner set for all instances, as this one was last told. */
export interface Policies {
  /** Grows with each change; what is older than what is known is not taken. */
  version: number;
  user: AutoHibernationPatch;
  /** By GPU type, as gpuKey spells it. */
  gpuTypes: Record<string, AutoHibernationPatch>;
}

export const noPolicies: Policies = { version: 0, user: {}, gpuTypes: {} };

export function gpuKey(gpuType: string): string {
  return gpuType.trim().replaceAll("_", " ").toLowerCase();
}

/** The type whose policy counts: of the machine there is, else of the one that is wanted, else of the last one. */
export function policyGpu(state: State): string | null {
  const phase = state.now;
  const leaving = phase.status === "destroying" ? leavingOf(state, phase.epoch) : null;
  const machine = currentMachine(state) ?? leaving?.machine;
  return machine?.facts?.gpuType ?? state.spec.gpuType ?? state.usual?.gpuType ?? null;
}

export function layersFor(own: AutoHibernationPatch, policies: Policies, gpuType: string | null): SettingLayers {
  const ofType = gpuType === null ? undefined : policies.gpuTypes[gpuKey(gpuType)];
  return { user: policies.user, gpuType: ofType ?? {}, instance: own };
}

export function layersOf(state: State): SettingLayers {
  return layersFor(ownSettings(state), state.policies ?? noPolicies, policyGpu(state));
}

/** In a state of before, whatever differs from the defaults was its own word. */
export function ownSettings(state: State): AutoHibernationPatch {
  return state.own ?? differencesFromDefault(state.config);
}

/** Another machine may be of another type, for which something else was set. */
export function settlePolicy(before: State, after: State): State {
  if (!after.policies || Object.keys(after.policies.gpuTypes).length === 0) return after;
  if (policyGpu(before) === policyGpu(after)) return after;
  const config = resolveSettings(layersOf(after));
  return JSON.stringify(config) === JSON.stringify(after.config) ? after : { ...after, config };
}
