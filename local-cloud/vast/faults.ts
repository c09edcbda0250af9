/**
 * What can go wrong at vast.ai, on demand. One table: a fault is a name, the place where it strikes, and what it does.
 * Armed with `times` it strikes so often and is spent; with `probability` it strikes by a seeded die; with neither it
 * strikes until it is cleared.
 */

interface FaultKind {
  does: string;
  /** Shapes it takes in turn, unless one is asked for. */
  variants?: readonly string[];
  /** What `ms` means and its default, for faults that last. */
  ms?: number;
}

export const FAULTS = {
  rate_limited: { does: "429 on any call (or on the one in `on`)", variants: ["text", "detail", "json"] },
  rate_limits: { does: "vast.ai's own least intervals between calls are enforced" },
  auth_error: { does: "the key is refused with 404 auth_error, as when it was revoked" },
  html_502: { does: "502 with an HTML page on any call (or on the one in `on`)" },
  slow: { does: "the answer waits `ms`", ms: 2000 },
  search_empty: { does: "no offer at all" },
  search_ignores_filters: { does: "the search forgets its filters" },
  offer_taken: { does: "the offer was taken a moment ago", variants: ["400", "404", "410"] },
  create_refused: { does: "400 invalid_args" },
  create_fails: { does: "500, and no machine is made" },
  create_timeout_but_created: { does: "the machine is made; after `ms` the connection drops with no answer", ms: 0 },
  create_error_with_contract: { does: "success false, yet a stopped contract was made and bills its disk" },
  insufficient_credit: { does: "create is refused: no credit" },
  list_fails: { does: "the list of instances fails", variants: ["html_502", "success_false", "410", "bad_json"] },
  list_short: { does: "a page leaves one instance out, the total still counts it" },
  list_lag: { does: "a new instance is not listed for `ms`", ms: 3000 },
  destroy_fails: { does: "destroy is not done", variants: ["500", "success_false", "html_502"] },
  destroy_lag: { does: "a destroyed instance stays listed for `ms`", ms: 3000 },
  boot_never: { does: "the boot stays in loading for ever" },
  boot_gpu_error: { does: "the boot stays in created with: GPU error, unable to start instance" },
  boot_image_error: { does: "the boot fails with: manifest unknown" },
  boot_exited: { does: "the boot ends in exited" },
  start_queued: { does: "start succeeds but is queued: no GPU is free (with `ms`: it starts that much later)", ms: 0 },
  flap: { does: "the instance is listed as not reachable", variants: ["offline", "unknown", "exited"] },
  status_null: { does: "the instance is listed with null status and message" },
  ports_late: { does: "the instance is listed without its ports" },
  interrupted: { does: "at the next list the instance is stopped by vast.ai (outbid, or out of credit)" },
} as const satisfies Record<string, FaultKind>;

export type FaultName = keyof typeof FAULTS;

export interface FaultOrder {
  name: FaultName;
  times?: number;
  probability?: number;
  seed?: number;
  /** Only this operation: search, create, list, get, label, start, stop, reboot, destroy, logs. */
  on?: string;
  /** Only contracts whose label begins so. */
  label?: string;
  /** Only this contract. */
  id?: number;
  variant?: string;
  ms?: number;
}

export interface FaultHit {
  variant: string;
  ms: number;
}

interface Armed extends FaultOrder {
  struck: number;
  roll: () => number;
}

export interface FaultSubject {
  on?: string;
  label?: string | null;
  id?: number;
}

export interface Faults {
  arm(order: unknown): { ok: true } | { ok: false; message: string };
  clear(name?: string): void;
  list(): (FaultOrder & { struck: number })[];
  /** Whether the fault strikes now; asking counts as one chance of it. */
  strike(name: FaultName, subject?: FaultSubject): FaultHit | null;
}

/** mulberry32: small, seedable, good enough for a die. */
function makeDie(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const KEYS = ["name", "times", "probability", "seed", "on", "label", "id", "variant", "ms"];

export function checkFault(order: unknown): { ok: true; order: FaultOrder } | { ok: false; message: string } {
  const refuse = (message: string) => ({ ok: false as const, message });
  if (order === null || typeof order !== "object" || Array.isArray(order)) return refuse("a fault is a JSON object");
  const given = order as Record<string, unknown>;
  const name = given.name;
  if (typeof name !== "string" || !Object.hasOwn(FAULTS, name)) {
    return refuse(`no fault named ${JSON.stringify(name)}; known: ${Object.keys(FAULTS).join(", ")}`);
  }
  const odd = Object.keys(given).find((key) => !KEYS.includes(key));
  if (odd) return refuse(`unknown option ${odd}; known: ${KEYS.join(", ")}`);
  for (const key of ["times", "seed", "id", "ms"]) {
    const value = given[key];
    if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= 0)) {
      return refuse(`${key} must be a whole number, 0 or more`);
    }
  }
  const { probability, variant } = given;
  if (probability !== undefined && !(typeof probability === "number" && probability >= 0 && probability <= 1)) {
    return refuse("probability must be between 0 and 1");
  }
  const variants: readonly string[] = (FAULTS[name as FaultName] as FaultKind).variants ?? [];
  if (variant !== undefined && !variants.includes(String(variant))) {
    return refuse(`${name} has ${variants.length ? `the variants ${variants.join(", ")}` : "no variants"}`);
  }
  return {
    ok: true,
    order: { ...(given as unknown as FaultOrder), ...(variant !== undefined && { variant: String(variant) }) },
  };
}

export function createFaults(): Faults {
  let armed: Armed[] = [];

  const strikesNow = (fault: Armed, subject: FaultSubject) => {
    if (fault.on !== undefined && fault.on !== subject.on) return false;
    if (fault.id !== undefined && fault.id !== subject.id) return false;
    if (fault.label !== undefined && !(subject.label ?? "").startsWith(fault.label)) return false;
    if (fault.times !== undefined && fault.struck >= fault.times) return false;
    return fault.probability === undefined || fault.roll() < fault.probability;
  };

  return {
    arm(given) {
      const checked = checkFault(given);
      if (!checked.ok) return checked;
      const { order } = checked;
      armed.push({ ...order, struck: 0, roll: makeDie(order.seed ?? 1) });
      return { ok: true };
    },
    clear(name) {
      armed = name === undefined ? [] : armed.filter((fault) => fault.name !== name);
    },
    list: () => armed.map(({ roll: _, ...fault }) => fault),
    strike(name, subject = {}) {
      const fault = armed.find((one) => one.name === name && strikesNow(one, subject));
      if (!fault) return null;
      const kind: FaultKind = FAULTS[name];
      const variants = kind.variants ?? [""];
      const hit = { variant: fault.variant ?? variants[fault.struck % variants.length]!, ms: fault.ms ?? kind.ms ?? 0 };
      fault.struck++;
      return hit;
    },
  };
}
