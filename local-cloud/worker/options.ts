/** What wrangler.toml says of the worker, as miniflare takes it: the same bindings as a deployment has, with local data. */
import { readFileSync } from "node:fs";
import type { MiniflareOptions } from "miniflare";
import { readWranglerToml } from "../../tools/wrangler-toml.ts";

export interface LocalWorker {
  /** Of the repository, with wrangler.toml. */
  root: string;
  /** The built worker, one file. */
  script: string;
  /** The files that it serves. */
  publicDir: string;
  /** Where D1, R2 and the objects keep what they hold. */
  persistDir: string;
  /** In place of those of wrangler.toml and beside them; the secrets, too. */
  variables: Record<string, string>;
}

type WorkerConfig = MiniflareOptions["workers"][number]["config"];

/** Without an address: that is the caller's. */
export function optionsOf({ root, script, publicDir, persistDir, variables }: LocalWorker): MiniflareOptions {
  const config = readWranglerToml(root);
  const { name } = config;
  const objects = config.durable_objects.bindings;
  const env: WorkerConfig["env"] = {};
  for (const [key, value] of Object.entries({ ...config.vars, ...variables })) env[key] = { type: "text", value };
  for (const { binding, database_id } of config.d1_databases) env[binding] = { type: "d1", id: database_id };
  for (const { binding, bucket_name } of config.r2_buckets) env[binding] = { type: "r2", name: bucket_name };
  for (const { name: binding, class_name } of objects)
    env[binding] = { type: "durable-object", worker: name, exportName: class_name };
  env[config.assets.binding] = { type: "assets" };
  return {
    // Nothing is asked of the internet about where this machine stands.
    cf: false,
    logRequests: false,
    // So that /cdn-cgi/local/scheduled rings the cron's bell.
    unsafeTriggerHandlers: true,
    resourcePersistencePath: persistDir,
    workers: [
      {
        config: {
          name,
          compatibilityDate: config.compatibility_date,
          compatibilityFlags: config.compatibility_flags,
          manifest: {
            mainModule: "worker.js",
            modulesRoot: "/",
            modules: { "worker.js": { type: "esm", contents: readFileSync(script, "utf8") } },
          },
          env,
          exports: Object.fromEntries(
            objects.map(({ class_name }) => [class_name, { type: "durable-object", storage: "sqlite" }]),
          ),
          assets: { directory: publicDir, hasUserWorker: true, runWorkerFirst: config.assets.run_worker_first },
        },
      },
    ],
  };
}
