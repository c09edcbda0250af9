/** vast.ai's own routes: what a request means, and the answer in vast.ai's words. */
import { randomBytes } from "node:crypto";
import type { Cloud } from "./cloud.ts";
import type { Faults } from "./faults.ts";
import { checkFilters, type Filters, matchesFilters, orderRows, type Row, readOrder } from "./query.ts";
import type { Contract } from "./state.ts";
import { failure, html502, offerTaken, type Reply, success } from "./wire.ts";

export interface ApiRequest {
  method: string;
  /** Without a trailing slash. */
  path: string;
  query: URLSearchParams;
  body: unknown;
}

/** An answer that never comes: the connection is cut after so many milliseconds. */
export interface Cut {
  cutAfterMs: number;
}

export interface Caller {
  /** The whole account, or one machine with its own key, or nobody. */
  as: "account" | "machine" | "nobody";
  id?: number;
}

interface Context {
  cloud: Cloud;
  faults: Faults;
  request: ApiRequest;
  caller: Caller;
  contract: Contract | null;
  id: number;
  baseUrl: () => string;
  logs: Map<string, { text: string; readyAt: number }>;
  now: () => number;
}

type Handler = (context: Context) => Reply | Cut | Promise<Reply | Cut>;

interface Route {
  method: string;
  path: RegExp;
  /** The name that faults and intervals know it by. */
  name: string;
  /** Least seconds between two calls, as vast.ai has it. */
  interval?: number;
  /** May be asked without a key, or with a machine's own key. */
  open?: boolean;
  ownKey?: boolean;
  handle: Handler;
}

const MAX_OFFERS = 64;
const MAX_PAGE = 25;
const MAX_ONSTART = 4048;

const noSuchInstance = (id: number) =>
  failure(404, "no_such_instance", `error 404/3602: no_such_instance Instance ${id} not found.`);
const invalid = (message: string) => failure(400, "invalid_args", `error 400/3467: Invalid args: ${message}`);
const asObject = (value: unknown): Record<string, unknown> | null =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Record<string, unknown>) : null;

function readOfferField(row: Row, field: string, value: unknown): unknown {
  if (field === "id") return undefined; // A filter on id matches nothing, there as here.
  if (field === "verified") return row.verification === "verified";
  if (field === "geolocation") return String(row.geolocation).split(", ").at(-1);
  if (field === "driver_version" && /^\d+$/.test(String(value))) return row.driver_vers;
  return row[field];
}

const NOT_FILTERS = [
  "order",
  "type",
  "limit",
  "allocated_storage",
  "disable_bundling",
  "rented",
  "select_cols",
  "datacenter",
];

function searchOffers({ cloud, faults, request }: Context): Reply {
  const given = request.method === "GET" ? parseJson(request.query.get("q") ?? "{}") : request.body;
  const whole = asObject(given);
  const query = whole && request.path.endsWith("/search/asks") ? asObject(whole.q) : whole;
  if (!query) return { status: 400, body: { error: "invalid_request", msg: "Invalid json body" } };
  if (faults.strike("search_empty", { on: "search" })) return { status: 200, body: { offers: [] } };
  const filters: Filters = Object.fromEntries(Object.entries(query).filter(([key]) => !NOT_FILTERS.includes(key)));
  const wrong = checkFilters(filters);
  if (wrong) return invalid(wrong);
  const diskGb = Number(query.allocated_storage ?? 8);
  const type = String(query.type ?? "on-demand");
  let rows = cloud.offers(Number.isFinite(diskGb) ? diskGb : 8);
  if (type === "bid") rows = rows.map((row) => ({ ...row, is_bid: true, dph_base: row.min_bid }));
  if (!faults.strike("search_ignores_filters", { on: "search" })) {
    rows = rows.filter((row) => matchesFilters(row, filters, readOfferField));
  }
  const limit = Math.min(MAX_OFFERS, Math.max(1, Number(query.limit) || MAX_OFFERS));
  return {
    status: 200,
    body: { offers: orderRows(rows, readOrder(query.order, [["score", "desc"]])).slice(0, limit) },
  };
}

function readEnv(value: unknown): Record<string, string> | null {
  if (value === null || value === undefined || typeof value === "string") return {}; // A string of flags has no effect.
  const env = asObject(value);
  return env && Object.fromEntries(Object.entries(env).map(([name, text]) => [name, String(text)]));
}

function checkCreate(body: Record<string, unknown>): string | null {
  const { onstart, label, disk, image, template_hash_id: template } = body;
  if (typeof image !== "string" && typeof template !== "string") return "image is required";
  if (typeof image === "string" && image.length > 1024) return "image is too long";
  if (disk !== undefined && disk !== null && !(Number(disk) >= 8)) return "disk must be at least 8 GB";
  if (typeof onstart === "string" && onstart.length > MAX_ONSTART) return `onstart is longer than ${MAX_ONSTART}`;
  if (typeof label === "string" && label.length > 256) return "label is longer than 256";
  const env = readEnv(body.env);
  if (!env) return "env must be an object";
  if (Object.entries(env).join("").length > 32_768) return "env is too long";
  return null;
}

function createInstance({ cloud, faults, request, id: offerId }: Context): Reply | Cut {
  const body = asObject(request.body);
  if (!body) return { status: 400, body: { error: "invalid_request", msg: "Invalid json body" } };
  const wrong = checkCreate(body);
  if (wrong) return invalid(wrong);
  const label = typeof body.label === "string" && body.label !== "" ? body.label : null;
  const subject = { on: "create", label };
  if (faults.strike("insufficient_credit", subject)) {
    return failure(
      400,
      "insufficient_credit",
      "error 400/3410: insufficient_credit Your account lacks credit; see the billing page.",
    );
  }
  if (faults.strike("create_refused", subject)) return invalid("image is not a valid image");
  if (faults.strike("create_fails", subject)) return failure(500, "server_error", "Internal server error");
  const taken = faults.strike("offer_taken", subject);
  if (taken) return offerTaken(offerId, taken.variant);
  const offer = cloud.findOffer(offerId);
  if (!offer) return offerTaken(offerId, "404");
  const price = body.price === null || body.price === undefined ? null : Number(body.price);
  if (price !== null && !(price >= 0.001 && price <= 128))
    return failure(400, "invalid_price", "error 400/3470: invalid_price");

  const refused = faults.strike("create_error_with_contract", subject);
  const contract = cloud.create({
    offerId,
    image: typeof body.image === "string" ? body.image : "vastai/base-image:latest",
    diskGb: Number(body.disk ?? 10),
    label,
    env: readEnv(body.env) ?? {},
    onstart: typeof body.onstart === "string" ? body.onstart : null,
    runtype: typeof body.runtype === "string" ? body.runtype : "ssh",
    stopped: refused !== null || body.target_state === "stopped",
  });
  if (refused) {
    const msg = "The instance was created but could not be scheduled.";
    return { status: 400, body: { success: false, error: "scheduling_failed", msg, new_contract: contract.id } };
  }
  const lost = faults.strike("create_timeout_but_created", subject);
  if (lost) return { cutAfterMs: lost.ms };
  return success({ new_contract: contract.id, instance_api_key: contract.apiKey });
}

const COMPUTED = ["dph_total", "dph_base", "num_gpus", "uptime_mins"];

function readArgument(query: URLSearchParams, name: string): unknown {
  const text = query.get(name);
  return text === null || text === "" ? undefined : parseJson(text);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readPageStart(token: string | null, rows: Row[]): number | null {
  if (token === null || token === "") return 0;
  const read = asObject(parseJson(Buffer.from(token, "base64url").toString()));
  if (!read || typeof read.id !== "number" || typeof read.at !== "number") return null;
  const index = rows.findIndex((row) => row.id === read.id);
  return index >= 0 ? index + 1 : Math.min(read.at, rows.length);
}

function listInstances({ cloud, faults, request }: Context): Reply {
  const broken = faults.strike("list_fails", { on: "list" });
  if (broken?.variant === "html_502") return html502();
  if (broken?.variant === "success_false")
    return { status: 200, body: { success: false, error: "server_error", msg: "try again" } };
  if (broken?.variant === "410") return deadList();
  if (broken) return { status: 200, type: "application/json", body: '{"success":true,"instances":[{"id":40' };

  const { query } = request;
  const filters = asObject(readArgument(query, "select_filters") ?? {});
  const wrong = filters ? checkFilters(filters) : "select_filters must be an object";
  if (!filters || wrong) return invalid(String(wrong));
  const computed = Object.keys(filters).find((field) => COMPUTED.includes(field));
  if (computed) return invalid(`column ${computed} cannot be filtered`);
  const order = readOrder(readArgument(query, "order_by"), [["id", "asc"]]);
  const all = orderRows(
    cloud.rows().filter((row) => matchesFilters(row, filters, (one, field) => one[field])),
    [...order, ["id", "asc"]],
  );
  const start = readPageStart(query.get("after_token"), all);
  if (start === null) return failure(400, "invalid_token", "error 400: after_token is not valid");
  const asked = query.has("limit") ? Number(query.get("limit")) : MAX_PAGE;
  const limit = asked > 0 ? Math.min(asked, MAX_PAGE) : 5;
  const end = Math.min(start + limit, all.length);
  let page = all.slice(start, end);
  const next =
    end < all.length ? Buffer.from(JSON.stringify({ id: all[end - 1]!.id, at: end })).toString("base64url") : null;
  if (page.length > 0 && faults.strike("list_short", { on: "list" })) page = page.slice(0, -1);
  const columns = readArgument(query, "select_cols");
  const counts: Record<string, number> = {};
  for (const row of all) counts[String(row.label ?? "")] = (counts[String(row.label ?? "")] ?? 0) + 1;
  return success({
    instances_found: all.length,
    total_instances: all.length,
    label_counts: counts,
    next_token: next,
    instances: page.map((row) => selectColumns(row, columns)),
  });
}

function selectColumns(row: Row, columns: unknown): Row {
  if (!Array.isArray(columns) || columns.includes("*")) return row;
  return Object.fromEntries(columns.map((column) => [column, row[column] ?? null]));
}

const deadList = () =>
  failure(410, "deprecated_endpoint", "/api/v0/instances/ is deprecated. Use /api/v1/instances/ instead.");

async function changeInstance(context: Context): Promise<Reply> {
  const { cloud, contract, id, request } = context;
  const body = asObject(request.body) ?? {};
  if (!contract) return noSuchInstance(id);
  if (typeof body.label === "string" || body.label === null) {
    if (typeof body.label === "string" && body.label.length > 1024) return invalid("label is longer than 1024");
    cloud.setLabel(contract, body.label || null);
  }
  if (body.state === "stopped") await cloud.stop(contract);
  else if (body.state === "running") {
    if (cloud.start(contract).queued) {
      return success({ msg: "Required resources are currently unavailable, state change queued" });
    }
  } else if (body.state !== undefined) return invalid(`state ${body.state}`);
  else if (body.label === undefined) return invalid("nothing to change");
  return success();
}

async function changeInstances({ cloud, request }: Context): Promise<Reply> {
  const body = asObject(request.body) ?? {};
  if (!Array.isArray(body.ids)) return invalid("ids");
  for (const id of body.ids) {
    const contract = cloud.find(Number(id));
    if (!contract) return noSuchInstance(Number(id));
    if (body.state === "stopped") await cloud.stop(contract);
    else if (body.state === "running") cloud.start(contract);
    else return invalid(`state ${body.state}`);
  }
  return success();
}

function destroyInstance({ cloud, faults, contract, id }: Context): Reply {
  if (!contract) return noSuchInstance(id);
  const fault = faults.strike("destroy_fails", { on: "destroy", label: contract.label, id });
  if (fault?.variant === "html_502") return html502();
  if (fault?.variant === "success_false")
    return { status: 200, body: { success: false, error: "server_error", msg: "try again" } };
  if (fault) return failure(500, "server_error", "Internal server error");
  cloud.destroy(contract);
  return success();
}

function destroyInstances({ cloud, request }: Context): Reply {
  const ids = asObject(request.body)?.instance_ids;
  if (!Array.isArray(ids)) return invalid("instance_ids");
  for (const id of ids) {
    const contract = cloud.find(Number(id));
    if (contract) cloud.destroy(contract);
  }
  return success();
}

function requestLogs({ cloud, contract, id, request, logs, baseUrl, now }: Context): Reply {
  if (!contract) return noSuchInstance(id);
  const body = asObject(request.body) ?? {};
  const filter = typeof body.filter === "string" ? body.filter : null;
  const text = cloud.machines.readLog(id, body.tail ? Number(body.tail) || undefined : undefined);
  const kept = filter
    ? text
        .split("\n")
        .filter((line) => line.includes(filter))
        .join("\n")
    : text;
  const name = `${randomBytes(16).toString("hex")}.log`;
  // The real one uploads it first: it is not there at once.
  logs.set(name, { text: kept, readyAt: now() + 250 });
  if (logs.size > 100) logs.delete(logs.keys().next().value!);
  return success({ result_url: `${baseUrl()}/instance_logs/${name}` });
}

async function rebootInstance({ cloud, contract, id }: Context): Promise<Reply> {
  if (!contract) return noSuchInstance(id);
  await cloud.reboot(contract);
  return success();
}

function getInstance({ cloud, contract, now }: Context): Reply {
  const isKnown = contract && contract.listedAt <= now();
  return { status: 200, body: { instances: isKnown ? cloud.rowOf(contract) : null } };
}

function readFilterValues({ cloud }: Context): Reply {
  const filters = cloud
    .rows()
    .map(({ actual_status, verification, gpu_name }) => ({ actual_status, verification, gpu_name }));
  return { status: 200, body: { filters } };
}

function readGpuNames({ cloud }: Context): Reply {
  return { status: 200, body: { gpu_names: [...new Set(cloud.offers(8).map((row) => row.gpu_name))] } };
}

const ACCOUNT = {
  id: 1001,
  key_id: 1,
  username: "local",
  email: "local@example.org",
  balance: 0,
  credit: 100,
  ssh_key: null,
  sid: "local",
};
const ONE = String.raw`^/api/v0/instances/(\d+)$`;

const ROUTES: Route[] = [
  { method: "GET", path: /^\/api\/v0\/gpu_names\/unique$/, name: "gpu_names", open: true, handle: readGpuNames },
  { method: "POST", path: /^\/api\/v0\/bundles$/, name: "search", interval: 6, open: true, handle: searchOffers },
  { method: "GET", path: /^\/api\/v0\/bundles$/, name: "search", interval: 6, open: true, handle: searchOffers },
  { method: "PUT", path: /^\/api\/v0\/search\/asks$/, name: "search", interval: 6, open: true, handle: searchOffers },
  { method: "PUT", path: /^\/api\/v0\/asks\/(\d+)$/, name: "create", interval: 4.5, handle: createInstance },
  { method: "GET", path: /^\/api\/v1\/instances$/, name: "list", interval: 1, handle: listInstances },
  { method: "GET", path: /^\/api\/v0\/instances$/, name: "list_v0", handle: deadList },
  { method: "PUT", path: /^\/api\/v0\/instances$/, name: "change", interval: 2, handle: changeInstances },
  { method: "DELETE", path: /^\/api\/v0\/instances$/, name: "destroy", interval: 3, handle: destroyInstances },
  { method: "GET", path: /^\/api\/v0\/instances\/filters$/, name: "filters", handle: readFilterValues },
  { method: "GET", path: new RegExp(ONE), name: "get", interval: 2, ownKey: true, handle: getInstance },
  { method: "PUT", path: new RegExp(ONE), name: "change", interval: 1, ownKey: true, handle: changeInstance },
  { method: "DELETE", path: new RegExp(ONE), name: "destroy", interval: 3, ownKey: true, handle: destroyInstance },
  {
    method: "PUT",
    path: /^\/api\/v0\/instances\/re(?:boot|cycle)\/(\d+)$/,
    name: "reboot",
    interval: 1,
    handle: rebootInstance,
  },
  { method: "PUT", path: /^\/api\/v0\/instances\/request_logs\/(\d+)$/, name: "logs", handle: requestLogs },
  { method: "GET", path: /^\/api\/v0\/users\/current$/, name: "user", handle: () => ({ status: 200, body: ACCOUNT }) },
  { method: "GET", path: /^\/api\/v0\/ssh$/, name: "ssh", handle: () => ({ status: 200, body: [] }) },
  { method: "POST", path: /^\/api\/v0\/instances\/(\d+)\/ssh$/, name: "ssh", interval: 1, handle: () => success() },
];

export function findRoute(method: string, path: string): { route: Route; id: number } | null {
  for (const route of ROUTES) {
    const match = route.method === method ? route.path.exec(path) : null;
    if (match) return { route, id: Number(match[1] ?? 0) };
  }
  return null;
}

/** A finer name for faults: a change is a label, a stop or a start. */
export function nameOperation(route: Route, body: unknown): string {
  if (route.name !== "change") return route.name;
  const given = asObject(body);
  return given?.state === "stopped" ? "stop" : given?.state === "running" ? "start" : "label";
}
