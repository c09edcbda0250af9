/** The stand-in's faults as the campaign orders them: where, in which shapes, and how long at most. */
import { FAULTS, type FaultName, kindOf } from "../../local-cloud/vast/faults.ts";

export interface RuleDraft {
  name: FaultName;
  on?: string;
  /** Only for machines of the instance whose cycle it is. */
  narrow?: boolean;
  variants?: readonly string[];
  /** From, to. */
  ms?: readonly [number, number];
  amount?: number;
  /** How often it strikes at most. */
  most?: number;
}

const draft = (name: FaultName, rest: Omit<RuleDraft, "name"> = {}): RuleDraft => {
  const { variants, ms } = kindOf(name);
  return { name, ...(variants && { variants }), ...(ms !== undefined && { ms: [0, 1_500] as const }), ...rest };
};
const on = (operation: string, names: readonly FaultName[], rest: Omit<RuleDraft, "name"> = {}) =>
  names.map((name) => draft(name, { on: operation, ...rest }));

/** Longer waits than a client's patience would only make the campaign slow. */
const refusals = ["lost_before", "html_502", "error_5xx", "success_false"] as const;
const spoiled = ["lost_after", "answer_cut", "error_after", "answer_garbled"] as const;
const limited = { name: "rate_limited", variants: ["header", "json"], amount: 1, most: 1 } as const;

/** Lists are asked for in both halves. */
export const anyHalf: readonly RuleDraft[] = [
  ...on("list", [...refusals, ...spoiled, "auth_error", "forbidden", "answer_slow", "numbers_as_text"]),
  ...on("list", ["call_doubled", "answer_repeated"]),
  { ...limited, on: "list" },
  draft("list_fails"),
  draft("list_short"),
  draft("list_empty"),
  draft("list_stale"),
  draft("list_doubled"),
  draft("list_row_odd"),
  draft("list_pages", { amount: 1 }),
  draft("list_circle"),
  draft("list_token_refused"),
  // Twice in a row it would deceive everybody who has nothing but lists.
  draft("list_misses", { narrow: true, most: 1 }),
  draft("flap", { narrow: true }),
  draft("status_null", { narrow: true }),
  draft("ports_late", { narrow: true }),
  draft("label_hidden", { narrow: true }),
  draft("start_date_skew", { narrow: true }),
];

export const asleepRules: readonly RuleDraft[] = [
  ...on("destroy", [...refusals, ...spoiled, "auth_error", "forbidden", "not_found", "ignored"], { narrow: true }),
  ...on("destroy", ["answer_repeated", "call_doubled", "answer_slow", "slow"], { narrow: true }),
  { ...limited, on: "destroy", narrow: true },
  draft("destroy_fails", { narrow: true }),
  draft("destroy_lag", { narrow: true, ms: [200, 2_500] }),
  ...on("stop", [...refusals, ...spoiled, "not_found", "ignored", "answer_slow", "call_doubled"], { narrow: true }),
  draft("stop_lag", { narrow: true, ms: [200, 2_500] }),
];

export const wakeRules: readonly RuleDraft[] = [
  ...on("create", [...refusals, ...spoiled, "auth_error", "answer_repeated", "call_doubled", "answer_slow", "slow"], {
    narrow: true,
    most: 2,
  }),
  ...on("search", [...refusals, "answer_garbled", "numbers_as_text"]),
  ...(
    [
      ...["search_empty", "search_ignores_filters", "search_stale"],
      ...["offer_taken", "create_refused", "insufficient_credit", "create_timeout_but_created"],
      ...["create_error_with_contract", "create_queued", "created_twice", "label_lost", "list_lag"],
      ...["boot_never", "boot_gpu_error", "boot_host_error", "boot_image_error", "boot_exited"],
    ] as FaultName[]
  ).map((name) => draft(name, { ...(kindOf(name).at[0] !== "search" && { narrow: true }), most: 2 })),
  draft("price_changed", { narrow: true, amount: 150 }),
  draft("boot_slow", { narrow: true, ms: [500, 3_000] }),
  ...on("destroy", ["lost_after", "not_found", "ignored", "error_5xx"], { narrow: true }),
  ...on("start", [...refusals, ...spoiled, "not_found", "ignored", "answer_slow", "call_doubled"], { narrow: true }),
  draft("start_queued", { narrow: true, most: 1, ms: [1_000, 8_000] }),
];

/** Every fault that the stand-in knows and the campaign never orders, with the reason; looked at by a test. */
export const leftOut: Partial<Record<FaultName, string>> = {
  rate_limits: "the campaign calls faster than vast.ai would allow, so that a cycle takes seconds",
  answer_trickle: "a list at some bytes per second takes longer than a whole cycle",
  interrupted: "a machine that vast.ai stopped waits for its owner",
  host_dies: "hosts die at chosen steps instead",
};

export function orderedNames(): Set<FaultName> {
  return new Set([...anyHalf, ...asleepRules, ...wakeRules].map(({ name }) => name));
}

export const allNames = Object.keys(FAULTS) as FaultName[];
