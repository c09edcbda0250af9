/** The wake proxy's settings of one instance, where its services are found, and who calls. */
import * as z from "zod";
import { type InstanceId, isInstanceId, type UserId } from "./ids.ts";

export const proxyKeyPrefix = "snp_";
/** Where a key comes when `Authorization` is the service's own. */
export const proxyKeyHeader = "x-soneca-key";

const port = z.number().int().min(1).max(65_535);
/** A path with `*` for anything, slashes too. */
const pathPattern = z.string().max(200).regex(/^[/*]/, "begins with / or *");
const method = z.enum(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export const maxHoldSeconds = 600;
export const maxKeptBodyBytes = 1_048_576;

export const proxyFields = {
  /** key: a user token or a proxy key; public: anybody who knows the address. */
  access: z.enum(["key", "public"]),
  /** The port on the machine that `/p/{instance}/` shows. */
  port,
  /** Further ports, shown at `/p/{instance}:{port}/`. */
  more_ports: z.array(port).max(32),
  /** The service is asked with `/p/{instance}` in front of the path: for one that is told its base URL, as Jupyter is. */
  keep_prefix: z.boolean(),
  /** What a request must be to wake, where `wake_method` is `auto`. */
  wake_methods: z.array(method).max(7),
  wake_paths: z.array(pathPattern).max(50),
  /** Passed on while it is awake, and no sign of use: never wake it, never keep it awake. */
  quiet_paths: z.array(pathPattern).max(50),
  /** Machines that requests may start within any hour. */
  wakes_per_hour: z.number().int().min(0).max(60),
  /** Once the instance cost so much within a day, requests no longer wake it; null: no such limit. */
  max_micro_usd_per_day: z.number().int().min(0).nullable(),
  /** How long a request waits for it before it is answered 503; 0: not at all. `Prefer: wait=N` asks for another time. */
  hold_seconds: z.number().min(0).max(maxHoldSeconds),
  /** The body of one that waits is kept up to this size, so that it can be sent once its service listens. */
  kept_body_bytes: z.number().int().min(0).max(maxKeptBodyBytes),
};
export const proxySchema = z.strictObject(proxyFields);
export type ProxySettings = z.infer<typeof proxySchema>;

export const defaultProxy: ProxySettings = {
  access: "key",
  port: 8000,
  more_ports: [],
  keep_prefix: false,
  wake_methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
  wake_paths: ["*"],
  quiet_paths: [
    "/favicon.ico",
    "/robots.txt",
    "/apple-touch-icon*",
    "/.well-known/*",
    "/health",
    "/healthz",
    "/livez",
    "/readyz",
    "/ping",
    "/metrics",
  ],
  wakes_per_hour: 10,
  max_micro_usd_per_day: null,
  hold_seconds: 0,
  kept_body_bytes: 65_536,
};

/** Who calls a service. */
export type Caller =
  /** Somebody of a team; `instances`: the only ones that their token reaches, null: all of it. */
  | { kind: "user"; id: UserId; team: UserId; instances: readonly string[] | null }
  | { kind: "key"; id: string; instance: InstanceId; wakesPerHour: number | null }
  | { kind: "anybody" };

/** As it stands in the log of events. */
export function callerText(caller: Caller): string {
  return caller.kind === "anybody" ? "anybody" : `${caller.kind}:${caller.id}`;
}

/** What a request names; `path` begins with a slash and is what the service sees, `prefix` what was before it. */
export interface ServiceAddress {
  instance: InstanceId;
  /** Null: the instance's own. */
  port: number | null;
  path: string;
  prefix: string;
}

/** `/p/{instance}/...` and `/p/{instance}:{port}/...`; null: no such address. Without the slash after it, `path` is empty. */
export function addressOfPath(path: string): ServiceAddress | null {
  const match = /^\/p\/([^/:]+)(?::(\d{1,5}))?(\/.*)?$/.exec(path);
  const port = portOf(match?.[2]);
  if (!match || !isInstanceId(match[1]) || port === "none") return null;
  return { instance: match[1], port, path: match[3] ?? "", prefix: `/p/${match[1]}${port ? `:${port}` : ""}` };
}

/** `{instance}.{zone}` and `{instance}-{port}.{zone}`: one label, as certificates for a zone cover. */
export function addressOfHost(host: string, zone: string, path: string): ServiceAddress | null {
  const name = host.toLowerCase().replace(/:\d+$/, "");
  if (!zone || !name.endsWith(`.${zone.toLowerCase()}`)) return null;
  const match = /^(i-[a-z2-7]{10})(?:-(\d{1,5}))?$/.exec(name.slice(0, -zone.length - 1));
  const port = portOf(match?.[2]);
  if (!match || !isInstanceId(match[1]) || port === "none") return null;
  return { instance: match[1], port, path, prefix: "" };
}

function portOf(text: string | undefined): number | null | "none" {
  if (text === undefined) return null;
  const number = Number(text);
  return port.safeParse(number).success ? number : "none";
}

/** Whether one of the patterns is the whole path. */
export function fitsPath(path: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => fitsPattern(path, pattern));
}

/**
 * No regular expression, which would try all the ways to share the path out among the stars: anybody may send the path. What
 * stands between two stars is taken where it comes first, which leaves the most to what follows.
 */
function fitsPattern(path: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return path === pattern;
  const end = path.length - last.length;
  if (end < first.length || !path.startsWith(first) || !path.endsWith(last)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = path.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= end;
}

export function mayCall(caller: Caller, owner: UserId, instance: InstanceId, access: ProxySettings["access"]): boolean {
  if (access === "public") return true;
  if (caller.kind === "user") return caller.team === owner && (caller.instances?.includes(instance) ?? true);
  return caller.kind === "key" && caller.instance === instance;
}

/** What a request says of itself. */
export interface RequestNature {
  method: string;
  path: string;
  isRobot: boolean;
  /** A browser's question whether it may ask: for everybody, never a use, and nothing that wakes. */
  isPreflight: boolean;
}

/** Whether somebody uses the service by it, and whether it may wake it. */
export function kindOfRequest(
  proxy: ProxySettings,
  { method, path, isRobot, isPreflight }: RequestNature,
): { isUse: boolean; fits: boolean } {
  if (isPreflight) return { isUse: false, fits: false };
  const isUse = !isRobot && !fitsPath(path, proxy.quiet_paths);
  const fits = proxy.wake_methods.some((one) => one === method) && fitsPath(path, proxy.wake_paths);
  return { isUse, fits };
}

export function isShown(proxy: ProxySettings, port: number | null): boolean {
  return port === null || port === proxy.port || proxy.more_ports.includes(port);
}
