/** How settings and policies look to people: every value, and whose word it is. */
import type { AnswerOf } from "../core/protocol/api.ts";
import { leavesOf, type SettingSource, settingAt } from "../core/protocol/policy.ts";
import { formatTable } from "./format.ts";
import { configSentence } from "./rule-words.ts";

type Settings = AnswerOf<"getConfig">;
type Policy = AnswerOf<"listPolicies">["policies"][number];

export function showConfig({ auto_hibernation, sources, gpu_type }: Settings): string {
  const words: Record<SettingSource, string> = {
    instance: "its own",
    gpu_type: `policy ${policyName(gpu_type)}`,
    user: `policy ${policyName(null)}`,
    default: "built in",
  };
  const rows = leavesOf(auto_hibernation).map((name) => [
    name,
    valueWords(settingAt(auto_hibernation, name)),
    words[sources[name] ?? "default"],
  ]);
  return `${formatTable(["SETTING", "VALUE", "FROM"], rows)}\n\n${configSentence(auto_hibernation)}`;
}

export function showPolicies(policies: Policy[]): string {
  if (policies.length === 0) return "No policies. Every instance has the built-in settings and its own.";
  return policies
    .map(({ gpu_type, auto_hibernation }) => {
      const rows = leavesOf(auto_hibernation).map((name) => [name, valueWords(settingAt(auto_hibernation, name))]);
      const named = `Policy ${policyName(gpu_type)}`;
      return rows.length === 0 ? `${named}: nothing` : `${named}\n${formatTable(["SETTING", "VALUE"], rows)}`;
    })
    .join("\n\n");
}

export function policyName(gpuType: string | null): string {
  return gpuType === null ? "for all" : `for ${gpuType}`;
}

export function toldWords({ told, waiting }: { told: number; waiting: number }): string {
  const reached = `${told} instance${told === 1 ? "" : "s"} told.`;
  return waiting === 0 ? reached : `${reached} ${waiting} will be within a few minutes.`;
}

export function valueWords(value: unknown): string {
  return value === null ? "none" : String(value);
}
