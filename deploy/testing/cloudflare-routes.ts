/** The rows of the stand-in for Cloudflare's API: which call does what, and the shape of each answer. */
import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Account, Project } from "./cloudflare-api.ts";

export interface Answer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

export interface Routed {
  method: string;
  path: string;
  url: URL;
  body: Buffer;
  request: IncomingMessage;
  account: Account;
  params: Record<string, string>;
}

interface Row {
  method: string;
  path: RegExp;
  /** Whether something is another afterwards. */
  changes: boolean;
  answer(routed: Routed): Answer;
}

export const failure = (status: number, code: number, message: string): Answer => ({
  status,
  body: { success: false, errors: [{ code, message }], messages: [], result: null },
});
const ok = (result: unknown, more: object = {}): Answer => ({
  status: 200,
  body: { success: true, errors: [], messages: [], result, ...more },
});

/** `page` and `per_page`, with at most two rows a page, so that every list has several. */
function paged<T>({ url }: Routed, rows: T[]): Answer {
  const perPage = Math.min(2, Number(url.searchParams.get("per_page") ?? 20));
  const page = Number(url.searchParams.get("page") ?? 1);
  const shown = rows.slice((page - 1) * perPage, page * perPage);
  const info = { page, per_page: perPage, count: shown.length, total_count: rows.length };
  return ok(shown, { result_info: { ...info, total_pages: Math.ceil(rows.length / perPage) } });
}

function patternOf(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/:(\w+)(\+?)/g, (_, name, plus) => `(?<${name}>${plus ? ".+" : "[^/]+"})`)}$`);
}
const row = (spec: string, changes: boolean, answer: Row["answer"]): Row => {
  const [method = "", path = ""] = spec.split(" ");
  return { method, path: patternOf(path), changes, answer };
};
const read = (spec: string, answer: Row["answer"]) => row(spec, false, answer);
const write = (spec: string, answer: Row["answer"]) => row(spec, true, answer);
const json = <T>({ body }: Routed) => JSON.parse(body.toString()) as T;

const noScript = () => failure(404, 10007, "This Worker does not exist on your account.");
const noDatabase = (id = "") => failure(404, 7404, `The database ${id} could not be found`);
const noBucket = () => failure(404, 10006, "The specified bucket does not exist.");
const noProject = () =>
  failure(404, 8000007, "Project not found. The specified project name does not match any of your existing projects.");
const noR2 = () => failure(403, 10042, "Please enable R2 through the Cloudflare Dashboard.");

const accountRows: Row[] = [
  read("GET /accounts", (r) => paged(r, [...r.account.others, { id: r.account.id, name: "Ana's account" }])),
  read("GET /user", () => ok({ id: "u", email: "ana@example.com" })),
  read("GET /memberships", ({ account }) => ok([{ account: { id: account.id, name: "Ana's account" } }])),
  read("GET /accounts/:account/workers/subdomain", ({ account }) =>
    account.subdomain === null
      ? failure(404, 10007, "You need to register a workers.dev subdomain before using the dashboard.")
      : ok({ subdomain: account.subdomain }),
  ),
  write("PUT /accounts/:account/workers/subdomain", (r) => {
    r.account.subdomain = json<{ subdomain: string }>(r).subdomain;
    return ok({ subdomain: r.account.subdomain });
  }),
];

const databaseRows: Row[] = [
  read("GET /accounts/:account/d1/database", (r) => {
    const name = r.url.searchParams.get("name");
    const all = [...r.account.databases.values()].map(({ uuid, name }) => ({ uuid, name, version: "production" }));
    return paged(
      r,
      // Found by a part of the name.
      all.filter((one) => name === null || one.name.includes(name)),
    );
  }),
  write("POST /accounts/:account/d1/database", (r) => {
    const { name } = json<{ name: string }>(r);
    const taken = [...r.account.databases.values()].some((one) => one.name === name);
    if (taken) return failure(400, 7502, `A database with the name '${name}' already exists`);
    const { uuid } = r.account.addDatabase(name);
    return ok({ uuid, name, created_in_region: "WEUR", version: "production" });
  }),
  read("GET /accounts/:account/d1/database/:id", ({ account, params }) => {
    const found = account.databases.get(params.id ?? "");
    return found ? ok({ uuid: found.uuid, name: found.name, version: "production" }) : noDatabase(params.id);
  }),
  write("DELETE /accounts/:account/d1/database/:id", ({ account, params }) =>
    account.databases.delete(params.id ?? "") ? ok(null) : noDatabase(params.id),
  ),
  {
    ...read("POST /accounts/:account/d1/database/:id/query", query),
  },
];

/** Each statement's rows, as D1 gives them. */
function query(r: Routed): Answer {
  const found = r.account.databases.get(r.params.id ?? "");
  if (!found) return noDatabase(r.params.id);
  const { sql, params = [] } = json<{ sql: string; params?: (string | number)[] }>(r);
  try {
    const isRead = /^\s*(select|pragma)/i.test(sql);
    if (!isRead) found.sql.exec(sql);
    const results = isRead ? found.sql.prepare(sql).all(...params) : [];
    return ok([{ results, success: true, meta: { duration: 0.1, changes: 0 } }]);
  } catch (error) {
    return failure(400, 7500, `${(error as Error).message}: SQLITE_ERROR`);
  }
}

const bucketRows: Row[] = [
  read("GET /accounts/:account/r2/buckets/:name", ({ account, params }) => {
    if (!account.hasR2) return noR2();
    return account.buckets.has(params.name ?? "") ? ok({ name: params.name, location: "WEUR" }) : noBucket();
  }),
  write("POST /accounts/:account/r2/buckets", (r) => {
    if (!r.account.hasR2) return noR2();
    const { name } = json<{ name: string }>(r);
    if (r.account.buckets.has(name))
      return failure(409, 10004, "The bucket you tried to create already exists, and you own it.");
    r.account.buckets.set(name, { objects: new Set() });
    return ok({ name, location: "WEUR" });
  }),
  write("DELETE /accounts/:account/r2/buckets/:name", ({ account, params }) => {
    const bucket = account.buckets.get(params.name ?? "");
    if (!bucket) return noBucket();
    if (bucket.objects.size > 0) return failure(409, 10008, "The bucket you tried to delete is not empty.");
    account.buckets.delete(params.name ?? "");
    return ok({});
  }),
  read("GET /accounts/:account/r2/buckets/:name/objects", ({ account, params, url }) => {
    const objects = [...(account.buckets.get(params.name ?? "")?.objects ?? [])].sort();
    const cursor = url.searchParams.get("cursor");
    const rest = cursor === null ? objects : objects.filter((key) => key > cursor);
    const page = rest.slice(0, Math.min(2, Number(url.searchParams.get("per_page") ?? 1000)));
    const isTruncated = rest.length > page.length;
    return ok(
      page.map((key) => ({ key, size: 3 })),
      { result_info: { per_page: 2, is_truncated: isTruncated, ...(isTruncated ? { cursor: page.at(-1) } : {}) } },
    );
  }),
  write("DELETE /accounts/:account/r2/buckets/:name/objects/:key+", ({ account, params }) => {
    account.buckets.get(params.name ?? "")?.objects.delete(decodeURIComponent(params.key ?? ""));
    return ok({ key: params.key });
  }),
];

const workerRows: Row[] = [
  read("GET /accounts/:account/workers/scripts/:name/settings", ({ account, params }) => {
    const script = account.scripts.get(params.name ?? "");
    if (!script) return noScript();
    const secrets = Object.keys(script.secrets).map((name) => ({ name, type: "secret_text" }));
    return ok({ bindings: [...script.bindings, ...secrets], compatibility_date: "2026-10-01" });
  }),
  read("GET /accounts/:account/workers/domains", ({ account, url }) => {
    const service = url.searchParams.get("service");
    return ok(account.domains.filter((one) => service === null || one.service === service));
  }),
  read("GET /accounts/:account/workers/services/:name", ({ account, params }) => {
    const script = account.scripts.get(params.name ?? "");
    if (!script) return failure(404, 10090, "workers.api.error.service_not_found");
    const environment = { environment: "production", script: { last_deployed_from: "wrangler", tag: "t" } };
    return ok({ id: params.name, default_environment: environment, environments: [environment] });
  }),
  read("GET /accounts/:account/workers/services/:name/environments/production/:what", ({ account, params }) =>
    account.scripts.has(params.name ?? "") ? ok([]) : noScript(),
  ),
  read("GET /accounts/:account/workers/scripts", ({ account }) =>
    ok([...account.scripts].map(([id, { migrationTag }]) => ({ id, migration_tag: migrationTag ?? undefined }))),
  ),
  read("GET /accounts/:account/workers/durable_objects/namespaces", () => ok([])),
  read("GET /accounts/:account/workers/workers/:name", ({ account, params }) => {
    const script = account.scripts.get(params.name ?? "");
    if (!script) return noScript();
    return ok({ id: "w", name: params.name, subdomain: { enabled: script.onWorkersDev, previews_enabled: false } });
  }),
  read("GET /accounts/:account/workers/scripts/:name/references", () => ok({ services: { incoming: [] } })),
  read("GET /accounts/:account/workers/scripts-search", () => ok([])),
  read("GET /accounts/:account/workers/tails/by-consumer/:name", () => ok([])),
  read("GET /accounts/:account/workers/scripts/:name/schedules", ({ account, params }) => {
    const script = account.scripts.get(params.name ?? "");
    return script ? ok({ schedules: script.crons.map((cron) => ({ cron })) }) : noScript();
  }),
  read("GET /accounts/:account/workers/scripts/:name/secrets", ({ account, params }) => {
    const script = account.scripts.get(params.name ?? "");
    return script ? ok(Object.keys(script.secrets).map((name) => ({ name, type: "secret_text" }))) : noScript();
  }),
  read("GET /accounts/:account/workers/scripts/:name/subdomain", ({ account, params }) => {
    const script = account.scripts.get(params.name ?? "");
    return script ? ok({ enabled: script.onWorkersDev, previews_enabled: false }) : noScript();
  }),
  read("GET /accounts/:account/workers/scripts/:name/deployments", ({ account, params }) =>
    account.scripts.has(params.name ?? "") ? ok({ deployments: [] }) : noScript(),
  ),
  write("POST /accounts/:account/workers/scripts/:name/assets-upload-session", () =>
    ok({ jwt: "completion", buckets: [] }),
  ),
  write("POST /accounts/:account/workers/scripts/:name/subdomain", (r) => {
    const script = r.account.scripts.get(r.params.name ?? "");
    if (!script) return noScript();
    script.onWorkersDev = json<{ enabled: boolean }>(r).enabled;
    return ok({ enabled: script.onWorkersDev, previews_enabled: false });
  }),
  write("PUT /accounts/:account/workers/scripts/:name/schedules", (r) => {
    const script = r.account.scripts.get(r.params.name ?? "");
    if (!script) return noScript();
    script.crons = json<{ cron: string }[]>(r).map(({ cron }) => cron);
    return ok({ schedules: script.crons.map((cron) => ({ cron })) });
  }),
  write("PUT /accounts/:account/workers/scripts/:name", putScript),
  write("PATCH /accounts/:account/workers/scripts/:name/secrets-bulk", setSecrets),
  write("PATCH /accounts/:account/workers/scripts/:name/settings", setSecrets),
  write("DELETE /accounts/:account/workers/scripts/:name", ({ account, params }) =>
    account.scripts.delete(params.name ?? "") ? ok(null) : noScript(),
  ),
  write("DELETE /accounts/:account/workers/domains/:id", ({ account, params }) => {
    account.domains = account.domains.filter((one) => one.id !== params.id);
    return ok(null);
  }),
];

interface Metadata {
  bindings: { name: string; type: string; text?: string }[];
  migrations?: { new_tag?: string };
}

/** The part of a multipart body with this name, as JSON. */
function formPart<T>({ body }: Routed, name: string): T {
  const match = new RegExp(`name="${name}"[\\s\\S]*?\\r\\n\\r\\n([\\s\\S]*?)\\r\\n--`).exec(body.toString("latin1"));
  return JSON.parse(Buffer.from(match?.[1] ?? "null", "latin1").toString()) as T;
}

function putScript(r: Routed): Answer {
  const metadata = formPart<Metadata>(r, "metadata");
  const name = r.params.name ?? "";
  const script = r.account.scripts.get(name) ?? r.account.addScript(name);
  const unknown = metadata.bindings.find(
    (one) => one.type === "d1" && !r.account.databases.has((one as unknown as { id: string }).id),
  );
  if (unknown) return failure(400, 10181, "binding DB of type d1 must have a valid `id` specified");
  script.bindings = metadata.bindings.filter(({ type }) => type !== "secret_text");
  script.migrationTag = metadata.migrations?.new_tag ?? script.migrationTag;
  script.versions++;
  return ok({ id: name, etag: "e", deployment_id: randomUUID(), startup_time_ms: 12, tag: "t" });
}

function setSecrets(r: Routed): Answer {
  const script = r.account.scripts.get(r.params.name ?? "");
  if (!script) return noScript();
  const isForm = (r.request.headers["content-type"] ?? "").startsWith("multipart/");
  const given = isForm
    ? formPart<Metadata>(r, "settings").bindings
    : Object.values(json<Record<string, Record<string, Metadata["bindings"][number]>>>(r).secrets ?? {});
  for (const { name, type, text } of given)
    if (type === "secret_text" && text !== undefined) script.secrets[name] = text;
  return ok({ bindings: [] });
}

const zoneRows: Row[] = [
  read("GET /zones", (r) => {
    const name = r.url.searchParams.get("name");
    return paged(
      r,
      r.account.zones.filter((one) => name === null || one.name === name),
    );
  }),
  read("GET /zones/:zone/workers/routes", ({ account }) => ok(account.zoneRoutes)),
  write("POST /zones/:zone/workers/routes", (r) => {
    const made = { id: randomUUID(), ...json<{ pattern: string; script: string }>(r) };
    r.account.zoneRoutes.push(made);
    return ok(made);
  }),
  write("DELETE /zones/:zone/workers/routes/:id", ({ account, params }) => {
    account.zoneRoutes = account.zoneRoutes.filter((one) => one.id !== params.id);
    return ok(null);
  }),
  read("GET /zones/:zone/dns_records", (r) =>
    paged(
      r,
      r.account.records.filter((one) => one.name === r.url.searchParams.get("name")),
    ),
  ),
  write("PUT /accounts/:account/workers/scripts/:name/routes", (r) => {
    const rows = json<{ pattern: string }[]>(r);
    r.account.zoneRoutes = rows.map(({ pattern }) => ({ id: randomUUID(), pattern, script: r.params.name ?? "" }));
    return ok(rows.map((one) => one.pattern));
  }),
  read("POST /accounts/:account/workers/scripts/:name/domains/changeset", () =>
    ok({ added: [], removed: [], updated: [], conflicting: [] }),
  ),
  write("PUT /accounts/:account/workers/scripts/:name/domains/records", (r) => {
    const { origins } = json<{ origins: { hostname: string }[] }>(r);
    const zone = r.account.zones[0];
    r.account.domains = origins.map(({ hostname }) => ({
      id: randomUUID(),
      hostname,
      service: r.params.name ?? "",
      zone_name: zone?.name ?? "",
      zone_id: zone?.id ?? "",
    }));
    return ok(r.account.domains);
  }),
];

const pagesRows: Row[] = [
  read("GET /accounts/:account/pages/projects/:name", ({ account, params }) => {
    const project = account.projects.get(params.name ?? "");
    return project ? ok(project) : noProject();
  }),
  write("POST /accounts/:account/pages/projects", (r) => {
    const { name, production_branch: branch } = json<{ name: string; production_branch: string }>(r);
    const made: Project = {
      name,
      subdomain: `${name}.pages.dev`,
      production_branch: branch,
      canonical_deployment: null,
      deployment_configs: { production: {}, preview: {} },
    };
    r.account.projects.set(name, made);
    return ok(made);
  }),
  write("DELETE /accounts/:account/pages/projects/:name", ({ account, params }) =>
    account.projects.delete(params.name ?? "") ? ok(null) : noProject(),
  ),
  read("GET /accounts/:account/pages/projects/:name/upload-token", () =>
    ok({ jwt: `h.${Buffer.from(JSON.stringify({ exp: 4_000_000_000 })).toString("base64url")}.s` }),
  ),
  read("POST /pages/assets/check-missing", () => ok([])),
  write("POST /pages/assets/upload", () => ok(null)),
  write("POST /pages/assets/upsert-hashes", () => ok(null)),
  write("POST /accounts/:account/pages/projects/:name/deployments", (r) => {
    const project = r.account.projects.get(r.params.name ?? "");
    if (!project) return noProject();
    const message = /name="commit_message"\r\n\r\n([\s\S]*?)\r\n/.exec(r.body.toString("latin1"))?.[1] ?? "";
    project.canonical_deployment = { deployment_trigger: { metadata: { commit_message: message } } };
    return ok({
      id: randomUUID(),
      url: `https://0a1b2c3d.${project.subdomain}`,
      aliases: [],
      environment: "production",
      latest_stage: { name: "deploy", status: "success" },
    });
  }),
  read("GET /accounts/:account/pages/projects/:name/deployments/:id", () =>
    ok({ id: "d", latest_stage: { name: "deploy", status: "success" } }),
  ),
];

export const routes: Row[] = [...accountRows, ...databaseRows, ...bucketRows, ...workerRows, ...zoneRows, ...pagesRows];
