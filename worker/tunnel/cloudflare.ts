/**
 * The calls to Cloudflare's API that tunnels need. Runs in Workers and in Node: fetch, AbortSignal and URL only.
 *
 * Contract, for all methods:
 * - A call has a timeout. Reads, changes to a stated value and deletes repeat after a lost answer, a 429 or a 5xx: three
 *   tries in all with full jitter. A create is sent once: whoever lost its answer looks by name first.
 * - What is not there any more counts as deleted.
 * - A list is whole or it failed. Failures are values and never hold the token.
 */
import type * as z from "zod";
import {
  type CloudflareAnswer,
  type CloudflareFailure,
  classify,
  configuration,
  createdTunnel,
  type Envelope,
  envelope,
  type IngressRule,
  type RecordRow,
  readRetryAfter,
  readWords,
  recordRow,
  type TunnelRow,
  tunnelRow,
  tunnelToken,
} from "./wire.ts";

/** What a test replaces. */
export interface Hands {
  fetch?: typeof fetch;
  now?: () => number;
  /** Pause between tries. */
  sleep?: (ms: number) => Promise<void>;
  random?: () => number;
  timeoutMs?: number;
}

export interface CloudflareAccount {
  /** https://api.cloudflare.com/client/v4, or a stand-in. */
  apiUrl: string;
  accountId: string;
  zoneId: string;
  apiToken: string;
}

export interface NewRecord {
  /** The whole name, zone included. */
  name: string;
  content: string;
  comment: string;
}

export interface Cloudflare {
  /** Sent once. `conflict`: a tunnel of this name is there already, whoever made it. `token` null: it has to be read. */
  createTunnel(
    name: string,
    metadata: Record<string, unknown>,
  ): Promise<CloudflareAnswer<{ id: string; token: string | null }>>;
  /** Those of exactly this name that are not deleted. */
  findTunnels(name: string): Promise<CloudflareAnswer<{ tunnels: TunnelRow[] }>>;
  /** All of the account that are not deleted. */
  listTunnels(): Promise<CloudflareAnswer<{ tunnels: TunnelRow[] }>>;
  readToken(tunnelId: string): Promise<CloudflareAnswer<{ token: string }>>;
  readIngress(tunnelId: string): Promise<CloudflareAnswer<{ ingress: IngressRule[] }>>;
  writeIngress(tunnelId: string, ingress: readonly IngressRule[]): Promise<CloudflareAnswer<object>>;
  endConnections(tunnelId: string): Promise<CloudflareAnswer<object>>;
  deleteTunnel(tunnelId: string): Promise<CloudflareAnswer<object>>;
  /** Of any type. */
  findRecords(name: string): Promise<CloudflareAnswer<{ records: RecordRow[] }>>;
  /** CNAMEs of the zone whose comment begins so. */
  listRecords(commentPrefix: string): Promise<CloudflareAnswer<{ records: RecordRow[] }>>;
  /** A proxied CNAME. Sent once. `conflict`: a record of this name is there already. */
  createRecord(record: NewRecord): Promise<CloudflareAnswer<object>>;
  changeRecord(id: string, record: NewRecord): Promise<CloudflareAnswer<object>>;
  deleteRecord(id: string): Promise<CloudflareAnswer<object>>;
}

interface Call {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
  body?: unknown;
}

type CallResult = { ok: true; answer: Envelope } | (CloudflareFailure & { isGone: boolean });

const TIMEOUT_MS = 10_000;
const TRIES = 3;
const BACKOFF_MS = 300;
/** A longer pause is the caller's to make. */
const MAX_PAUSE_MS = 5_000;
const PAGE_SIZE = 1000;
const MAX_PAGES = 20;

export function createCloudflare(account: CloudflareAccount, hands: Hands = {}): Cloudflare {
  const call = createCaller(account, hands);
  const tunnels = `/accounts/${encodeURIComponent(account.accountId)}/cfd_tunnel`;
  const records = `/zones/${encodeURIComponent(account.zoneId)}/dns_records`;

  const callFor = async <T>(schema: z.ZodType<T>, request: Call): Promise<CloudflareAnswer<{ result: T }>> => {
    const done = await call(request);
    if (!done.ok) return toFailure(done, request);
    const read = schema.safeParse(done.answer.result);
    return read.success
      ? { ok: true, result: read.data }
      : { ok: false, code: "unavailable", message: `the answer to ${request.method} cannot be understood` };
  };

  const change = async (request: Call): Promise<CloudflareAnswer<object>> => {
    const done = await call(request);
    if (done.ok || (request.method === "DELETE" && done.isGone)) return { ok: true };
    return toFailure(done, request);
  };

  /** Pages until as many rows are there as the list says it has. */
  const list = async <T extends { id: string }>(
    schema: z.ZodType<T>,
    path: string,
    query: Record<string, string>,
  ): Promise<CloudflareAnswer<{ rows: T[] }>> => {
    const unclear = (message: string) => ({ ok: false as const, code: "unavailable" as const, message });
    const rows = new Map<string, T>();
    for (let page = 1; page <= MAX_PAGES; page++) {
      const search = new URLSearchParams({ ...query, page: String(page), per_page: String(PAGE_SIZE) });
      const request: Call = { method: "GET", path: `${path}?${search}` };
      const done = await call(request);
      if (!done.ok) return toFailure(done, request);
      const total = done.answer.result_info?.total_count;
      const read = schema.array().safeParse(done.answer.result);
      if (!read.success || total === undefined) return unclear("a list cannot be understood");
      for (const row of read.data) rows.set(row.id, row);
      if (rows.size >= total) return { ok: true, rows: [...rows.values()] };
      if (read.data.length === 0) return unclear(`a list is short: ${rows.size} of ${total}`);
    }
    return unclear(`a list has more than ${MAX_PAGES} pages`);
  };

  const readTunnels = async (query: Record<string, string>) => {
    const listed = await list(tunnelRow, tunnels, { ...query, is_deleted: "false" });
    return listed.ok ? { ok: true as const, tunnels: listed.rows.filter((row) => !row.isDeleted) } : listed;
  };
  const readRecords = async (query: Record<string, string>) => {
    const listed = await list(recordRow, records, query);
    return listed.ok ? { ok: true as const, records: listed.rows } : listed;
  };

  return {
    async createTunnel(name, metadata) {
      const body = { name, config_src: "cloudflare", metadata };
      const made = await callFor(createdTunnel, { method: "POST", path: tunnels, body });
      return made.ok ? { ok: true, id: made.result.id, token: made.result.token ?? null } : made;
    },
    async findTunnels(name) {
      const found = await readTunnels({ name });
      return found.ok ? { ok: true, tunnels: found.tunnels.filter((tunnel) => tunnel.name === name) } : found;
    },
    listTunnels: () => readTunnels({}),
    async readToken(id) {
      const read = await callFor(tunnelToken, { method: "GET", path: `${tunnels}/${id}/token` });
      return read.ok ? { ok: true, token: read.result } : read;
    },
    async readIngress(id) {
      const read = await callFor(configuration, { method: "GET", path: `${tunnels}/${id}/configurations` });
      return read.ok ? { ok: true, ingress: read.result } : read;
    },
    writeIngress: (id, ingress) =>
      change({ method: "PUT", path: `${tunnels}/${id}/configurations`, body: { config: { ingress } } }),
    endConnections: (id) => change({ method: "DELETE", path: `${tunnels}/${id}/connections` }),
    // A connector that came back meanwhile must not keep its tunnel alive.
    deleteTunnel: (id) => change({ method: "DELETE", path: `${tunnels}/${id}?cascade=true` }),
    async findRecords(name) {
      const found = await readRecords({ "name.exact": name });
      return found.ok ? { ok: true, records: found.records.filter((record) => record.name === name) } : found;
    },
    async listRecords(prefix) {
      const listed = await readRecords({ type: "CNAME", "comment.startswith": prefix });
      if (!listed.ok) return listed;
      const fits = (one: RecordRow) => one.type === "CNAME" && one.comment.startsWith(prefix);
      return { ok: true, records: listed.records.filter(fits) };
    },
    // No tags: only Enterprise zones have them (9300), and the comment says the same.
    createRecord: (record) => change({ method: "POST", path: records, body: toBody(record) }),
    changeRecord: (id, record) =>
      change({ method: "PATCH", path: `${records}/${encodeURIComponent(id)}`, body: toBody(record) }),
    deleteRecord: (id) => change({ method: "DELETE", path: `${records}/${encodeURIComponent(id)}` }),
  };
}

/** One call with its repeats. */
function createCaller(account: CloudflareAccount, hands: Hands): (request: Call) => Promise<CallResult> {
  const { apiToken } = account;
  const baseUrl = account.apiUrl.replace(/\/+$/, "");
  const { now = Date.now, random = Math.random, timeoutMs = TIMEOUT_MS } = hands;
  // Workers' fetch must be called as a plain function.
  const send: typeof fetch = hands.fetch ?? ((input, init) => fetch(input, init));
  const sleep = hands.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));

  const failed = (failure: Omit<CloudflareFailure, "ok">, isGone = false): CallResult => ({
    ...failure,
    ok: false,
    message: failure.message.replaceAll(apiToken, "[token]").slice(0, 300),
    isGone,
  });

  const callOnce = async ({ method, path, body }: Call): Promise<CallResult> => {
    let response: Response;
    let text: string;
    try {
      response = await send(`${baseUrl}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${apiToken}`,
          accept: "application/json",
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        body: body === undefined ? undefined : JSON.stringify(body),
        // A followed redirect could send the token to another host.
        redirect: "manual",
        signal: AbortSignal.timeout(timeoutMs),
      });
      text = await response.text();
    } catch (error) {
      return failed({ code: "unavailable", message: `no answer to ${method}: ${nameError(error)}` });
    }
    const { status } = response;
    const answer = readEnvelope(text);
    if (response.ok && answer?.success) return { ok: true, answer };
    const retryAfterMs = readRetryAfter(response.headers.get("retry-after"), now());
    const failure = { code: classify(status, answer), message: `${method}: ${readWords(status, answer)}` };
    return failed({ ...failure, ...(retryAfterMs !== null && { retryAfterMs }) }, status === 404 && answer !== null);
  };

  return async (request) => {
    const tries = request.method === "POST" ? 1 : TRIES;
    for (let attempt = 1; ; attempt++) {
      const result = await callOnce(request);
      if (result.ok || result.code !== "unavailable" || attempt >= tries) return result;
      const asked = result.retryAfterMs ?? 0;
      if (asked > MAX_PAUSE_MS) return result;
      await sleep(Math.max(asked, random() * BACKOFF_MS * 2 ** attempt));
    }
  };
}

function toFailure(failure: CloudflareFailure & { isGone: boolean }, { path }: Call): CloudflareFailure {
  const { code, message, retryAfterMs } = failure;
  // One that was listed a moment ago and is not found by its id: a look from the beginning knows better.
  const isStale = failure.isGone && /\/(cfd_tunnel|dns_records)\/./.test(path);
  return {
    ok: false,
    code: isStale ? "unavailable" : code,
    message,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

function toBody({ name, content, comment }: NewRecord): object {
  return { type: "CNAME", name, content, comment, proxied: true, ttl: 1 };
}

function readEnvelope(text: string): Envelope | null {
  try {
    return envelope.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

function nameError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return error.name === "TimeoutError" ? "timed out" : `${error.message}${cause}`;
}
