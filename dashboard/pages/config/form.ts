/**
 * What was changed in the form, and what of it is sent: names of settings with what they become, over the settings as they are.
 * Each change remembers what it was made from, so that what somebody else changed meanwhile is seen.
 */
import type { AnswerOf } from "../../../core/protocol/api.ts";
import type { AutoHibernation } from "../../../core/protocol/config.ts";
import type { SettingSource } from "../../../core/protocol/policy.ts";
import type { Schedule } from "../../../core/protocol/schedule.ts";
import { normalSchedule } from "./windows.ts";

type Leaf<T, Front extends string = ""> = {
  [K in keyof T & string]: NonNullable<T[K]> extends readonly unknown[]
    ? `${Front}${K}`
    : NonNullable<T[K]> extends object
      ? Leaf<NonNullable<T[K]>, `${Front}${K}.`>
      : `${Front}${K}`;
}[keyof T & string];
/** A single value, or the schedule, which changes as a whole. */
export type SettingName = Leaf<Omit<AutoHibernation, "schedule">> | "schedule";

export type Problem = "number" | "whole" | "range" | "ports" | "paths" | "schedule";

export type Edit =
  | { is: "value"; value: unknown; was: unknown }
  /** No longer the instance's own: the defaults decide it again. */
  | { is: "unset"; was: unknown }
  /** Nothing that could be sent; `raw` is what was typed. */
  | { is: "bad"; raw: unknown; problem: Problem; was: unknown };
export type Edits = Partial<Record<SettingName, Edit>>;

export type Config = AnswerOf<"getConfig">;
export type Policy = AnswerOf<"listPolicies">["policies"][number];
type Tree = Record<string, unknown>;

export function valueAt(tree: object | null | undefined, name: string): unknown {
  return name.split(".").reduce<unknown>((at, key) => (isTree(at) ? at[key] : undefined), tree);
}

function withValue(tree: Tree, [key = "", ...rest]: string[], value: unknown): Tree {
  const inner = tree[key];
  return { ...tree, [key]: rest.length === 0 ? value : withValue(isTree(inner) ? inner : {}, rest, value) };
}

export function isSame(name: string, a: unknown, b: unknown): boolean {
  const plain = (value: unknown) =>
    JSON.stringify(name === "schedule" && value ? normalSchedule(value as Schedule) : value);
  return plain(a) === plain(b);
}

export function namesOf(edits: Edits): SettingName[] {
  return Object.keys(edits) as SettingName[];
}

/** What it becomes; null: it is as it was. */
export function withEdit(edits: Edits, name: SettingName, config: AutoHibernation, edit: NewEdit | null): Edits {
  const { [name]: before, ...others } = edits;
  const was = before ? before.was : valueAt(config, name);
  if (edit === null || (edit.is === "value" && isSame(name, edit.value, valueAt(config, name)))) return others;
  return { ...edits, [name]: { ...edit, was } };
}
export type NewEdit = { is: "value"; value: unknown } | { is: "unset" } | { is: "bad"; raw: unknown; problem: Problem };

/** The settings as they would be. What cannot be sent counts as it was. */
export function draftOf(config: AutoHibernation, edits: Edits, inherited: (name: string) => unknown): AutoHibernation {
  let draft = config as unknown as Tree;
  for (const name of namesOf(edits)) {
    const edit = edits[name]!;
    if (edit.is === "value") draft = withValue(draft, name.split("."), edit.value);
    else if (edit.is === "unset") draft = withValue(draft, name.split("."), inherited(name));
  }
  return draft as unknown as AutoHibernation;
}

/** What the owner's defaults say of it, the more specific first; else the product's. */
export function inheritedFrom(policies: readonly Policy[], gpuType: string | null, defaults: AutoHibernation) {
  const key = (type: string) => type.trim().replaceAll("_", " ").toLowerCase();
  const layers = [
    policies.find(({ gpu_type }) => gpu_type !== null && gpuType !== null && key(gpu_type) === key(gpuType)),
    policies.find(({ gpu_type }) => gpu_type === null),
  ].map((policy) => policy?.auto_hibernation);
  return (name: string): unknown => {
    const values = [...layers.map((layer) => valueAt(layer, name)), valueAt(defaults, name)];
    const value = values.find((one) => one !== undefined);
    if (name !== "schedule" || !isTree(value)) return value;
    return Object.assign({}, ...values.filter(isTree).reverse());
  };
}

const order: SettingSource[] = ["default", "user", "gpu_type", "instance"];

/** Of several values, or of a group, the most specific. */
export function sourceOf(sources: Config["sources"], names: readonly string[]): SettingSource {
  const found = Object.entries(sources)
    .filter(([leaf]) => names.some((name) => leaf === name || leaf.startsWith(`${name}.`)))
    .map(([, source]) => order.indexOf(source));
  return order[Math.max(0, ...found)]!;
}

/** Changed here, and meanwhile by somebody else to something that is neither what it was nor what it shall be. */
export function conflictsOf(edits: Edits, fresh: AutoHibernation): SettingName[] {
  return namesOf(edits).filter((name) => {
    const edit = edits[name]!;
    const now = valueAt(fresh, name);
    return !isSame(name, edit.was, now) && !(edit.is === "value" && isSame(name, edit.value, now));
  });
}

/** They were seen: what is kept is now made from what it is. */
export function rebased(edits: Edits, names: readonly SettingName[], fresh: AutoHibernation): Edits {
  const next = { ...edits };
  for (const name of names) next[name] = { ...next[name]!, was: valueAt(fresh, name) };
  return next;
}

export interface Requests {
  schedule: (Schedule & { enabled: true }) | null;
  config: { auto_hibernation?: Tree; unset?: string[] } | null;
}

/**
 * Nothing that did not change. A schedule that acts goes by its own route, which turns `wake_method` to it; one that is only
 * kept leaves that alone.
 */
export function requestsOf(edits: Edits, draft: AutoHibernation): Requests {
  const { schedule, ...others } = edits;
  const acts = schedule?.is === "value" && schedule.value !== null && draft.wake_method === "scheduled";
  const rest: Edits = acts ? without(others, "wake_method") : others;
  if (schedule && !acts) rest.schedule = schedule;
  let tree: Tree = {};
  const unset: string[] = [];
  for (const name of namesOf(rest)) {
    const edit = rest[name]!;
    if (edit.is === "value") tree = withValue(tree, name.split("."), edit.value);
    else if (edit.is === "unset") unset.push(name);
  }
  const hasTree = Object.keys(tree).length > 0;
  return {
    schedule: acts ? { ...(schedule.value as Schedule), enabled: true } : null,
    config:
      hasTree || unset.length > 0
        ? { ...(hasTree && { auto_hibernation: tree }), ...(unset.length > 0 && { unset }) }
        : null,
  };
}

/** What a preview is asked with: it knows no "unset", so the value itself is told. */
export function previewOf(edits: Edits, draft: AutoHibernation): Tree {
  let tree: Tree = {};
  for (const name of namesOf(edits)) {
    const value = valueAt(draft, name);
    if (edits[name]!.is !== "bad" && value !== undefined) tree = withValue(tree, name.split("."), value);
  }
  return tree;
}

/** By the setting's name: the API names a body's field, which for the schedule's own route is a part of it. */
export function issuesByName(
  issues: readonly { path: string; message: string }[],
  isSchedule: boolean,
): Record<string, string> {
  return Object.fromEntries(
    issues.map(({ path, message }) => {
      const name = path.replace(/^auto_hibernation\.?/, "");
      return [
        isSchedule && name !== "wake_method" ? "schedule" : name.startsWith("schedule") ? "schedule" : name,
        message,
      ];
    }),
  );
}

export const tabs = ["idle", "schedule", "snapshot", "service", "danger"] as const;
export type Tab = (typeof tabs)[number];

/** Where it is edited. */
export function tabOf(name: string): Tab {
  if (name.startsWith("schedule")) return "schedule";
  if (/^(checkpoint|retention|hooks)/.test(name)) return "snapshot";
  return /^(wake_method|proxy)/.test(name) ? "service" : "idle";
}

function without(edits: Edits, name: SettingName): Edits {
  const { [name]: _, ...others } = edits;
  return others;
}

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
