/** The calls of Cloudflare's API that tunnels need: what a request means, and the answer in Cloudflare's envelope. */
import { isIP } from "node:net";
import type { Connectors } from "./connectors.ts";
import type { Faults, Operation } from "./faults.ts";
import { type DnsRecord, newRecordId, newTunnel, type Rule, type State, type Tunnel, tokenOf } from "./state.ts";

export interface ApiRequest {
  method: string;
  /** Below /client/v4. */
  path: string;
  query: URLSearchParams;
  /** undefined: it is no JSON. */
  body: unknown;
}

export interface Reply {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

export interface Zone {
  accountId: string;
  zoneId: string;
  /** The domain. */
  zone: string;
  isEnterprise: boolean;
  maxRecords: number;
}

export interface Context {
  zone: Zone;
  state: State;
  connectors: Connectors;
  faults: Faults;
  now: () => number;
}

type Scope = "tunnel" | "dns";
type Handler = (context: Context, request: ApiRequest, id: string) => Reply;
export interface Route {
  on: Operation;
  scope: Scope;
  id: string;
  handle: Handler;
}

const MAX_COMMENT = 100;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const failure = (status: number, code: number, message: string): Reply => ({
  status,
  body: { success: false, errors: [{ code, message }], messages: [], result: null },
});
const success = (result: unknown, more: object = {}): Reply => ({
  status: 200,
  body: { success: true, errors: [], messages: [], result, ...more },
});

const noTunnel = () => failure(404, 1003, "Tunnel not found");
const noRecord = () => failure(404, 81044, "Record does not exist.");
const asObject = (value: unknown) => (value ?? {}) as Record<string, unknown>;

/** Null: no such path. */
export function findRoute({ method, path }: ApiRequest, { accountId, zoneId }: Zone): Route | null {
  const bases: [string, Scope][] = [
    [`/accounts/${accountId}/cfd_tunnel`, "tunnel"],
    [`/zones/${zoneId}/dns_records`, "dns"],
  ];
  for (const [base, scope] of bases) {
    if (path !== base && !path.startsWith(`${base}/`)) continue;
    const [id = "", part = ""] = path.slice(base.length + 1).split("/");
    const found = routes[`${method} ${scope}${id && "/id"}${part && `/${part}`}`];
    if (found) return { on: found[0], scope, id, handle: found[1] };
  }
  return null;
}

function page<T>({ state: _, faults }: Context, on: Operation, query: URLSearchParams, given: T[]): Reply {
  const number = Number(query.get("page") ?? 1);
  const size = Number(query.get("per_page") ?? 20);
  if (!Number.isInteger(number) || number < 1 || !Number.isInteger(size) || size < 1 || size > 5_000_000) {
    return failure(400, 1000, "page and per_page must be positive numbers");
  }
  const rows = faults.strike("list_stale", on) ? given.slice(0, -1) : given;
  const told = rows.length > 0 && faults.strike("list_short", on) ? rows.slice(0, -1) : rows;
  const result = told.slice((number - 1) * size, number * size);
  const result_info = { page: number, per_page: size, count: result.length, total_count: rows.length };
  return success(result, { result_info });
}

const findTunnel = (state: State, id: string) => state.tunnels.find((one) => one.id === id && !one.deletedAt);

function showTunnel(tunnel: Tunnel, { zone, connectors }: Context) {
  const connections = connectors.count(tunnel.id);
  return {
    id: tunnel.id,
    account_tag: zone.accountId,
    name: tunnel.name,
    created_at: tunnel.createdAt,
    deleted_at: tunnel.deletedAt,
    status: connections > 0 ? "healthy" : "inactive",
    connections: Array.from({ length: connections }, () => ({ colo_name: "local" })),
    metadata: tunnel.metadata,
    tun_type: "cfd_tunnel",
    config_src: "cloudflare",
    remote_config: true,
  };
}

function createTunnel(context: Context, { body }: ApiRequest): Reply {
  const { state, zone, now } = context;
  const { name, config_src, metadata } = asObject(body);
  if (typeof name !== "string" || name === "" || name.length > 100 || UUID.test(name)) {
    return failure(400, 1001, "A tunnel's name has 1 to 100 characters and is no UUID.");
  }
  if (config_src !== "cloudflare") return failure(400, 1002, "This stand-in knows config_src cloudflare only.");
  if (state.tunnels.some((one) => one.name === name && !one.deletedAt)) {
    return failure(409, 1013, "You already have a tunnel with this name.");
  }
  const tunnel = newTunnel(name, metadata ?? {}, new Date(now()).toISOString());
  state.tunnels.push(tunnel);
  state.save();
  return success({ ...showTunnel(tunnel, context), token: tokenOf(tunnel, zone.accountId) });
}

function listTunnels(context: Context, { query }: ApiRequest): Reply {
  const [name, prefix, isDeleted] = [query.get("name"), query.get("include_prefix"), query.get("is_deleted")];
  const rows = context.state.tunnels.filter(
    (one) =>
      (name === null || one.name === name) &&
      (prefix === null || one.name.startsWith(prefix)) &&
      (isDeleted === null || String(one.deletedAt !== null) === isDeleted),
  );
  const shown = rows.map((one) => showTunnel(one, context));
  return page(context, "tunnel_list", query, shown);
}

function readToken({ state, zone }: Context, _: ApiRequest, id: string): Reply {
  const tunnel = findTunnel(state, id);
  return tunnel ? success(tokenOf(tunnel, zone.accountId)) : noTunnel();
}

function showConfig({ id, ingress, version }: Tunnel) {
  return { tunnel_id: id, version, config: ingress && { ingress, "warp-routing": { enabled: false } } };
}

function readConfig({ state }: Context, _: ApiRequest, id: string): Reply {
  const tunnel = findTunnel(state, id);
  return tunnel ? success(showConfig(tunnel)) : noTunnel();
}

function writeConfig({ state, connectors }: Context, { body }: ApiRequest, id: string): Reply {
  const tunnel = findTunnel(state, id);
  if (!tunnel) return noTunnel();
  const ingress = asObject(asObject(body).config).ingress as Rule[] | undefined;
  const last = Array.isArray(ingress) ? ingress.at(-1) : undefined;
  if (!last || last.hostname !== undefined || ingress!.some((rule) => typeof rule?.service !== "string")) {
    return failure(400, 1056, "Bad Configuration: The last ingress rule must match all URLs");
  }
  tunnel.ingress = ingress!;
  tunnel.version++;
  state.save();
  connectors.configure(tunnel);
  return success(showConfig(tunnel));
}

function deleteConnections({ state, connectors }: Context, _: ApiRequest, id: string): Reply {
  if (!findTunnel(state, id)) return noTunnel();
  connectors.end(id);
  return success(null);
}

function deleteTunnel(context: Context, { query }: ApiRequest, id: string): Reply {
  const { state, connectors, now } = context;
  const tunnel = findTunnel(state, id);
  if (!tunnel) return noTunnel();
  if (query.get("cascade") !== "true" && connectors.count(id) > 0) {
    return failure(400, 1022, "Cannot delete tunnel because it has active connections.");
  }
  tunnel.deletedAt = new Date(now()).toISOString();
  state.save();
  connectors.end(id);
  return success(showTunnel(tunnel, context));
}

function showRecord(record: DnsRecord, { zoneId, zone }: Zone) {
  const { createdAt: created_on, modifiedAt: modified_on, ...rest } = record;
  return {
    ...rest,
    zone_id: zoneId,
    zone_name: zone,
    proxiable: true,
    settings: {},
    meta: {},
    created_on,
    modified_on,
  };
}

function listRecords(context: Context, { query }: ApiRequest): Reply {
  const name = query.get("name.exact") ?? query.get("name");
  const [type, start] = [query.get("type"), query.get("comment.startswith")?.toLowerCase()];
  const rows = context.state.records.filter(
    (one) =>
      (name === null || one.name === name) &&
      (type === null || one.type === type) &&
      (start === undefined || one.comment?.toLowerCase().startsWith(start)),
  );
  const shown = rows.map((one) => showRecord(one, context.zone));
  return page(context, "dns_list", query, shown);
}

function checkRecord({ zone, state }: Context, body: Record<string, unknown>, id: string | null): Reply | null {
  const { type, name, content, comment, tags } = body;
  if (Array.isArray(tags) && tags.length > 0 && !zone.isEnterprise) {
    return failure(400, 9300, "DNS record has 1 tag, exceeding the quota of 0.");
  }
  const isInZone = typeof name === "string" && (name === zone.zone || name.endsWith(`.${zone.zone}`));
  if (!isInZone || name.split(".").some((label) => !/^[a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label))) {
    return failure(400, 9000, "DNS name is invalid.");
  }
  const isGood = type === "CNAME" ? isIP(String(content)) === 0 : type === "A" && isIP(String(content)) === 4;
  if (typeof content !== "string" || !isGood) return failure(400, 9007, "Content for this record is invalid.");
  if (String(comment ?? "").length > MAX_COMMENT) return failure(400, 9313, "The comment is too long.");
  const others = state.records.filter((one) => one.name === name && one.id !== id);
  if (others.some((one) => one.type === type && one.content === content)) {
    return failure(400, 81058, "An identical record already exists.");
  }
  if (others.some((one) => one.type === "CNAME" || type === "CNAME")) {
    return failure(400, 81053, "An A, AAAA, or CNAME record with that host already exists.");
  }
  return null;
}

function createRecord(context: Context, { body }: ApiRequest): Reply {
  const { state, zone, now } = context;
  const given = asObject(body);
  const wrong = checkRecord(context, given, null);
  if (wrong) return wrong;
  if (state.records.length >= zone.maxRecords) return failure(400, 81045, "The record quota has been exceeded.");
  const at = new Date(now()).toISOString();
  const record: DnsRecord = {
    id: newRecordId(),
    type: String(given.type),
    name: String(given.name),
    content: String(given.content),
    proxied: given.proxied === true,
    ttl: 1,
    comment: (given.comment as string) ?? null,
    tags: (given.tags as string[]) ?? [],
    createdAt: at,
    modifiedAt: at,
  };
  state.records.push(record);
  state.save();
  return success(showRecord(record, zone));
}

function changeRecord(context: Context, { body }: ApiRequest, id: string): Reply {
  const { state, zone, now } = context;
  const record = state.records.find((one) => one.id === id);
  if (!record) return noRecord();
  const { type, name, content, comment, proxied } = { ...record, ...asObject(body) } as DnsRecord;
  const wrong = checkRecord(context, { type, name, content, comment }, id);
  if (wrong) return wrong;
  Object.assign(record, { type, name, content, comment, proxied, modifiedAt: new Date(now()).toISOString() });
  state.save();
  return success(showRecord(record, zone));
}

function deleteRecord({ state }: Context, _: ApiRequest, id: string): Reply {
  const at = state.records.findIndex((one) => one.id === id);
  if (at < 0) return noRecord();
  state.records.splice(at, 1);
  state.save();
  return success({ id });
}

const routes: Record<string, [Operation, Handler]> = {
  "POST tunnel": ["tunnel_create", createTunnel],
  "GET tunnel": ["tunnel_list", listTunnels],
  "GET tunnel/id/token": ["token", readToken],
  "GET tunnel/id/configurations": ["config_read", readConfig],
  "PUT tunnel/id/configurations": ["config_write", writeConfig],
  "DELETE tunnel/id/connections": ["connections_delete", deleteConnections],
  "DELETE tunnel/id": ["tunnel_delete", deleteTunnel],
  "POST dns": ["dns_create", createRecord],
  "GET dns": ["dns_list", listRecords],
  "PATCH dns/id": ["dns_change", changeRecord],
  "DELETE dns/id": ["dns_delete", deleteRecord],
};
