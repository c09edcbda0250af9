/** The bindings of wrangler.toml, by hand: generated types would differ from machine to machine. */
import type { AccountObject } from "./account/object.ts";
import type { InstanceObject } from "./instance/object.ts";
import type { RelayObject } from "./relay/object.ts";

export interface Env {
  ASSETS: Fetcher;
  DB: D1Database;
  SNAPSHOTS: R2Bucket;
  INSTANCE: DurableObjectNamespace<InstanceObject>;
  ACCOUNT: DurableObjectNamespace<AccountObject>;
  RELAY: DurableObjectNamespace<RelayObject>;

  /** Where agents and people reach this deployment, without a trailing slash. */
  PUBLIC_URL: string;
  VAST_URL: string;
  /** JSON that replaces some of the lifecycle's waiting times; for tests and the demo. */
  LIFECYCLE_TIMINGS?: string;
  /** JSON that replaces some of the least times between two calls of a kind to the provider, ms; for tests. */
  PROVIDER_INTERVALS?: string;

  AGENT_JWT_SECRET: string;
  ADMIN_TOKEN: string;
  VAST_API_KEY: string;
}
