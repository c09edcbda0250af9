/** The settings of an instance: how they change, and how they are shown. */
import { layersOf, ownSettings, policyGpu } from "../../core/lifecycle/policy.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { AnswerOf } from "../../core/protocol/api.ts";
import { type AutoHibernation, type AutoHibernationPatch, applyPatch } from "../../core/protocol/config.ts";
import { mergePatches, resolveSettings, sourcesOf, withoutSettings } from "../../core/protocol/policy.ts";

/** Null when it is not whole: a part of a schedule where there is none. */
export function changeSettings(
  state: State,
  patch: AutoHibernationPatch,
  unset: readonly string[],
): { config: AutoHibernation; own: AutoHibernationPatch } | null {
  const left = withoutSettings(ownSettings(state), unset);
  const layers = { ...layersOf(state), instance: left };
  try {
    applyPatch(resolveSettings(layers), patch);
  } catch {
    return null;
  }
  const own = mergePatches(left, patch);
  return { own, config: resolveSettings({ ...layers, instance: own }) };
}

export function settingsView(state: State): AnswerOf<"getConfig"> {
  return { auto_hibernation: state.config, sources: sourcesOf(layersOf(state)), gpu_type: policyGpu(state) };
}
