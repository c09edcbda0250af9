/**
 * What can go wrong at vast.ai, on demand: the one table of faults. A fault is a name, the calls it can hit, and what it
 * does there; rules (fault-rules.ts) say when it strikes. docs/LOCAL-CLOUD.md is checked against this table.
 */

/** A call by its meaning: a change is a label, a stop or a start. */
export const OPERATIONS = [
  ...["search", "create", "list", "get", "label", "stop", "start", "reboot", "destroy", "logs"],
  ...["list_v0", "filters", "gpu_names", "user", "ssh"],
] as const satisfies readonly string[];

export interface FaultKind {
  does: string;
  /** The operations it can hit. "any": all of them. "boot": each boot of a machine. */
  at: readonly string[];
  /** Shapes it takes in turn, unless one is asked for. */
  variants?: readonly string[];
  /** Default of `ms`, for faults that last. */
  ms?: number;
  /** Default and meaning of `amount`, for faults of a size. */
  amount?: { default: number; means: string };
}

const ANY = ["any"];
const BY_ID = ["label", "stop", "start", "reboot", "destroy"];
const ROWS = ["list", "get"];

/** Before anything has happened: the call has no effect. */
const REFUSALS = {
  slow: { does: "the call waits `ms` before it takes effect", at: ANY, ms: 2000 },
  lost_before: {
    does: "no effect; after `ms` of silence the connection is reset or closed",
    at: ANY,
    variants: ["reset", "close"],
    ms: 0,
  },
  auth_error: { does: "the key is refused as if it were revoked", at: ANY, variants: ["404", "401"] },
  forbidden: { does: "the key lacks the permission", at: ANY, variants: ["403", "401"] },
  html_502: { does: "no effect; 502 with an HTML page", at: ANY },
  error_5xx: {
    does: "no effect; a server error, the first two as JSON and the others as HTML",
    at: ANY,
    variants: ["500", "503", "502", "504"],
  },
  success_false: { does: "no effect; 200 with success:false", at: ANY },
  rate_limited: {
    does: "no effect; 429 in one of its bodies, `header` and `date` with a Retry-After of `amount` seconds",
    at: ANY,
    variants: ["text", "detail", "json", "header", "date"],
    amount: { default: 7, means: "seconds in Retry-After" },
  },
  rate_limits: { does: "vast.ai's own least intervals between calls are enforced", at: ANY },
  not_found: {
    does: "no effect; 404 for a machine that is there",
    at: [...BY_ID, "logs"],
    variants: ["no_such_instance", "not_found", "html"],
  },
  ignored: { does: "success is answered and nothing is done", at: BY_ID },
} as const satisfies Record<string, FaultKind>;

/** After the call has taken effect: the answer is lost or spoiled. */
const ANSWERS = {
  answer_slow: { does: "the call takes effect at once, its answer waits `ms`", at: ANY, ms: 2000 },
  answer_trickle: {
    does: "the answer comes at `amount` bytes per second",
    at: ANY,
    amount: { default: 200, means: "bytes per second" },
  },
  lost_after: {
    does: "the call takes effect; after `ms` of silence the connection is reset or closed",
    at: ANY,
    variants: ["reset", "close"],
    ms: 0,
  },
  answer_cut: { does: "the call takes effect; the connection ends in the middle of the answer", at: ANY },
  error_after: {
    does: "the call takes effect; the answer is a server error",
    at: ANY,
    variants: ["500", "502", "503", "504"],
  },
  answer_garbled: {
    does: "the call takes effect; status 200 and a body that is no JSON object",
    at: ANY,
    variants: ["truncated", "html", "text", "empty", "array", "null"],
  },
  answer_repeated: { does: "the call takes effect; the answer is the one of the call of its kind before", at: ANY },
  call_doubled: {
    does: "the call is carried out twice, as by a proxy that repeats; the second answer is sent",
    at: ANY,
  },
} as const satisfies Record<string, FaultKind>;

const MARKET = {
  search_empty: { does: "no offer at all", at: ["search"] },
  search_ignores_filters: { does: "the search forgets its filters", at: ["search"] },
  search_stale: { does: "offers that are rented already are still shown", at: ["search"] },
  numbers_as_text: { does: "numbers in offers or machines come as text", at: ["search", ...ROWS] },
  offer_taken: {
    does: "the offer was taken a moment ago, or is one's own",
    at: ["create"],
    variants: ["400", "404", "410", "403"],
  },
  price_changed: {
    does: "the machine costs `amount` percent of the price offered",
    at: ["create"],
    amount: { default: 150, means: "percent of the offered price" },
  },
  create_refused: { does: "400 invalid_args", at: ["create"] },
  insufficient_credit: {
    does: "create is refused: no credit, or no more may be spent for now",
    at: ["create"],
    variants: ["400", "402", "spend_rate_limit"],
  },
  create_timeout_but_created: {
    does: "the machine is made; after `ms` the connection drops with no answer",
    at: ["create"],
    ms: 0,
  },
  create_error_with_contract: {
    does: "success false, yet a stopped contract was made and bills its disk",
    at: ["create"],
    variants: ["400", "200"],
  },
  create_queued: {
    does: "a contract is made that waits for a GPU, and success is answered (with `ms`: it boots that much later)",
    at: ["create"],
    ms: 0,
  },
  created_twice: { does: "two machines are made with one label, the answer names the first", at: ["create"] },
  label_lost: { does: "the machine is made without its label", at: ["create"] },
} as const satisfies Record<string, FaultKind>;

const LISTS = {
  list_fails: {
    does: "the list of instances fails",
    at: ["list"],
    variants: ["html_502", "success_false", "410", "bad_json", "no_list", "null_list", "list_is_object", "no_total"],
  },
  list_short: { does: "a page leaves one instance out, the total still counts it", at: ["list"] },
  list_empty: {
    does: "no instance on the page, and one of the totals still counts them",
    at: ["list"],
    variants: ["total_instances", "instances_found"],
  },
  list_misses: { does: "the instance is in no page and in no total", at: ["list"] },
  list_stale: {
    does: "the list is as it was `ms` ago (as far as lists were asked for since the rule came)",
    at: ["list"],
    ms: 5000,
  },
  list_doubled: { does: "the page holds its last instance twice", at: ["list"] },
  list_row_odd: {
    does: "one row of the page cannot be understood",
    at: ["list"],
    variants: ["no_id", "null", "text", "bad_id"],
  },
  list_pages: {
    does: "pages hold `amount` instances, whatever the limit says",
    at: ["list"],
    amount: { default: 1, means: "instances on a page" },
  },
  list_circle: { does: "every page names the first page as the next one", at: ["list"] },
  list_token_refused: { does: "400 invalid_token on any page but the first", at: ["list"] },
  list_lag: { does: "a new instance is neither listed nor found for `ms`", at: ["create"], ms: 3000 },
} as const satisfies Record<string, FaultKind>;

const ROW_FAULTS = {
  flap: { does: "the instance is shown as not reachable", at: ROWS, variants: ["offline", "unknown", "exited"] },
  status_null: { does: "the instance is shown with null status and message", at: ROWS },
  ports_late: { does: "the instance is shown without its ports", at: ROWS },
  label_hidden: { does: "the instance is shown without its label", at: ROWS },
  start_date_skew: {
    does: "start_date is off by `amount` seconds",
    at: ROWS,
    amount: { default: -7200, means: "seconds, negative for the past" },
  },
} as const satisfies Record<string, FaultKind>;

const CHANGES = {
  destroy_fails: {
    does: "destroy is not done",
    at: ["destroy"],
    variants: ["500", "success_false", "html_502"],
  },
  destroy_lag: {
    does: "a destroyed instance stays listed for `ms`: already unloaded, or running and billed all that time",
    at: ["destroy"],
    variants: ["unloaded", "running"],
    ms: 3000,
  },
  stop_lag: { does: "a stop is accepted and done `ms` later", at: ["stop"], ms: 3000 },
  start_queued: {
    does: "start succeeds but is queued, with and without words: no GPU is free (with `ms`: it starts that much later)",
    at: ["start"],
    variants: ["said", "silent"],
    ms: 0,
  },
} as const satisfies Record<string, FaultKind>;

const MACHINES = {
  boot_never: {
    does: "the boot never ends: in loading, in created, or with no status at all",
    at: ["boot"],
    variants: ["loading", "created", "null"],
  },
  boot_slow: { does: "the boot takes `ms` longer", at: ["boot"], ms: 5000 },
  boot_gpu_error: { does: "the boot stays in created with: GPU error, unable to start instance", at: ["boot"] },
  boot_host_error: {
    does: "the boot stays in loading with a message that dooms it, by the host's fault",
    at: ["boot"],
    variants: ["no_space", "eof", "cdi", "dockerfile", "nvidia_container", "device_handle"],
  },
  boot_image_error: {
    does: "the boot stays in loading with a message that dooms it, by the image's fault",
    at: ["boot"],
    variants: ["manifest_unknown", "pull_denied", "unauthorized"],
  },
  boot_exited: { does: "the boot ends dead", at: ["boot"], variants: ["exited", "unknown", "offline"] },
  interrupted: { does: "the running instance is stopped by vast.ai (outbid, or out of credit)", at: ["list"] },
  host_dies: {
    does: "the host dies with every process of the machine: listed as offline and not billed, or gone for good",
    at: ["list"],
    variants: ["offline", "gone"],
  },
} as const satisfies Record<string, FaultKind>;

export const FAULTS = { ...REFUSALS, ...ANSWERS, ...MARKET, ...LISTS, ...ROW_FAULTS, ...CHANGES, ...MACHINES };

export type FaultName = keyof typeof FAULTS;

export const kindOf = (name: FaultName): FaultKind => FAULTS[name];
