/**
 * A stand-in for the part of Cloudflare's API that a deployment uses, by the REST calls of this folder and by wrangler's own. Answers
 * have the shapes of developers.cloudflare.com/api; databases are real SQLite, so that migrations and queries are real.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { type Answer, failure, type Routed, routes } from "./cloudflare-routes.ts";

/** What strikes the next calls that fit, instead of an answer. */
export interface Fault {
  method?: string;
  path: RegExp;
  /** How often; for ever without it. */
  times?: number;
  /** `lost`: the connection ends without an answer. `lost_after`: so too, once the call was carried out. */
  how: Answer | "lost" | "lost_after";
}

export interface Script {
  bindings: { name: string; type: string; text?: string }[];
  secrets: Record<string, string>;
  migrationTag: string | null;
  onWorkersDev: boolean;
  crons: string[];
  versions: number;
}

export interface Project {
  name: string;
  subdomain: string;
  production_branch: string;
  deployment_configs: { production: object; preview: object };
  canonical_deployment: { deployment_trigger: { metadata: { commit_message: string } } } | null;
}

/** One account, with what is in it. */
export class Account {
  readonly id = "5d0e8b6d2c3f4a5b8c7d6e5f4a3b2c1d";
  token = "a-token-of-the-account";
  /** What a second account's name would be; for a token that sees several. */
  others: { id: string; name: string }[] = [];
  subdomain: string | null = "ana";
  hasR2 = true;
  databases = new Map<string, { uuid: string; name: string; sql: DatabaseSync }>();
  buckets = new Map<string, { objects: Set<string> }>();
  scripts = new Map<string, Script>();
  projects = new Map<string, Project>();
  zones = [{ id: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", name: "example.com" }];
  domains: { id: string; hostname: string; service: string; zone_name: string; zone_id: string }[] = [];
  zoneRoutes: { id: string; pattern: string; script: string }[] = [];
  records: { id: string; type: string; name: string; content: string; proxied: boolean }[] = [];

  addDatabase(name: string): { uuid: string; name: string; sql: DatabaseSync } {
    const made = { uuid: randomUUID(), name, sql: new DatabaseSync(":memory:") };
    this.databases.set(made.uuid, made);
    return made;
  }
  addScript(name: string, script: Partial<Script> = {}): Script {
    const made: Script = {
      bindings: [],
      secrets: {},
      migrationTag: null,
      onWorkersDev: false,
      crons: [],
      versions: 0,
      ...script,
    };
    this.scripts.set(name, made);
    return made;
  }
}

export class CloudflareApi {
  readonly account = new Account();
  /** As `GET /accounts?page=1`, in order. */
  readonly calls: string[] = [];
  /** Of those, which changed something. */
  readonly changes: string[] = [];
  faults: Fault[] = [];
  #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<CloudflareApi> {
    const api = new CloudflareApi();
    await new Promise<void>((done) => api.#server.listen(0, "127.0.0.1", done));
    return api;
  }

  /** For CLOUDFLARE_API_BASE_URL. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/client/v4`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const url = new URL(request.url ?? "/", this.url);
    const path = url.pathname.replace("/client/v4", "");
    const call = `${request.method} ${path}`;
    this.calls.push(call + url.search);
    const fault = this.#strike(request.method ?? "GET", path);
    if (fault === "lost") return void request.socket.destroy();
    const answer =
      fault !== null && typeof fault === "object"
        ? fault
        : this.#answer({ method: request.method ?? "GET", path, url, body, request });
    if (fault === "lost_after") return void request.socket.destroy();
    response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
    response.end(JSON.stringify(answer.body));
  }

  #strike(method: string, path: string): Fault["how"] | null {
    const fault = this.faults.find(
      (one) => one.times !== 0 && (one.method ?? method) === method && one.path.test(path),
    );
    if (!fault) return null;
    if (fault.times !== undefined) fault.times--;
    return fault.how;
  }

  #answer(routed: Omit<Routed, "account" | "params" | "isWrite">): Answer {
    const { method, path, request } = routed;
    const given = request.headers.authorization?.replace("Bearer ", "");
    const isUpload = path.startsWith("/pages/assets/") || path.endsWith("/workers/assets/upload");
    if (given !== this.account.token && !isUpload) return failure(403, 9109, "Invalid access token");
    for (const row of routes) {
      const match = row.method === method && row.path.exec(path);
      if (!match) continue;
      if (match.groups?.account !== undefined && match.groups.account !== this.account.id)
        return failure(403, 10000, "Authentication error");
      if (row.changes) this.changes.push(`${method} ${path}`);
      return row.answer({ ...routed, account: this.account, params: match.groups ?? {} });
    }
    return failure(404, 7003, `Could not route to ${path}, perhaps your object identifier is invalid?`);
  }
}
