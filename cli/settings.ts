/** What people write for auto_hibernation, and for amounts of time and money, to the contract's values. */
import type { z } from "zod";
import {
  type AutoHibernationPatch,
  autoHibernationPatchSchema,
  autoHibernationSchema,
} from "../core/protocol/config.ts";
import { usageFailure } from "./failure.ts";

/** The options of every command that changes settings. */
export const settingArgs = {
  enabled: { type: "string", valueHint: "on|off", description: "Whether it may go to sleep by itself" },
  pause: {
    type: "string",
    valueHint: "MIN|auto",
    description: "Minutes idle before it goes to sleep; auto: when it pays",
  },
  delete: { type: "string", valueHint: "MIN", description: "Minutes asleep before it becomes deleted" },
  threshold: { type: "string", valueHint: "PCT", description: "A GPU below this is idle" },
  interval: { type: "string", valueHint: "SEC", description: "Seconds between two reports" },
  "wake-method": { type: "string", valueHint: "manual|auto|scheduled", description: "How it wakes" },
  schedule: {
    type: "string",
    valueHint: "'09:00-18:00 America/Sao_Paulo'|none",
    description: "Wake and sleep times",
  },
  set: { type: "string", valueHint: "KEY=VALUE", description: "A setting by its own name; may be repeated" },
} as const;

export interface SettingFlags {
  enabled?: string | undefined;
  pause?: string | undefined;
  delete?: string | undefined;
  threshold?: string | undefined;
  interval?: string | undefined;
  "wake-method"?: string | undefined;
  schedule?: string | undefined;
  set?: string[];
}

const flagFields: [keyof SettingFlags & string, string][] = [
  ["delete", "delete_after_pause_minutes"],
  ["threshold", "gpu_usage_threshold"],
  ["interval", "check_interval_seconds"],
];

/** Null when nothing was asked for. Errors: Failure `usage`, which names the option or the field. */
export function readSettings(flags: SettingFlags): AutoHibernationPatch | null {
  const patch: Record<string, unknown> = {};
  if (flags.enabled !== undefined) patch.enabled = readSwitch("--enabled", flags.enabled);
  for (const [flag, field] of flagFields) {
    const text = flags[flag];
    if (typeof text === "string") patch[field] = readNumber(`--${flag}`, text);
  }
  if (flags.pause !== undefined)
    patch.pause_after_idle_minutes = flags.pause === "auto" ? "auto" : readNumber("--pause", flags.pause);
  if (flags["wake-method"] !== undefined) patch.wake_method = flags["wake-method"];
  if (flags.schedule !== undefined) patch.schedule = readSchedule(flags.schedule);
  for (const text of flags.set ?? []) applySet(patch, text);
  if (Object.keys(patch).length === 0) return null;
  return checked(autoHibernationPatchSchema, patch);
}

/** Checks what a person typed before it travels. */
export function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((issue) => ({ path: issue.path.join("."), message: issue.message }));
  throw usageFailure("A value does not fit.", "Correct what is named above; see --help.", { issues });
}

export function readSwitch(flag: string, text: string): boolean {
  if (["true", "on", "yes"].includes(text)) return true;
  if (["false", "off", "no"].includes(text)) return false;
  throw usageFailure(`${flag} takes on or off, not "${text}".`);
}

export function readNumber(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw usageFailure(`${flag} takes a number, not "${text}".`);
  return value;
}

/** `7`, or `ID@7` as the history shows it. */
export function readSnapshotNumber(text: string | undefined): number | undefined {
  return text === undefined ? undefined : readNumber("--snapshot", text.replace(/^i-[a-z2-7]{10}@/, ""));
}

/** US$ per hour to integer micro-dollars. */
export function readPrice(flag: string, text: string): number {
  const micro = Math.round(readNumber(flag, text.replace(/^(US)?\$ ?/, "").replace(/\/h$/, "")) * 1_000_000);
  if (micro <= 0) throw usageFailure(`${flag} takes an amount above 0, in US$ per hour.`);
  return micro;
}

/** `90s`, `30m`, `2h`; a bare number is seconds. */
export function readDurationMs(flag: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|min|h)?$/.exec(text.trim());
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, min: 60_000, h: 3_600_000 };
  const ms = match ? Number(match[1]) * (units[match[2] ?? "s"] ?? 0) : 0;
  if (ms <= 0) throw usageFailure(`${flag} takes a time such as 90s, 30m or 2h, not "${text}".`);
  return ms;
}

/** `09:00-18:00 America/Sao_Paulo`; without a zone the one that is set stays. */
export function readSchedule(text: string): AutoHibernationPatch["schedule"] {
  if (text.trim() === "none") return null;
  const match = /^\s*(\d{1,2}:\d{2})\s*(?:-|\u2013|to)\s*(\d{1,2}:\d{2})(?:\s+(\S+))?\s*$/.exec(text);
  const [, wake, sleep, zone] = match ?? [];
  if (!wake || !sleep) throw usageFailure(`--schedule takes '09:00-18:00 America/Sao_Paulo' or none, not "${text}".`);
  return {
    wake_time: wake.padStart(5, "0"),
    sleep_time: sleep.padStart(5, "0"),
    ...(zone && { timezone: zone }),
  };
}

/** How many names stand before the value at most, where it is more than one. */
const partsOf: Record<string, number> = { signals: 3, schedule: 2, retention: 2, checkpoint: 2, hooks: 2, proxy: 2 };
/** `proxy.wake_methods=GET,POST`; none: an empty list. */
const lists: readonly string[] = ["more_ports", "wake_methods", "wake_paths", "quiet_paths"];

/** `key=value` with the plan's names; `schedule.wake_time=08:30`, `signals.cpu=on`, `checkpoint=off`, `retention.keep_newest=5`, `proxy.port=8888` change a part. */
function applySet(patch: Record<string, unknown>, text: string): void {
  const at = text.indexOf("=");
  const value = text.slice(at + 1).trim();
  const path = text.slice(0, Math.max(at, 0)).trim().split(".");
  const [field = "", part] = path;
  const isKnown = Object.hasOwn(autoHibernationSchema.shape, field);
  if (at < 1 || !isKnown || path.length > (partsOf[field] ?? 1)) {
    const names = Object.keys(autoHibernationSchema.shape).join(", ");
    throw usageFailure(`--set does not know "${text}".`, `It takes key=value; the keys are ${names}.`);
  }
  if (field === "signals" && part !== undefined) {
    setSignal(patch, part, path[2], value);
    return;
  }
  if (field === "checkpoint" && part === undefined) {
    patch.checkpoint = { ...(patch.checkpoint as object | undefined), enabled: readSwitch("--set checkpoint", value) };
    return;
  }
  if (field === "hooks" && part !== undefined && part !== "timeout_seconds") {
    patch.hooks = {
      ...(patch.hooks as object | undefined),
      [part]: value === "none" || value === "null" ? null : value,
    };
    return;
  }
  if (field === "proxy" && part !== undefined) {
    patch.proxy = { ...(patch.proxy as object | undefined), [part]: readProxyValue(part, value) };
    return;
  }
  if (part !== undefined && field !== "schedule") {
    patch[field] = { ...((patch[field] as object | undefined) ?? {}), [part]: readValue(value) };
    return;
  }
  if (part !== undefined) {
    patch.schedule = { ...((patch.schedule as object | null | undefined) ?? {}), [part]: value };
    return;
  }
  patch[field] = field === "schedule" ? readScheduleValue(value) : readValue(value);
}

function readProxyValue(part: string, value: string): unknown {
  if (!lists.includes(part) || value.startsWith("[")) return value === "none" ? null : readValue(value);
  return value === "none" ? [] : value.split(",").map((one) => readValue(one.trim()));
}

function setSignal(patch: Record<string, unknown>, name: string, field: string | undefined, value: string): void {
  const signals = (patch.signals ?? {}) as Record<string, object>;
  const change =
    field === undefined ? { enabled: readSwitch(`--set signals.${name}`, value) } : { [field]: readValue(value) };
  patch.signals = { ...signals, [name]: { ...signals[name], ...change } };
}

function readScheduleValue(value: string): unknown {
  return value.startsWith("{") || value === "null" ? readValue(value) : readSchedule(value);
}

function readValue(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
