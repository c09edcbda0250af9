/** An account, a worker in it that answers, and a run of the deployment between them; nothing but the stand-in is asked. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCloudflare } from "../cloudflare.ts";
import type { World } from "../context.ts";
import { deploy } from "../deploy.ts";
import { readDeployOptions } from "../options.ts";
import { createReport } from "../report.ts";
import { type UndeployOptions, undeploy } from "../undeploy.ts";
import type { Wrangler } from "../wrangler.ts";
import { CloudflareApi } from "./cloudflare-api.ts";
import { RecordedWrangler } from "./recorded-wrangler.ts";

const root = join(import.meta.dirname, "../..");

interface Step {
  event: string;
  step?: string;
  outcome?: string;
  message?: string;
  code?: string;
  hint?: string;
  name?: string;
  value?: string;
}

export interface Ran {
  code: number;
  events: Step[];
  /** What came of each step: `done`, or the code of its failure. */
  outcomes: Record<string, string>;
  failure: Step | undefined;
  secrets: Record<string, string>;
}

export class Scene {
  readonly api: CloudflareApi;
  readonly wrangler: RecordedWrangler;
  readonly base = mkdtempSync(join(tmpdir(), "soneca-deploy-"));
  /** Of the worker: whether it answers, and the addresses it was asked at. */
  answers = true;
  readonly asked: string[] = [];
  /** How often it does not know its new secrets yet. */
  refusals = 0;
  /** Whether the answer to the next new user is lost, once the user is made. */
  losesUser = false;
  env: Record<string, string | undefined> = { VAST_API_KEY: "a-key-of-vast" };
  ask: World["ask"] = null;
  sources = "sources-1";
  builds = 0;
  slept = 0;

  private constructor(api: CloudflareApi) {
    this.api = api;
    this.wrangler = new RecordedWrangler(api);
  }

  static async open(): Promise<Scene> {
    return new Scene(await CloudflareApi.start());
  }

  async close(): Promise<void> {
    await this.api.stop();
    rmSync(this.base, { recursive: true, force: true });
  }

  file(name: string): string | null {
    const path = join(this.base, name);
    return existsSync(path) ? readFileSync(path, "utf8") : null;
  }

  world(token: string = this.api.account.token, wrangler: Wrangler = this.wrangler): World {
    const sleep = async (ms: number) => {
      this.slept += ms;
    };
    return {
      cloudflare: createCloudflare({ token, baseUrl: this.api.url, sleep }),
      hasCredentials: true,
      wrangler: () => wrangler,
      fetch: (url, init) => this.#worker(new Request(url as string, init)),
      sleep,
      env: this.env,
      ask: this.ask,
      build: async () => {
        this.builds++;
      },
      sourcesId: () => this.sources,
      randomSecret: (bytes) => "s".repeat(Math.ceil((bytes * 4) / 3)),
      root,
      workDir: join(this.base, "work"),
    };
  }

  async deploy(argv: string[] = [], world = this.world()): Promise<Ran> {
    const options = readDeployOptions(argv);
    if (!options) throw new Error("help");
    const lines: string[] = [];
    const report = createReport((line) => lines.push(line), { json: true, secretsOut: options.secretsOut });
    return read(await deploy(options, world, report), lines);
  }

  async undeploy(options: Partial<UndeployOptions> = {}): Promise<Ran> {
    const lines: string[] = [];
    const report = createReport((line) => lines.push(line), { json: true, secretsOut: null });
    const defaults = { name: "soneca", yes: "soneca", leaveMachines: false, deleteSnapshots: false, dryRun: false };
    const { cloudflare, ask } = this.world();
    const world = { cloudflare, ask, account: this.api.account.id };
    return read(await undeploy({ ...defaults, ...options }, world, report), lines);
  }

  get script() {
    return this.api.account.scripts.get("soneca");
  }
  get database() {
    return [...this.api.account.databases.values()].find((one) => one.name === "soneca");
  }

  /** The deployed worker, as far as a deployment asks it: it knows its own admin token, and its users are in D1. */
  async #worker(request: Request): Promise<Response> {
    this.asked.push(request.url);
    const script = this.script;
    if (!this.answers || !script) throw new TypeError("fetch failed", { cause: new Error("getaddrinfo ENOTFOUND") });
    if (request.url.endsWith("/api/health")) return Response.json({ ok: true, version: "0.1.0" });
    const isAdmin = request.headers.get("authorization") === `Bearer ${script.secrets.ADMIN_TOKEN}`;
    if (!isAdmin || this.refusals-- > 0) return Response.json({ error: { code: "unauthenticated" } }, { status: 401 });
    const { name } = (await request.json()) as { name: string };
    const sql = "INSERT INTO users (id, name, created_at) VALUES (?, ?, '2026-11-29')";
    this.database?.sql.prepare(sql).run(`u-${name}`, name);
    if (this.losesUser) {
      this.losesUser = false;
      throw new TypeError("fetch failed", { cause: new Error("socket hang up") });
    }
    return Response.json({ user: { id: `u-${name}`, name }, token: `snu_${name}` }, { status: 201 });
  }
}

function read(code: number, lines: string[]): Ran {
  const events = lines.map((line) => JSON.parse(line) as Step);
  const outcomes: Record<string, string> = {};
  for (const { step, outcome, code } of events) if (step) outcomes[step] = outcome ?? code ?? "";
  const shown = events.filter((one) => one.event === "secret");
  const secrets = Object.fromEntries(shown.map(({ name, value }) => [name, value ?? ""]));
  return { code, events, outcomes, failure: events.find((one) => one.event === "failed"), secrets };
}
