/**
 * Where a notice may be sent. Whoever adds a channel chooses an address that this deployment then calls, so nothing that
 * is not in the public web may be one: docs/NOTICES.md says what that keeps out and what it does not.
 */
import type { Env } from "../env.ts";

type Settings = Pick<Env, "PUBLIC_URL" | "PROXY_ZONE" | "CLOUDFLARE_ZONE" | "NOTICES_LOOPBACK">;

/** Names that mean a host of somebody's own network, whoever resolves them. */
const privateSuffixes = [
  ".localhost",
  ".local",
  ".internal",
  ".intranet",
  ".lan",
  ".home",
  ".corp",
  ".private",
  ".arpa",
];

/** What is wrong with it, in words; null: it may be called. */
export function refuseAddress(text: string, settings: Settings): string | null {
  if (!URL.canParse(text)) return "not a URL";
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return "a URL without a user name or password in it";
  if (isLoopback(url)) {
    const isAllowed = settings.NOTICES_LOOPBACK === "on" && /^https?:$/.test(url.protocol);
    return isAllowed ? null : "an address in the public web, not this machine's own";
  }
  if (url.protocol !== "https:") return "an https:// URL";
  // The parser has made every spelling of an IPv4 address (hexadecimal, octal, one number) into four numbers.
  if (url.hostname.startsWith("[") || /^[\d.]+$/.test(url.hostname)) return "a host by its name, not by its number";
  if (!isPublicName(url.hostname)) return "a name in the public web";
  if (url.port !== "" && Number(url.port) < 1024) return "port 443 or one from 1024 up";
  if (isOurs(url.hostname, settings)) return "an address outside of this deployment";
  return null;
}

function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || /^127\.\d+\.\d+\.\d+$/.test(hostname) || hostname === "[::1]";
}

function isPublicName(hostname: string): boolean {
  const name = hostname.replace(/\.$/, "");
  return name.includes(".") && !privateSuffixes.some((suffix) => name.endsWith(suffix));
}

/** Within one's own zone Cloudflare goes straight to the origin, past what guards it from outside: machines' tunnels are there. */
function isOurs(hostname: string, { PUBLIC_URL, PROXY_ZONE, CLOUDFLARE_ZONE }: Settings): boolean {
  const name = hostname.replace(/\.$/, "");
  if (URL.canParse(PUBLIC_URL) && new URL(PUBLIC_URL).hostname === name) return true;
  return [PROXY_ZONE, CLOUDFLARE_ZONE].some((zone) => zone && (name === zone || name.endsWith(`.${zone}`)));
}
