/** wrangler's configuration of one deployment: the tracked wrangler.toml, with what this one has of its own. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import type { WranglerToml } from "../tools/wrangler-toml.ts";

export interface Target {
  name: string;
  databaseId: string;
  vars: Record<string, string>;
  /** Null: on workers.dev. */
  customDomain: string | null;
  proxyZone: string | null;
  cpuMs: number | null;
}

export const bucketOf = (name: string) => `${name}-snapshots`;
export const projectOf = (name: string) => `${name}-dashboard`;

/** `root`: paths of the sources begin with it. */
export function workerConfig(base: WranglerToml, target: Target, root: string) {
  const [database] = base.d1_databases;
  const [bucket] = base.r2_buckets;
  const { customDomain, proxyZone } = target;
  return {
    ...base,
    name: target.name,
    main: join(root, base.main),
    assets: { ...base.assets, directory: join(root, base.assets.directory) },
    workers_dev: customDomain === null,
    routes: [
      ...(customDomain === null ? [] : [{ pattern: customDomain, custom_domain: true }]),
      ...(proxyZone === null ? [] : [{ pattern: proxyPattern(proxyZone), zone_name: proxyZone }]),
    ],
    d1_databases: [
      {
        ...database,
        database_name: target.name,
        database_id: target.databaseId,
        migrations_dir: join(root, database!.migrations_dir),
      },
    ],
    r2_buckets: [{ ...bucket, bucket_name: bucketOf(target.name) }],
    // Without a sender there is nothing to send from, and an account without Email Routing refuses the binding.
    ...(target.vars.NOTICES_EMAIL_FROM ? { send_email: [{ name: "EMAIL" }] } : {}),
    ...(target.cpuMs === null ? {} : { limits: { cpu_ms: target.cpuMs } }),
    vars: target.vars,
  };
}

export const proxyPattern = (zone: string) => `*.${zone}/*`;

/** `outputDir`: the built dashboard, as seen from the configuration. */
export function pagesConfig(base: WranglerToml, name: string, outputDir: string) {
  return {
    name: projectOf(name),
    pages_build_output_dir: outputDir,
    compatibility_date: base.compatibility_date,
    services: [{ binding: "API", service: name }],
  };
}

/** Names all that a deployment consists of: equal for what is equal, whatever machine it is made on. */
export function buildIdOf(sources: string, config: object): string {
  return createHash("sha256").update(sources).update(JSON.stringify(config)).digest("hex").slice(0, 16);
}
