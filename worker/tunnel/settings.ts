/** Whether this deployment has tunnels, and with which account. */
import type { Env } from "../env.ts";
import type { CloudflareAccount } from "./cloudflare.ts";

export interface TunnelSettings extends CloudflareAccount {
  /** The domain of the zone: hostnames are one label below it, which is what universal SSL covers. */
  zone: string;
  /** Tells our tunnels from those of another deployment on the same account. */
  deployment: string;
  /** Where the pipe reaches all tunnels in place of their hostnames; for tests. */
  edgeUrl: string | null;
  /** Where an Access policy guards the hostnames. */
  access: AccessKey | null;
}

export interface AccessKey {
  clientId: string;
  clientSecret: string;
}

const API_URL = "https://api.cloudflare.com/client/v4";

/** Null unless all that is needed is there. */
export function tunnelSettings(env: Partial<Env>): TunnelSettings | null {
  const accountId = env.CLOUDFLARE_ACCOUNT_ID;
  const zoneId = env.CLOUDFLARE_ZONE_ID;
  const zone = env.CLOUDFLARE_ZONE?.toLowerCase().replace(/\.$/, "");
  const apiToken = env.CLOUDFLARE_API_TOKEN;
  const deployment = env.PUBLIC_URL;
  if (!accountId || !zoneId || !zone || !apiToken || !deployment) return null;
  const { CF_ACCESS_CLIENT_ID: clientId, CF_ACCESS_CLIENT_SECRET: clientSecret } = env;
  return {
    apiUrl: env.CLOUDFLARE_API_URL || API_URL,
    accountId,
    zoneId,
    zone,
    apiToken,
    deployment,
    edgeUrl: env.TUNNEL_EDGE_URL?.replace(/\/+$/, "") || null,
    access: clientId && clientSecret ? { clientId, clientSecret } : null,
  };
}
