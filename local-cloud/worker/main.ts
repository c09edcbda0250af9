/**
 * node local-cloud/worker/main.ts --port N --build DIR --state DIR --variables FILE
 *
 * The built worker in workerd, as `wrangler dev` would run it, without what that does beside: it starts sooner, and a request passes one
 * worker and not two. `--variables`: JSON, name to text. The database is brought forward before anybody is heard.
 */

import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Log, LogLevel, Miniflare, type MiniflareOptions } from "miniflare";
import { migrate, migrationsIn } from "./migrate.ts";
import { optionsOf } from "./options.ts";

const usage = "usage: node local-cloud/worker/main.ts --port N --build DIR --state DIR --variables FILE";
const root = join(import.meta.dirname, "../..");
const migrations = join(root, "migrations");

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

function readArguments() {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string" },
        build: { type: "string" },
        state: { type: "string" },
        variables: { type: "string" },
      },
    });
    const port = Number(values.port);
    if (!(Number.isInteger(port) && port > 0 && port <= 65_535)) fail(usage);
    if (!values.build || !values.state || !values.variables) fail(usage);
    const variables = JSON.parse(readFileSync(values.variables, "utf8")) as Record<string, string>;
    return { port, buildDir: resolve(values.build), stateDir: resolve(values.state), variables };
  } catch (error) {
    fail(`${(error as Error).message}\n${usage}`);
  }
}

/** At an address that nobody knows. Only when the migrations are others than those this state has seen. */
async function bringForward(options: MiniflareOptions, stateDir: string): Promise<void> {
  const stamp = join(stateDir, "migrated");
  const hash = createHash("sha256");
  for (const name of migrationsIn(migrations)) hash.update(readFileSync(join(migrations, name)));
  const wanted = hash.digest("hex");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
  const miniflare = new Miniflare(options);
  try {
    await migrate(await miniflare.getD1Database("DB"), migrations);
  } finally {
    await miniflare.dispose();
  }
  writeFileSync(stamp, wanted);
}

const { port, buildDir, stateDir, variables } = readArguments();
const options: MiniflareOptions = {
  ...optionsOf({
    root,
    script: join(buildDir, "worker.js"),
    publicDir: join(buildDir, "public"),
    // As `wrangler dev --persist-to` lays it out.
    persistDir: join(stateDir, "worker", "v3"),
    variables,
  }),
  host: "127.0.0.1",
  // Where a `wrangler pages dev` finds the worker that its function calls (WRANGLER_REGISTRY_PATH).
  enableDevRegistry: true,
  unsafeDevRegistryPath: join(stateDir, "registry"),
  log: new Log(LogLevel.WARN),
};
await bringForward(options, stateDir);
const miniflare = new Miniflare({ ...options, port });
for (const signal of ["SIGTERM", "SIGINT"] as const)
  process.on(signal, () => void miniflare.dispose().finally(() => process.exit(0)));
await miniflare.ready;
