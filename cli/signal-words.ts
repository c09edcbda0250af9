/** How signals look to people: their names, their amounts, one row for each. */
import type { InstanceView } from "../core/protocol/views.ts";
import { formatBytes, formatDuration, formatPercent } from "./format.ts";

type SignalView = InstanceView["signals"][number];

const signalTable: Record<SignalView["name"], { word: string; amount: (value: number) => string }> = {
  gpu: { word: "GPU", amount: formatPercent },
  traffic: { word: "Requests to its services", amount: (value) => `${value}` },
  cpu: { word: "CPU of the workspace", amount: (value) => `${formatPercent(value)} of a core` },
  terminal: { word: "Terminals", amount: (value) => formatDuration(value * 1000) },
  jupyter: { word: "Jupyter", amount: (value) => `${value} busy kernel(s)` },
  network: { word: "Network", amount: (value) => `${formatBytes(value)}/s` },
  disk: { word: "Disk", amount: (value) => `${formatBytes(value)}/s` },
  gpu_memory: { word: "GPU memory", amount: (value) => `${formatBytes(value * 1024 * 1024)} held` },
};

export function signalAmount(name: string, value: number | null): string {
  const row = Object.hasOwn(signalTable, name) ? signalTable[name as SignalView["name"]] : undefined;
  if (value === null) return "unknown";
  return row ? row.amount(value) : String(value);
}

export function signalWords(name: string, value: number | null): string {
  if (name === "terminal") return `The last input to a terminal was ${signalAmount(name, value)} ago`;
  const word = Object.hasOwn(signalTable, name) ? signalTable[name as SignalView["name"]].word : name;
  return `${word} at ${signalAmount(name, value)}`;
}

/** One row per signal: its name, what it says, by what it is judged, since when, who or what. */
export function signalRows(signals: SignalView[], now: number): string[][] {
  return signals.map(({ name, enabled, state, value, threshold, since, detail }) => {
    const nothing = state === "quiet" ? "none" : "unknown";
    const amount = value === null ? nothing : `${signalAmount(name, value)}${name === "terminal" ? " ago" : ""}`;
    const judged =
      threshold === null ? "" : `${name === "terminal" ? "under" : "from"} ${signalAmount(name, threshold)}`;
    const role = name === "gpu_memory" ? "shown only" : enabled ? "decides" : "off";
    const lasts = since && name !== "gpu_memory" ? `${state} for ${formatDuration(now - Date.parse(since))}` : "";
    return [signalTable[name].word, amount, lasts, judged && `busy ${judged}`, role, detail ?? ""];
  });
}

export function signalName(name: string): string {
  return Object.hasOwn(signalTable, name) ? signalTable[name as SignalView["name"]].word : name;
}
