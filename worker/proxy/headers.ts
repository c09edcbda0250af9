/** Headers on their way to a service and back. */
import { gateHeaders } from "../../core/protocol/gate.ts";
import { hopByHop } from "../../core/protocol/hop-by-hop.ts";
import type { ServiceAddress } from "../../core/protocol/proxy.ts";

/** What asks for `expect` the edge has answered. */
const ofOneLeg = [...hopByHop, "expect"];

export interface Passing {
  address: ServiceAddress;
  token: string;
  /** `Authorization` was ours. */
  dropAuthorization: boolean;
}

export function requestHeaders(request: Request, { address, token, dropAuthorization }: Passing): Headers {
  const url = new URL(request.url);
  const headers = new Headers(request.headers);
  const named = (headers.get("connection") ?? "").split(",").map((name) => name.trim());
  const ours = [...headers.keys()].filter((name) => /^(x-soneca-|cf-)/.test(name));
  for (const name of [...ofOneLeg, ...named, ...ours]) if (isToken(name)) headers.delete(name);
  // Of an empty one: nothing else passes (Body.isLost).
  if (request.method === "GET" || request.method === "HEAD") headers.delete("content-length");
  if (dropAuthorization) headers.delete("authorization");
  // Whatever the method, with it a pipe makes a GET of the request.
  const isSocket = request.method === "GET" && request.headers.get("upgrade")?.toLowerCase() === "websocket";
  if (isSocket) headers.set("upgrade", "websocket");
  const client = request.headers.get("cf-connecting-ip");
  if (client) headers.set("x-forwarded-for", client);
  headers.set("x-forwarded-proto", url.protocol.slice(0, -1));
  headers.set("x-forwarded-host", request.headers.get("host") ?? url.host);
  if (address.prefix) headers.set("x-forwarded-prefix", address.prefix);
  else headers.delete("x-forwarded-prefix");
  headers.set(gateHeaders.token, token);
  return headers;
}

/** `service`: the answer's own headers. A redirect within the service leads to where it was asked for. */
export function responseHeaders(service: Headers, request: Request, { prefix }: ServiceAddress): Headers {
  const headers = new Headers(service);
  const named = (headers.get("connection") ?? "").split(",").map((name) => name.trim());
  for (const name of [...ofOneLeg, ...named]) if (isToken(name) && name !== "upgrade") headers.delete(name);
  const location = headers.get("location");
  if (location && prefix) headers.set("location", moved(location, new URL(request.url), prefix));
  return headers;
}

function moved(location: string, { origin, host }: URL, prefix: string): string {
  const own = [origin, `http://${host}`, `https://${host}`].find(
    (one) => location === one || location.startsWith(`${one}/`),
  );
  const path = own === undefined ? location : location.slice(own.length) || "/";
  // Elsewhere, relative, or a service that knows its prefix.
  if (!path.startsWith("/") || path.startsWith("//") || path.startsWith(`${prefix}/`)) return location;
  return `${own ?? ""}${prefix}${path}`;
}

function isToken(name: string): boolean {
  return /^[!#$%&'*+.^_`|~0-9a-z-]+$/i.test(name);
}
