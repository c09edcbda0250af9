/**
 * Whose word a setting is: the instance's own, its owner's for this GPU type, its owner's for all, or the product's. The most specific
 * wins, value by value. Pure: who keeps the layers is another matter.
 */
import {
  type AutoHibernation,
  type AutoHibernationPatch,
  applyPatch,
  autoHibernationPatchSchema,
  defaultAutoHibernation,
} from "./config.ts";

import { scheduleExtras } from "./schedule.ts";

/** Settings by which snapshots may go, scripts run and services open: for owners of the team alone. */
export const ownersSettings = ["retention", "hooks", "proxy"] as const;

export type SettingSource = "default" | "user" | "gpu_type" | "instance";
export const settingSources = ["default", "user", "gpu_type", "instance"] as const satisfies readonly SettingSource[];

/** What each of them set; an empty object: nothing. */
export interface SettingLayers {
  user: AutoHibernationPatch;
  gpuType: AutoHibernationPatch;
  instance: AutoHibernationPatch;
}

type Tree = Record<string, unknown>;

/** Total: a part of a schedule that stands on no schedule any more takes the rest from the default one. */
export function resolveSettings({ user, gpuType, instance }: SettingLayers): AutoHibernation {
  let config = defaultAutoHibernation;
  for (const patch of [user, gpuType, instance]) {
    const isPart = patch.schedule && config.schedule === null;
    config = applyPatch(isPart ? { ...config, schedule: defaultAutoHibernation.schedule } : config, patch);
  }
  return config;
}

/** Of every single value (`signals.cpu.threshold`, `enabled`) whose word it is. */
export function sourcesOf(layers: SettingLayers): Record<string, SettingSource> {
  const named: [SettingSource, string[]][] = [
    ["instance", leavesOf(layers.instance)],
    ["gpu_type", leavesOf(layers.gpuType)],
    ["user", leavesOf(layers.user)],
  ];
  const sources: Record<string, SettingSource> = {};
  for (const leaf of leavesOf(resolveSettings(layers))) {
    // A schedule that was taken away is named as a whole.
    const covers = (name: string) => name === leaf || leaf.startsWith(`${name}.`) || name.startsWith(`${leaf}.`);
    sources[leaf] = named.find(([, names]) => names.some(covers))?.[0] ?? "default";
  }
  return sources;
}

/** What `change` names replaces what `patch` says of it; the rest stays. */
export function mergePatches(patch: AutoHibernationPatch, change: AutoHibernationPatch): AutoHibernationPatch {
  return merge(patch, change) as AutoHibernationPatch;
}

/** Without these settings, each a single value (`retention.keep_days`) or a group (`retention`). */
export function withoutSettings(patch: AutoHibernationPatch, names: readonly string[]): AutoHibernationPatch {
  return names.reduce<Tree>((tree, name) => without(tree, name.split(".")), patch) as AutoHibernationPatch;
}

/** What differs from the defaults: the own word of an instance of before anybody asked whose word it is. */
export function differencesFromDefault(config: AutoHibernation): AutoHibernationPatch {
  return autoHibernationPatchSchema.parse(difference(defaultAutoHibernation, config));
}

/** Every name that a setting has, groups included. */
export function settingNames(): string[] {
  const groups = (tree: Tree, front: string): string[] =>
    Object.entries(tree).flatMap(([key, value]) =>
      isTree(value) ? [front + key, ...groups(value, `${front}${key}.`)] : [],
    );
  const all = { ...defaultAutoHibernation };
  return [...leavesOf(all), ...groups(all, ""), ...scheduleExtras.map((name) => `schedule.${name}`)];
}

export function leavesOf(tree: object, front = ""): string[] {
  return Object.entries(tree).flatMap(([key, value]) =>
    isTree(value) ? leavesOf(value, `${front}${key}.`) : value === undefined ? [] : [front + key],
  );
}

export function settingAt(tree: object, name: string): unknown {
  return name.split(".").reduce<unknown>((at, key) => (isTree(at) ? at[key] : undefined), tree);
}

function merge(into: Tree, change: Tree): Tree {
  const merged = { ...into };
  for (const [key, value] of Object.entries(change)) {
    if (value === undefined) continue;
    merged[key] = isTree(value) && isTree(merged[key]) ? merge(merged[key], value) : value;
  }
  return merged;
}

function without(tree: Tree, [key = "", ...rest]: string[]): Tree {
  if (!Object.hasOwn(tree, key)) return tree;
  const { [key]: value, ...others } = tree;
  if (rest.length === 0) return others;
  if (!isTree(value)) return tree;
  const left = without(value, rest);
  return Object.keys(left).length > 0 ? { ...others, [key]: left } : others;
}

function difference(base: Tree, tree: Tree): Tree {
  const differing: Tree = {};
  for (const [key, value] of Object.entries(tree)) {
    const at = base[key];
    if (isTree(value) && isTree(at)) {
      const inner = difference(at, value);
      if (Object.keys(inner).length > 0) differing[key] = inner;
    } else if (value !== at && JSON.stringify(value) !== JSON.stringify(at)) differing[key] = value;
  }
  return differing;
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
