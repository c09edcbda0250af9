/** The most wanted settings of a policy as a form has them: text, empty where the policy does not name the setting. */
import type { AutoHibernationPatch } from "../../../core/protocol/config.ts";

export const choices = {
  pause_mode: ["destroy", "stop"],
  wake_method: ["manual", "auto", "scheduled"],
} as const;

export const fieldNames = [
  "enabled",
  "pause_after_idle_minutes",
  "gpu_usage_threshold",
  "grace_minutes",
  "pause_mode",
  "delete_after_pause_minutes",
  "wake_method",
  "checkpoint.interval_minutes",
  "retention.keep_newest",
] as const;
export type FieldName = (typeof fieldNames)[number];
export type Draft = Record<FieldName, string>;

export type FieldKind = "switch" | "choice" | "number" | "whole";

export function kindOf(name: FieldName): FieldKind {
  if (name === "enabled") return "switch";
  if (name in choices) return "choice";
  return name === "retention.keep_newest" ? "whole" : "number";
}

export function unitOf(name: FieldName): "percent" | "minutes" | "none" {
  if (name === "gpu_usage_threshold") return "percent";
  return name.endsWith("_minutes") ? "minutes" : "none";
}

type Tree = Record<string, unknown>;

function isTree(value: unknown): value is Tree {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function settingAt(tree: object, name: string): unknown {
  return name.split(".").reduce<unknown>((at, key) => (isTree(at) ? at[key] : undefined), tree);
}

/** Names of all single values, such as `checkpoint.interval_minutes`. */
export function leavesOf(tree: object, front = ""): string[] {
  return Object.entries(tree).flatMap(([key, value]) =>
    isTree(value) ? leavesOf(value, `${front}${key}.`) : value === undefined ? [] : [front + key],
  );
}

export function draftOf(policy: AutoHibernationPatch): Draft {
  return Object.fromEntries(
    fieldNames.map((name) => {
      const value = settingAt(policy, name);
      return [name, value === undefined ? "" : typeof value === "boolean" ? (value ? "on" : "off") : String(value)];
    }),
  ) as Draft;
}

/** What else it names: set elsewhere, and shown by its technical name. */
export function othersOf(policy: AutoHibernationPatch): string[] {
  return leavesOf(policy).filter((name) => !fieldNames.some((field) => field === name));
}

/** With a comma or a point. Null: no number. */
export function numberOf(text: string): number | null {
  const trimmed = text.trim().replace(",", ".");
  return /^-?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : null;
}

export function isWrong(name: FieldName, text: string, [least, most]: readonly [number, number]): boolean {
  const kind = kindOf(name);
  if (text.trim() === "" || kind === "switch" || kind === "choice") return false;
  if (name === "pause_after_idle_minutes" && text === "auto") return false;
  const value = numberOf(text);
  if (value === null || (kind === "whole" && !Number.isInteger(value))) return true;
  return value < least || value > most;
}

export interface PolicyChange {
  auto_hibernation?: AutoHibernationPatch;
  unset?: string[];
}

/** Null: nothing changed. `dropped`: others that are no longer named. */
export function changeOf(before: AutoHibernationPatch, draft: Draft, dropped: readonly string[]): PolicyChange | null {
  const old = draftOf(before);
  const patch: Tree = {};
  const unset = [...dropped];
  for (const name of fieldNames) {
    const text = draft[name].trim();
    if (text === old[name]) continue;
    if (text === "") unset.push(name);
    else put(patch, name, settingOf(name, text));
  }
  const change: PolicyChange = {};
  if (Object.keys(patch).length > 0) change.auto_hibernation = patch as AutoHibernationPatch;
  if (unset.length > 0) change.unset = unset;
  return change.auto_hibernation || change.unset ? change : null;
}

function settingOf(name: FieldName, text: string): unknown {
  if (kindOf(name) === "switch") return text === "on";
  return kindOf(name) === "choice" ? text : (numberOf(text) ?? text);
}

function put(tree: Tree, name: string, value: unknown): void {
  const [first = "", ...rest] = name.split(".");
  if (rest.length === 0) tree[first] = value;
  else {
    const inner = isTree(tree[first]) ? tree[first] : {};
    put(inner, rest.join("."), value);
    tree[first] = inner;
  }
}

/** Of what the API refused, the fields that it meant. */
export function fieldsRefused(issues: readonly { path: string }[]): FieldName[] {
  const paths = issues.map(({ path }) => path.replace(/^auto_hibernation\./, ""));
  return fieldNames.filter((name) => paths.includes(name));
}
