/** Where the worker answers, so that PUBLIC_URL is right from its first version on; and what its variables are. */

import { readWranglerToml } from "../../tools/wrangler-toml.ts";
import { proxyPattern } from "../config.ts";
import { alreadyThere, type Context, permissions, planned, type Result } from "../context.ts";
import { DeployError } from "../error.ts";

const scripts = { permission: permissions.scripts };

/** Errors: no_address, name_taken (somebody else answers at the domain). */
export async function findAddress(context: Context): Promise<Result> {
  const { options, found } = context;
  const domain = options.domain ?? domainOf(found.worker?.vars.PUBLIC_URL);
  found.customDomain = domain === "none" ? null : domain;
  const zone = options.proxyZone ?? (found.worker?.vars.PROXY_ZONE || null);
  found.proxyZone = zone === "none" ? null : zone;
  const words = found.customDomain === null ? await onWorkersDev(context) : await onDomain(context, found.customDomain);
  const zoneWords = found.proxyZone === null ? "" : await onProxyZone(context, found.proxyZone);
  found.vars = await gatherVars(context);
  const text = `${found.url ?? `https://${options.name}.SUBDOMAIN.workers.dev`}${words}${zoneWords}`;
  return found.worker && words === "" ? alreadyThere(text) : planned(context, text);
}

/** Of an address that is not on workers.dev. */
function domainOf(url: string | undefined): string | null {
  const host = url && URL.canParse(url) ? new URL(url).hostname : null;
  return host === null || host.endsWith(".workers.dev") ? null : host;
}

async function onWorkersDev({ options, world, found }: Context): Promise<string> {
  const path = `/accounts/${found.account}/workers`;
  const call = { ...scripts, absent: [10007] };
  let subdomain = (await world.cloudflare.get<{ subdomain?: string }>(`${path}/subdomain`, call))?.subdomain;
  let words = "";
  if (!subdomain) {
    if (!world.hasCredentials) return "";
    if (options.subdomain === null) {
      const hint =
        "Say --subdomain NAME to register NAME.workers.dev for the account, or --domain HOST for one of yours.";
      throw new DeployError("no_address", "The account has no workers.dev subdomain yet.", hint);
    }
    words = `; registers ${options.subdomain}.workers.dev`;
    subdomain = options.subdomain;
    if (!options.dryRun)
      await world.cloudflare.send("PUT", `${path}/subdomain`, { ...scripts, body: { subdomain }, isSafe: true });
  }
  found.url = `https://${options.name}.${subdomain}.workers.dev`;
  if (found.worker) {
    const own = await world.cloudflare.get<{ enabled?: boolean }>(`${path}/scripts/${options.name}/subdomain`, call);
    if (own?.enabled !== true) found.drift.push("it is not on workers.dev");
  }
  return words;
}

interface Domain {
  hostname: string;
  service: string;
}

async function onDomain({ options, world, found }: Context, domain: string): Promise<string> {
  found.url = `https://${domain}`;
  if (!world.hasCredentials) return "";
  const path = `/accounts/${found.account}/workers/domains`;
  const domains = (await world.cloudflare.get<Domain[]>(path, scripts)) ?? [];
  const holder = domains.find((one) => one.hostname === domain)?.service;
  if (holder === options.name) return "";
  if (holder !== undefined) {
    const hint = "Take the domain off that worker first, or name another one.";
    throw new DeployError("name_taken", `${domain} belongs to the worker "${holder}".`, hint);
  }
  await mustBeFree(world.cloudflare, domain);
  found.drift.push("its domain is new");
  return "; the domain is attached with the worker";
}

/** Without a terminal wrangler takes a name over from whatever record is there. */
async function mustBeFree(cloudflare: Context["world"]["cloudflare"], domain: string): Promise<void> {
  const zone = await zoneOf(cloudflare, domain);
  const call = { permission: permissions.dns, query: { name: domain } };
  for await (const record of cloudflare.list<{ type: string; content: string }>(
    `/zones/${zone.id}/dns_records`,
    call,
  )) {
    const hint = "Remove the record where it is not wanted any more, or name another domain.";
    throw new DeployError("name_taken", `${domain} has a DNS record (${record.type} ${record.content}).`, hint);
  }
}

/** The zone that a host name lies in. Errors: no_address. */
async function zoneOf(cloudflare: Context["world"]["cloudflare"], host: string): Promise<{ id: string; name: string }> {
  const labels = host.split(".");
  for (let at = 0; at < labels.length - 1; at++) {
    const name = labels.slice(at).join(".");
    const call = { permission: permissions.zone, query: { name } };
    for await (const zone of cloudflare.list<{ id: string; name: string }>("/zones", call))
      if (zone.name === name) return zone;
  }
  const hint = `Add the domain to the account, or give the token ${permissions.zone} for its zone.`;
  throw new DeployError("no_address", `No zone of the account holds ${host}.`, hint);
}

async function onProxyZone({ options, world, found }: Context, name: string): Promise<string> {
  if (!world.hasCredentials) return `; services at https://INSTANCE.${name}`;
  const zone = await zoneOf(world.cloudflare, name);
  const call = { permission: permissions.routes };
  const routes =
    (await world.cloudflare.get<{ pattern: string; script?: string }[]>(`/zones/${zone.id}/workers/routes`, call)) ??
    [];
  const route = routes.find((one) => one.pattern === proxyPattern(name));
  if (route?.script !== options.name) found.drift.push("its route is not there");
  const records = { permission: permissions.dns, query: { name: `*.${name}` } };
  let hasWildcard = false;
  for await (const _ of world.cloudflare.list(`/zones/${zone.id}/dns_records`, records)) hasWildcard = true;
  const missing = hasWildcard
    ? ""
    : ` (missing: a proxied DNS record AAAA *.${name} 100::, without which they are not found)`;
  return `; services at https://INSTANCE.${name}${missing}`;
}

/** What the worker has stays; over it, what was said now. */
async function gatherVars({ options, world, found }: Context): Promise<Record<string, string>> {
  const { BUILD: _, ...kept } = found.worker?.vars ?? {};
  const vars = { ...readWranglerToml(world.root).vars, ...kept };
  const { tunnels } = options;
  if (tunnels === "none") {
    for (const name of ["CLOUDFLARE_ACCOUNT_ID", "CLOUDFLARE_ZONE_ID", "CLOUDFLARE_ZONE"]) delete vars[name];
    vars.PIPE = "";
  } else if (tunnels !== null) {
    const zone = world.hasCredentials ? await zoneOf(world.cloudflare, tunnels) : { id: "ZONE", name: tunnels };
    vars.CLOUDFLARE_ACCOUNT_ID = found.account;
    vars.CLOUDFLARE_ZONE_ID = zone.id;
    vars.CLOUDFLARE_ZONE = tunnels;
    vars.PIPE = "tunnel";
  }
  return { ...vars, PUBLIC_URL: found.url ?? "", PROXY_ZONE: found.proxyZone ?? "", ...options.vars };
}
