/** The bindings of wrangler.toml, by hand: generated types would differ from machine to machine. */
import type { AccountObject } from "./account/object.ts";
import type { InstanceObject } from "./instance/object.ts";
import type { NoticesObject } from "./notices/object.ts";
import type { RelayObject } from "./relay/object.ts";
import type { SelfTestObject } from "./self-test/object.ts";

export interface Env {
  ASSETS: Fetcher;
  DB: D1Database;
  SNAPSHOTS: R2Bucket;
  INSTANCE: DurableObjectNamespace<InstanceObject>;
  ACCOUNT: DurableObjectNamespace<AccountObject>;
  RELAY: DurableObjectNamespace<RelayObject>;
  NOTICES: DurableObjectNamespace<NoticesObject>;
  /** Where notices may go by e-mail (docs/NOTICES.md), with an address that Cloudflare lets this deployment send from. */
  EMAIL?: SendEmail;
  NOTICES_EMAIL_FROM?: string;
  /** `on`: notices may be sent to this machine's own addresses, without TLS too. For the local cloud. */
  NOTICES_LOOPBACK?: string;
  SELF_TEST: DurableObjectNamespace<SelfTestObject>;

  /** Where agents and people reach this deployment, without a trailing slash. */
  PUBLIC_URL: string;
  VAST_URL: string;
  /** How gates are reached: `direct`, `relay` or `tunnel`; empty: what fits where this runs. */
  PIPE?: string;
  /** Where instances have host names of their own: `i-k3v7q2m4xa.ZONE`. Empty: by path alone. */
  PROXY_ZONE?: string;
  /** `off`: no services under `/p/`, whose pages would share the origin of this deployment's own. */
  PROXY_PATHS?: string;
  /** What was deployed: the next deployment compares it. */
  BUILD?: string;
  /** `off`: agents that run are left as they are. */
  AGENT_UPDATES?: string;
  /** Where the Node for machines without one is had, in place of nodejs.org. */
  NODE_MIRROR?: string;
  /** Lines of the log below it are not written: `info` (all of them, without it), `warn` or `error`. */
  LOG_LEVEL?: string;
  /** JSON that replaces some of the lifecycle's waiting times; for tests and the demo. */
  LIFECYCLE_TIMINGS?: string;
  /** JSON that replaces some of the least times between two calls of a kind to the provider, ms; for tests. */
  PROVIDER_INTERVALS?: string;

  /** Tunnels to machines: all four, or none and machines are reached otherwise. The domain stands for the zone's. */
  CLOUDFLARE_ACCOUNT_ID?: string;
  CLOUDFLARE_ZONE_ID?: string;
  CLOUDFLARE_ZONE?: string;
  /** A secret, with the scopes Account/Cloudflare Tunnel/Edit and Zone/DNS/Edit. */
  CLOUDFLARE_API_TOKEN?: string;
  /** Where an Access policy guards the tunnels' hostnames: a service token; both secrets. */
  CF_ACCESS_CLIENT_ID?: string;
  CF_ACCESS_CLIENT_SECRET?: string;
  /** Where Cloudflare Access guards the dashboard: the team's name or domain, and the applications' audience tags, with commas. */
  ACCESS_TEAM?: string;
  ACCESS_AUDIENCE?: string;
  /** As whom service tokens of Access come: `CLIENT_ID=USER:ROLE,…`. Those that are not named here do not come in. */
  ACCESS_SERVICES?: string;
  /** `on`: whoever opens the dashboard on this machine's own address (loopback) is its first user. */
  LOCAL_SIGN_IN?: string;
  /** Another address of Cloudflare's API, and of its edge; for tests. */
  CLOUDFLARE_API_URL?: string;
  /** Where machines that have no `cloudflared` get one, and its SHA-256. */
  CLOUDFLARED_URL?: string;
  CLOUDFLARED_SHA256?: string;
  TUNNEL_EDGE_URL?: string;

  /** What seals secrets in D1: `VERSION:KEY,…`, 32 bytes in base64url each; the first seals, all open. A secret. */
  SECRETS_KEYS?: string;
  /** What opens /api/metrics and nothing else, for a Prometheus; at least 16 characters. The admin token opens it, too. */
  METRICS_TOKEN?: string;
  AGENT_JWT_SECRET: string;
  ADMIN_TOKEN: string;
  VAST_API_KEY: string;
}
