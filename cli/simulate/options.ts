/** The options of `soneca simulate` and the world that they describe. Each default has its source in docs/SIMULATE.md. */
import type { Policy, SimulatedWorld } from "../../core/lifecycle/simulation/world.ts";
import { usageFailure } from "../failure.ts";
import { readNumber } from "../settings.ts";

interface NumberOption {
  hint: string;
  description: string;
  /** Null: another option's value. */
  byDefault: number | null;
  min: number;
  max: number;
}

const one = (hint: string, description: string, byDefault: number | null, min: number, max: number): NumberOption => ({
  hint,
  description,
  byDefault,
  min,
  max,
});

export const numberOptions = {
  price: one("USD", "US$ per hour of the machine", 0.4, 0.000_001, 100_000),
  "workspace-gb": one("GB", "Size of the workspace", 70, 0, 1_000_000),
  "stored-ratio": one("R", "What the store keeps of it, 0 to 1", 0.79, 0.001, 1),
  "upload-gb": one("GB", "What one sleep has to send; all that is stored without", null, 0, 1_000_000),
  "change-gb-per-hour": one("GB", "What an hour of use adds to an upload that was called off", 0, 0, 1_000_000),
  "upload-mbps": one("MBIT", "Link to the store, Mbit/s", 800, 0.001, 10_000_000),
  "download-mbps": one("MBIT", "Link from the store, Mbit/s", 1120, 0.001, 10_000_000),
  // A machine that is not up after 15 minutes is given back, so none that takes longer is ever reached.
  "boot-s": one("S", "From the rental to the agent's first word", 120, 0, 840),
  "scan-s": one("S", "A look at the workspace with nothing to send", 5, 0, 36_000),
  "seal-s": one("S", "Stopping every process and the last look", 5, 0, 100),
  "end-s": one("S", "From the destroy to the provider's word that it is gone", 10, 0, 3_600),
  "upload-price": one("USD", "US$ per GB sent", 0.003, 0, 1_000),
  "download-price": one("USD", "US$ per GB received", 0.003, 0, 1_000),
  interval: one("S", "Seconds between two samples", 30, 0.5, 300),
  threshold: one("PCT", "A GPU below this is idle", 5, 0.1, 100),
} as const satisfies Record<string, NumberOption>;

export type OptionName = keyof typeof numberOptions;

export type OptionTexts = Partial<Record<OptionName | "gpu-memory", string | undefined>> & {
  cold?: boolean | undefined;
};

/** Errors: Failure `usage`, which names the option. */
export function readWorld(texts: OptionTexts): SimulatedWorld {
  const read = (name: OptionName): number | null => {
    const { byDefault, min, max } = numberOptions[name];
    const text = texts[name];
    if (text === undefined) return byDefault;
    const value = readNumber(`--${name}`, text);
    if (value < min || value > max) throw usageFailure(`--${name} takes a number from ${min} to ${max}, not ${text}.`);
    return value;
  };
  const sure = (name: OptionName) => read(name) as number;
  const seconds = (name: OptionName) => Math.round(sure(name) * 1000);
  const storedBytes = Math.round(sure("workspace-gb") * sure("stored-ratio") * 1e9);
  const uploadGb = read("upload-gb");
  return {
    microUsdPerHour: sure("price") * 1e6,
    upMicroUsdPerGb: sure("upload-price") * 1e6,
    downMicroUsdPerGb: sure("download-price") * 1e6,
    storedBytes,
    uploadBytes: uploadGb === null ? storedBytes : Math.round(uploadGb * 1e9),
    changedBytesPerHour: sure("change-gb-per-hour") * 1e9,
    upBytesPerSecond: (sure("upload-mbps") * 1e6) / 8,
    downBytesPerSecond: (sure("download-mbps") * 1e6) / 8,
    bootMs: seconds("boot-s"),
    scanMs: seconds("scan-s"),
    sealMs: seconds("seal-s"),
    endMs: seconds("end-s"),
    intervalMs: seconds("interval"),
    threshold: sure("threshold"),
    memory: readMemory(texts["gpu-memory"]),
    isMeasured: texts.cold !== true,
  };
}

function readMemory(text: string | undefined): SimulatedWorld["memory"] {
  if (text === undefined) return "unknown";
  if (text === "held" || text === "free" || text === "unknown") return text;
  throw usageFailure(`--gpu-memory takes held, free or unknown, not "${text}".`);
}

export interface NamedPolicy {
  name: string;
  policy: Policy;
}

export const defaultPolicies = ["fixed:3", "break-even", "auto"];

/** Errors: Failure `usage`. */
export function readPolicies(texts: string[]): NamedPolicy[] {
  const names = texts.length > 0 ? texts : defaultPolicies;
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) throw usageFailure(`--policy ${twice} is given twice.`);
  return names.map((name) => ({ name, policy: readPolicy(name) }));
}

function readPolicy(name: string): Policy {
  if (name === "auto") return { kind: "auto" };
  if (name === "never") return { kind: "never" };
  if (name === "break-even") return { kind: "breakEven" };
  const text = /^fixed:(.+)$/.exec(name)?.[1];
  if (text === undefined) throw usageFailure(`--policy takes auto, fixed:MINUTES, break-even or never, not "${name}".`);
  const minutes = readNumber("--policy fixed:", text);
  if (minutes < 0.05 || minutes > 10_080) throw usageFailure(`--policy ${name}: the minutes go from 0.05 to 10080.`);
  return { kind: "fixed", minutes };
}
