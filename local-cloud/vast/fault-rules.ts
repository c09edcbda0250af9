/**
 * When a fault strikes. A rule names a fault and narrows it: by operation, by label or contract, after so many chances,
 * so many times, with a probability. What falls is a function of the rules, their seeds and the sequence of calls. With
 * `file` the rules, their dice and the counts outlive a SIGKILL of the stand-in.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { FAULTS, type FaultName, kindOf, OPERATIONS } from "./faults.ts";

export interface FaultOrder {
  name: FaultName;
  /** Strikes so often and is spent; without it until it is cleared. */
  times?: number;
  /** So many chances pass first. */
  after?: number;
  probability?: number;
  seed?: number;
  /** Only this operation. */
  on?: string;
  /** Only contracts whose label begins so. */
  label?: string;
  /** Only this contract. */
  id?: number;
  variant?: string;
  ms?: number;
  amount?: number;
}

export interface Rule extends FaultOrder {
  rule: number;
  /** Chances it had, and those of them that struck. */
  chances: number;
  struck: number;
}

interface Armed extends Rule {
  /** The die's state. */
  die: number;
}

export interface FaultHit {
  variant: string;
  ms: number;
  amount: number;
}

export interface FaultSubject {
  on: string;
  label?: string | null;
  id?: number;
}

/** How often each fault struck, in all and by operation. */
export type FaultCounts = Record<string, { struck: number; on: Record<string, number> }>;

export type Checked<T> = ({ ok: true } & T) | { ok: false; message: string };

export interface Faults {
  /** Adds a rule. */
  arm(order: unknown): Checked<{ rule: number }>;
  /** Replaces all rules, or none when one of them is wrong. `seed` is that of each rule that names none. */
  replace(orders: unknown, seed?: unknown): Checked<object>;
  /** A fault's name or a rule's number; all without one. */
  clear(which?: string): void;
  list(): Rule[];
  counts(): FaultCounts;
  clearCounts(): void;
  /** Whether the fault strikes now; asking counts as one chance of each rule that fits. */
  strike(name: FaultName, subject: FaultSubject): FaultHit | null;
}

interface Kept {
  version: 1;
  /** The orders that the program was started with: the same ones after a SIGKILL go on, other ones begin. */
  given: string;
  next: number;
  rules: Armed[];
  counts: FaultCounts;
}

const KEYS = ["name", "times", "after", "probability", "seed", "on", "label", "id", "variant", "ms", "amount"];

/** One step of mulberry32: small, seedable, good enough for a die. */
function roll(armed: Armed): number {
  armed.die = (armed.die + 0x6d2b79f5) >>> 0;
  let t = armed.die;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

export function checkFault(order: unknown): Checked<{ order: FaultOrder }> {
  const refuse = (message: string) => ({ ok: false as const, message });
  if (order === null || typeof order !== "object" || Array.isArray(order)) return refuse("a fault is a JSON object");
  const given = order as Record<string, unknown>;
  const { name, probability, variant, on, label, amount } = given;
  if (typeof name !== "string" || !Object.hasOwn(FAULTS, name)) {
    return refuse(`no fault named ${JSON.stringify(name)}; known: ${Object.keys(FAULTS).join(", ")}`);
  }
  const odd = Object.keys(given).find((key) => !KEYS.includes(key));
  if (odd) return refuse(`unknown option ${odd}; known: ${KEYS.join(", ")}`);
  for (const key of ["times", "after", "seed", "id", "ms"]) {
    const value = given[key];
    if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= 0)) {
      return refuse(`${key} must be a whole number, 0 or more`);
    }
  }
  if (amount !== undefined && !Number.isSafeInteger(amount)) return refuse("amount must be a whole number");
  if (probability !== undefined && !(typeof probability === "number" && probability >= 0 && probability <= 1)) {
    return refuse("probability must be between 0 and 1");
  }
  if (label !== undefined && typeof label !== "string") return refuse("label must be a text");
  const kind = kindOf(name as FaultName);
  const places = kind.at[0] === "any" ? OPERATIONS : kind.at;
  if (on !== undefined && !(typeof on === "string" && places.includes(on))) {
    return refuse(`${name} cannot strike on ${JSON.stringify(on)}; it can on ${places.join(", ")}`);
  }
  for (const [key, has] of [
    ["ms", kind.ms],
    ["amount", kind.amount],
  ] as const) {
    if (given[key] !== undefined && has === undefined) return refuse(`${name} takes no ${key}`);
  }
  const variants = kind.variants ?? [];
  if (variant !== undefined && !variants.includes(String(variant))) {
    return refuse(`${name} has ${variants.length ? `the variants ${variants.join(", ")}` : "no variants"}`);
  }
  const text = variant === undefined ? {} : { variant: String(variant) };
  return { ok: true, order: { ...(given as unknown as FaultOrder), ...text } };
}

/** `given`: orders to begin with, a list as JSON. Errors: throws with words for people when they are wrong. */
export function createFaults({ file, given = "" }: { file?: string; given?: string } = {}): Faults {
  const kept: Kept = (file && loadKept(file)) || { version: 1, given: "", next: 1, rules: [], counts: {} };
  const save = () => {
    if (!file) return;
    writeFileSync(`${file}.new`, JSON.stringify(kept), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };

  const add = (order: FaultOrder, seed: number) => {
    const rule = kept.next++;
    kept.rules.push({ ...order, rule, chances: 0, struck: 0, die: order.seed ?? seed });
    return rule;
  };

  const isFor = (rule: Armed, name: FaultName, subject: FaultSubject) =>
    rule.name === name &&
    (rule.on === undefined || rule.on === subject.on) &&
    (rule.id === undefined || rule.id === subject.id) &&
    (rule.label === undefined || (subject.label ?? "").startsWith(rule.label)) &&
    (rule.times === undefined || rule.struck < rule.times);

  const strikesNow = (rule: Armed) => {
    if (++rule.chances <= (rule.after ?? 0)) return false;
    return rule.probability === undefined || roll(rule) < rule.probability;
  };

  const faults: Faults = {
    arm(order) {
      const checked = checkFault(order);
      if (!checked.ok) return checked;
      const rule = add(checked.order, 1);
      save();
      return { ok: true, rule };
    },

    replace(orders, seed = 1) {
      if (!Array.isArray(orders)) return { ok: false, message: "rules must be a list of faults" };
      if (!(Number.isSafeInteger(seed) && (seed as number) >= 0)) {
        return { ok: false, message: "seed must be a whole number, 0 or more" };
      }
      const checked = orders.map(checkFault);
      const wrong = checked.findIndex((one) => !one.ok);
      const refused = checked[wrong];
      if (refused && !refused.ok) return { ok: false, message: `rule ${wrong + 1}: ${refused.message}` };
      kept.rules = [];
      // Two rules with one seed would strike in step.
      for (const [index, one] of checked.entries()) {
        if (one.ok) add(one.order, Math.imul((seed as number) + 1, 0x9e3779b1) + index * 0x85ebca6b);
      }
      save();
      return { ok: true };
    },

    clear(which) {
      kept.rules = kept.rules.filter(
        (rule) => which !== undefined && rule.name !== which && String(rule.rule) !== which,
      );
      save();
    },

    list: () => kept.rules.map(({ die: _, ...rule }) => rule),
    counts: () => structuredClone(kept.counts),
    clearCounts() {
      kept.counts = {};
      save();
    },

    strike(name, subject) {
      const fitting = kept.rules.filter((rule) => isFor(rule, name, subject));
      if (fitting.length === 0) return null;
      const rule = fitting.find(strikesNow);
      if (rule) {
        kept.counts[name] ??= { struck: 0, on: {} };
        const count = kept.counts[name];
        count.struck++;
        count.on[subject.on] = (count.on[subject.on] ?? 0) + 1;
        rule.struck++;
      }
      save();
      if (!rule) return null;
      const kind = kindOf(name);
      const variants = kind.variants ?? [""];
      return {
        variant: rule.variant ?? variants[(rule.struck - 1) % variants.length]!,
        ms: rule.ms ?? kind.ms ?? 0,
        amount: rule.amount ?? kind.amount?.default ?? 0,
      };
    },
  };

  if (given !== kept.given) {
    if (given !== "") begin(faults, given);
    kept.given = given;
    save();
  }
  return faults;
}

/** A list of rules, or {"seed", "rules"}. */
function begin(faults: Faults, given: string): void {
  let orders: unknown;
  try {
    orders = JSON.parse(given);
  } catch {
    throw new Error(`the faults to begin with are not JSON: ${given.slice(0, 100)}`);
  }
  const { rules, seed } = Array.isArray(orders)
    ? { rules: orders, seed: 1 }
    : { ...(orders as { rules: []; seed: 1 }) };
  const done = faults.replace(rules, seed);
  if (!done.ok) throw new Error(`the faults to begin with are wrong: ${done.message}`);
}

function loadKept(file: string): Kept | null {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Rules end with the stand-in that is ended in order; those of one that was killed go on. */
export function forgetFaults(file: string): void {
  rmSync(file, { force: true });
}
