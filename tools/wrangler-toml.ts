/** wrangler.toml, the tracked one: what a deployment and the local cloud read of it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "smol-toml";

/** What is read; everything else goes through as it stands. */
export interface WranglerToml {
  name: string;
  main: string;
  compatibility_date: string;
  compatibility_flags: string[];
  assets: { directory: string; binding: string; run_worker_first: boolean };
  d1_databases: { binding: string; database_name: string; database_id: string; migrations_dir: string }[];
  r2_buckets: { binding: string; bucket_name: string }[];
  durable_objects: { bindings: { name: string; class_name: string }[] };
  triggers: { crons: string[] };
  vars: Record<string, string>;
}

/** `root`: of the repository. */
export function readWranglerToml(root: string): WranglerToml {
  return parse(readFileSync(join(root, "wrangler.toml"), "utf8")) as unknown as WranglerToml;
}
