/**
 * wrangler as recorded: the calls that the real one makes of each command (seen in `real-wrangler.test.ts`), without its second
 * of start. What it is asked is kept.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Wrangler, WranglerRun } from "../wrangler.ts";
import type { CloudflareApi } from "./cloudflare-api.ts";

interface WorkerConfig {
  name: string;
  vars: Record<string, string>;
  d1_databases: { database_id: string; migrations_dir: string }[];
  durable_objects: { bindings: { name: string; class_name: string }[] };
  migrations: { tag: string }[];
  workers_dev: boolean;
  routes: { pattern: string; custom_domain?: boolean }[];
  triggers: { crons: string[] };
}

export class RecordedWrangler implements Wrangler {
  readonly asked: string[] = [];
  /** What was given on standard input. */
  readonly inputs: string[] = [];
  readonly #api: CloudflareApi;

  constructor(api: CloudflareApi) {
    this.#api = api;
  }

  async run(argv: readonly string[], options: { input?: string; cwd?: string } = {}): Promise<WranglerRun> {
    this.asked.push(argv.join(" "));
    this.inputs.push(options.input ?? "");
    try {
      await this.#carryOut(argv, options);
      return { code: 0, output: "" };
    } catch (error) {
      return { code: 1, output: `✘ [ERROR] ${(error as Error).message}\n` };
    }
  }

  async #carryOut(argv: readonly string[], { input, cwd }: { input?: string; cwd?: string }): Promise<void> {
    const [first, second] = argv;
    if (first === "d1" && second === "create") return this.#call("POST", "/d1/database", { name: argv[2] });
    if (first === "r2") return this.#call("POST", "/r2/buckets", { name: argv[3] });
    if (first === "pages" && second === "project") {
      const body = { name: argv[3], production_branch: argv[5] };
      return this.#call("POST", "/pages/projects", body);
    }
    if (first === "pages") return this.#deployPages(cwd ?? "", argv[argv.indexOf("--commit-message") + 1] ?? "");
    const config = readConfig(argv[argv.indexOf("--config") + 1] ?? "");
    if (first === "d1") return this.#migrate(config);
    if (first === "deploy") return this.#deploy(config);
    if (first !== "secret") throw new Error(`not recorded: ${argv.join(" ")}`);
    const given = Object.entries(JSON.parse(input ?? "{}") as Record<string, string>);
    const secrets = Object.fromEntries(given.map(([name, text]) => [name, { name, type: "secret_text", text }]));
    return this.#call("PATCH", `/workers/scripts/${config.name}/secrets-bulk`, { secrets });
  }

  async #migrate({ d1_databases: [database] }: WorkerConfig): Promise<void> {
    const path = `/d1/database/${database?.database_id}/query`;
    const table =
      "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY, name TEXT UNIQUE, applied_at TEXT)";
    await this.#call("POST", path, { sql: table });
    const dir = database?.migrations_dir ?? "";
    for (const name of readdirSync(dir)
      .filter((one) => one.endsWith(".sql"))
      .sort()) {
      const sql = `${readFileSync(join(dir, name), "utf8")};INSERT INTO d1_migrations (name) VALUES ('${name}')`;
      await this.#call("POST", path, { sql });
    }
  }

  async #deploy(config: WorkerConfig): Promise<void> {
    const script = `/workers/scripts/${config.name}`;
    const vars = Object.entries(config.vars).map(([name, text]) => ({ name, type: "plain_text", text }));
    const objects = config.durable_objects.bindings.map((one) => ({ ...one, type: "durable_object_namespace" }));
    const database = { name: "DB", type: "d1", id: config.d1_databases[0]?.database_id };
    const metadata = {
      bindings: [...vars, ...objects, database],
      migrations: { new_tag: config.migrations.at(-1)?.tag },
    };
    const form = new FormData();
    form.set("metadata", JSON.stringify(metadata));
    await this.#call("PUT", script, form);
    await this.#call("POST", `${script}/subdomain`, { enabled: config.workers_dev });
    const domains = config.routes.filter((one) => one.custom_domain);
    const origins = domains.map(({ pattern }) => ({ hostname: pattern }));
    if (domains.length > 0) await this.#call("PUT", `${script}/domains/records`, { origins });
    const routes = config.routes.filter((one) => !one.custom_domain);
    if (routes.length > 0) await this.#call("PUT", `${script}/routes`, routes);
    await this.#call(
      "PUT",
      `${script}/schedules`,
      config.triggers.crons.map((cron) => ({ cron })),
    );
  }

  async #deployPages(cwd: string, message: string): Promise<void> {
    const { name } = readConfig<{ name: string }>(join(cwd, "wrangler.json"));
    const form = new FormData();
    form.set("commit_message", message);
    await this.#call("POST", `/pages/projects/${name}/deployments`, form);
  }

  async #call(method: string, path: string, body: object): Promise<void> {
    const { account, url } = this.#api;
    const response = await fetch(`${url}/accounts/${account.id}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${account.token}`,
        ...(body instanceof FormData ? {} : { "content-type": "application/json" }),
      },
      body: body instanceof FormData ? body : JSON.stringify(body),
    });
    const { errors } = (await response.json()) as { errors: { code: number; message: string }[] };
    const words = errors.map((one) => `${one.message} [code: ${one.code}]`).join(", ");
    if (!response.ok) throw new Error(`A request to the Cloudflare API (${path}) failed.\n  ${words}`);
  }
}

function readConfig<T = WorkerConfig>(file: string): T {
  return JSON.parse(readFileSync(file, "utf8")) as T;
}
