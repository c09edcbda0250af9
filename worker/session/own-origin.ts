/**
 * Whose pages a browser's session is safe with. Under /p/ the pages of every service have the origin of this deployment, and
 * a script of theirs could do whatever the signed-in user may: there no session is opened, unless it is one's own machine.
 */
import type { Env } from "../env.ts";

export function isLoopback(url: URL): boolean {
  return url.hostname === "localhost" || url.hostname === "127.0.0.1" || url.hostname === "[::1]";
}

export function sharesItsOrigin(url: URL, env: Env): boolean {
  if (env.PROXY_PATHS === "off" || isLoopback(url)) return false;
  // Through Pages the dashboard has a host of its own, and of it only /api/ comes here.
  return env.PUBLIC_URL === "" || new URL(env.PUBLIC_URL).host === url.host;
}

/**
 * Whether a page of this very origin asks: what a browser sends along without being asked must not be spent by others.
 * Reading is safe, because no other origin can see the answer; a WebSocket is not reading.
 */
export function isOfThisOrigin(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  const origin = request.headers.get("origin");
  const isSocket = request.headers.get("upgrade")?.toLowerCase() === "websocket";
  if (!isSocket && (request.method === "GET" || request.method === "HEAD")) return true;
  if (origin !== null) return origin === new URL(request.url).origin;
  // No browser leaves both out: then it is a program, which sends nothing that it was not told to.
  return site === null || site === "same-origin";
}
