/** The settings of an instance: how they change, and how they are shown. */
import { layersOf, ownSettings, policyGpu } from "../../core/lifecycle/policy.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { AnswerOf } from "../../core/protocol/api.ts";
import { type AutoHibernation, type AutoHibernationPatch, applyPatch } from "../../core/protocol/config.ts";
import type { ErrorContext } from "../../core/protocol/errors.ts";
import { mergePatches, resolveSettings, sourcesOf, withoutSettings } from "../../core/protocol/policy.ts";

/** Why a change is refused. */
export const notWhole: { ok: false; code: "invalid_input"; context: ErrorContext } = {
  ok: false,
  code: "invalid_input",
  context: {
    issues: [{ path: "auto_hibernation.schedule", message: "wake_time, sleep_time and timezone belong together" }],
  },
};

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
