/**
 * The adapter to vast.ai. Runs in Workers and in Node: fetch, AbortSignal and URL only.
 *
 * Repeats: searches, lists and calls by id repeat after a lost or 5xx answer, three tries in all with full jitter; a 429
 * is never repeated here, its time goes to the caller, who owns the queue. A create is sent once: it has no idempotency
 * key, so whoever lost its answer must list by label first.
 */
import type {
  CreateRequest,
  Offer,
  OfferQuery,
  Provider,
  ProviderAnswer,
  ProviderFailure,
  RentedMachine,
} from "./provider.ts";
import { listCountries } from "./regions.ts";
import {
  classify,
  createAnswer,
  fitsQuery,
  instancesPage,
  isSuccess,
  MIN_RELIABILITY,
  MIN_REMAINING_MS,
  type OfferRow,
  type Operation,
  offersPage,
  readMachine,
  readOfferRow,
  readRetryAfter,
  readTotal,
  readWords,
  toOffer,
  type WireAnswer,
} from "./vast-wire.ts";

export interface VastTimeouts {
  readMs: number;
  writeMs: number;
  createMs: number;
}

export interface VastOptions {
  /** https://console.vast.ai, or a stand-in. */
  baseUrl: string;
  apiKey: string;
  fetch?: typeof fetch;
  now?: () => number;
  timeouts?: Partial<VastTimeouts>;
  /** Pause between tries; for tests. */
  sleep?: (ms: number) => Promise<void>;
  random?: () => number;
}

const TIMEOUTS: VastTimeouts = { readMs: 20_000, writeMs: 30_000, createMs: 60_000 };
const TRIES = 3;
const BACKOFF_MS = 400;
const MAX_OFFERS = 64;
/** An answer holds at most 64 offers; look further only while too few of them fit. */
const MAX_SEARCH_PAGES = 4;
const ENOUGH_OFFERS = 16;
const PAGE_SIZE = 25;
const MAX_LIST_PAGES = 200;
/** After so long no further page is asked for: a list that drips would hold up everybody who waits for it. */
const MAX_LIST_MS = 90_000;
const MAX_ONSTART = 4048;
const MAX_LABEL = 256;
const QUEUED = /resources are currently unavailable|state change queued/i;

interface Call {
  operation: Operation;
  method: "GET" | "POST" | "PUT" | "DELETE";
  path: string;
  body?: unknown;
  /** Texts that must never come back in a message. */
  secrets?: readonly string[];
}

type CallResult =
  | { ok: true; json: Record<string, unknown> }
  | { ok: false; failure: ProviderFailure; gone: boolean; answer: WireAnswer | null };

export function createVastProvider(options: VastOptions): Provider {
  const { apiKey, now = Date.now, random = Math.random } = options;
  const baseUrl = options.baseUrl.replace(/\/+$/, "");
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  // Workers' fetch must be called as a plain function.
  const send: typeof fetch = options.fetch ?? ((input, init) => fetch(input, init));
  const sleep = options.sleep ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)));

  const fail = (
    code: ProviderFailure["code"],
    message: string,
    secrets: readonly string[] = [],
    retryAfterMs?: number,
  ): ProviderFailure => ({
    ok: false,
    code,
    message: redact(message, [apiKey, ...secrets]).slice(0, 500),
    retryable: code === "provider_rate_limited" || code === "provider_unavailable",
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });

  const readTimeout = ({ operation }: Call) =>
    operation === "create"
      ? timeouts.createMs
      : operation === "list" || operation === "search"
        ? timeouts.readMs
        : timeouts.writeMs;

  const sendOnce = async (call: Call): Promise<WireAnswer> => {
    const response = await send(`${baseUrl}${call.path}`, {
      method: call.method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        accept: "application/json",
        ...(call.body !== undefined && { "content-type": "application/json" }),
      },
      body: call.body === undefined ? undefined : JSON.stringify(call.body),
      // A followed redirect could send the key to another host.
      redirect: "manual",
      signal: AbortSignal.timeout(readTimeout(call)),
    });
    const text = await response.text();
    return { status: response.status, json: parseObject(text), text, retryAfter: response.headers.get("retry-after") };
  };

  const tryCall = async (call: Call): Promise<CallResult> => {
    let answer: WireAnswer;
    try {
      answer = await sendOnce(call);
    } catch (error) {
      const failure = fail("provider_unavailable", `no answer to ${call.operation}: ${nameError(error)}`, call.secrets);
      return { ok: false, failure, gone: false, answer: null };
    }
    if (isSuccess(answer)) return { ok: true, json: answer.json! };
    const code = classify(answer, call.operation);
    const failure = fail(
      code === "gone" ? "provider_refused" : code,
      readWords(answer),
      call.secrets,
      code === "provider_rate_limited" ? readRetryAfter(answer, call.operation, now()) : undefined,
    );
    return { ok: false, failure, gone: code === "gone", answer };
  };

  const callProvider = async (call: Call): Promise<CallResult> => {
    const tries = call.operation === "create" ? 1 : TRIES;
    for (let attempt = 1; ; attempt++) {
      const result = await tryCall(call);
      if (result.ok || result.failure.code !== "provider_unavailable" || attempt >= tries) return result;
      await sleep(random() * BACKOFF_MS * 2 ** attempt);
    }
  };

  const callById = async (call: Call, id: number): Promise<CallResult> => {
    if (!Number.isSafeInteger(id) || id <= 0) {
      return { ok: false, failure: fail("provider_refused", `not a machine id: ${id}`), gone: false, answer: null };
    }
    return callProvider(call);
  };

  const pathOf = (id: number) => `/api/v0/instances/${id}/`;

  const searchPage = async (
    query: OfferQuery,
    from: number | null,
  ): Promise<ProviderAnswer<{ rows: OfferRow[]; size: number }>> => {
    const result = await callProvider({
      operation: "search",
      method: "POST",
      path: "/api/v0/bundles/",
      body: buildSearch(query, from),
    });
    if (!result.ok) return result.failure;
    const page = offersPage.safeParse(result.json).data;
    if (!page) return fail("provider_unavailable", "the search's answer holds no list of offers");
    const rows = page.offers.map(readOfferRow).filter((row) => row !== null);
    if (rows.length === 0 && page.offers.length > 0) {
      return fail("provider_unavailable", `none of ${page.offers.length} offers could be understood`);
    }
    return { ok: true, rows, size: page.offers.length };
  };

  return {
    async searchOffers(query) {
      const found = new Map<number, Offer>();
      let from: number | null = null;
      for (let page = 0; page < MAX_SEARCH_PAGES; page++) {
        const answer = await searchPage(query, from);
        if (!answer.ok) {
          if (found.size > 0) break;
          return answer;
        }
        for (const row of answer.rows) if (fitsQuery(row, query, now())) found.set(row.id, toOffer(row, query.diskGb));
        const last: number = Math.max(...answer.rows.map((row) => row.dph_total));
        if (answer.size < MAX_OFFERS || found.size >= ENOUGH_OFFERS || last === from) break;
        from = last;
      }
      const offers = [...found.values()].sort((a, b) => a.microUsdPerHour - b.microUsdPerHour || a.id - b.id);
      return { ok: true, offers: offers.slice(0, MAX_OFFERS) };
    },

    async createMachine(request) {
      const wrong = checkCreate(request);
      if (wrong) return fail("provider_refused", wrong);
      const secrets = [...Object.values(request.env), request.onstart];
      const path = `/api/v0/asks/${request.offerId}/`;
      const result = await callProvider({
        operation: "create",
        method: "PUT",
        path,
        body: buildCreate(request),
        secrets,
      });
      if (!result.ok) {
        const stray = createAnswer.safeParse(result.answer?.json).data?.new_contract;
        return stray === undefined ? result.failure : { ...result.failure, strayId: stray };
      }
      const created = createAnswer.safeParse(result.json).data;
      if (!created)
        return fail("provider_unavailable", "the create's answer names no machine; it may exist all the same");
      return { ok: true, id: created.new_contract };
    },

    async listMachines() {
      const machines = new Map<number, RentedMachine>();
      const seen = new Set<string>();
      const until = now() + MAX_LIST_MS;
      let token: string | null = null;
      for (let pages = 0; pages < MAX_LIST_PAGES; pages++) {
        const result = await callProvider({ operation: "list", method: "GET", path: buildListPath(token) });
        if (!result.ok) return result.failure;
        const page = instancesPage.safeParse(result.json).data;
        const total = page ? readTotal(page) : null;
        if (!page || total === null) {
          return fail("provider_unavailable", "the list's answer holds no list of machines with their number");
        }
        for (const row of page.instances) {
          const machine = readMachine(row, now());
          if (!machine) return fail("provider_unavailable", "a machine in the list could not be understood");
          machines.set(machine.id, machine);
        }
        token = page.next_token || null;
        if (token === null) {
          if (machines.size < total)
            return fail("provider_unavailable", `the list is short: ${machines.size} of ${total}`);
          return { ok: true, machines: [...machines.values()] };
        }
        if (seen.has(token)) return fail("provider_unavailable", "the list's pages run in a circle");
        seen.add(token);
        if (now() > until) return fail("provider_unavailable", `the list takes more than ${MAX_LIST_MS / 1000} s`);
      }
      return fail("provider_unavailable", `the list has more than ${MAX_LIST_PAGES} pages`);
    },

    async setLabel(id, label) {
      if (label.length > MAX_LABEL) return fail("provider_refused", `a label has at most ${MAX_LABEL} characters`);
      const result = await callById({ operation: "label", method: "PUT", path: pathOf(id), body: { label } }, id);
      return result.ok ? { ok: true } : result.failure;
    },

    async destroyMachine(id) {
      const result = await callById({ operation: "destroy", method: "DELETE", path: pathOf(id), body: {} }, id);
      if (result.ok) return { ok: true, gone: false };
      return result.gone ? { ok: true, gone: true } : result.failure;
    },

    async stopMachine(id) {
      const result = await callById(
        { operation: "stop", method: "PUT", path: pathOf(id), body: { state: "stopped" } },
        id,
      );
      return result.ok ? { ok: true } : result.failure;
    },

    async startMachine(id) {
      const result = await callById(
        { operation: "start", method: "PUT", path: pathOf(id), body: { state: "running" } },
        id,
      );
      if (result.ok) return { ok: true, queued: QUEUED.test(String(result.json.msg ?? "")) };
      const isQueued = result.answer?.status === 200 && QUEUED.test(result.failure.message);
      return isQueued ? { ok: true, queued: true } : result.failure;
    },
  };
}

function buildSearch(query: OfferQuery, from: number | null): object {
  const countries = listCountries(query.region);
  const max = query.maxMicroUsdPerHour;
  return {
    ...(query.verifiedOnly !== false && { verified: { eq: true } }),
    external: { eq: false },
    rentable: { eq: true },
    num_gpus: { [query.moreGpus ? "gte" : "eq"]: query.gpuCount },
    disk_space: { gte: query.diskGb },
    reliability2: { gte: query.minReliability ?? MIN_RELIABILITY },
    ...(query.minCuda != null && { cuda_max_good: { gte: query.minCuda } }),
    ...trafficFilters(query.maxTrafficMicroUsdPerGb ?? null),
    duration: { gte: MIN_REMAINING_MS / 1000 },
    direct_port_count: { gte: 1 },
    ...(query.gpuType !== null && { gpu_name: { eq: query.gpuType } }),
    ...(query.minGpuRamMb !== null && { gpu_ram: { gte: query.minGpuRamMb } }),
    ...(countries !== null && { geolocation: { in: countries } }),
    ...((max !== null || from !== null) && {
      dph_total: { ...(max !== null && { lte: max / 1e6 }), ...(from !== null && { gte: from }) },
    }),
    order: [["dph_total", "asc"]],
    type: "on-demand",
    limit: MAX_OFFERS,
    allocated_storage: query.diskGb,
  };
}

function trafficFilters(limit: number | null): object {
  if (limit === null) return {};
  return { inet_up_cost: { lte: limit / 1e6 }, inet_down_cost: { lte: limit / 1e6 } };
}

function checkCreate({ offerId, label, onstart, diskGb, image }: CreateRequest): string | null {
  if (!Number.isSafeInteger(offerId) || offerId <= 0) return `not an offer id: ${offerId}`;
  if (onstart.length > MAX_ONSTART) return `onstart has ${onstart.length} characters, at most ${MAX_ONSTART} are taken`;
  if (label === "" || label.length > MAX_LABEL) return `a label has 1 to ${MAX_LABEL} characters`;
  if (image === "" || image.length > 1024) return "an image name has 1 to 1024 characters";
  return diskGb >= 8 ? null : "the disk must have at least 8 GB";
}

/** cancel_unavail: better no machine than one that waits, unseen, for a GPU to bill. */
function buildCreate({ label, image, diskGb, env, onstart }: CreateRequest): object {
  return {
    client_id: "me",
    image,
    disk: diskGb,
    label,
    env,
    onstart,
    runtype: "ssh_direct",
    target_state: "running",
    cancel_unavail: true,
    price: null,
  };
}

function buildListPath(token: string | null): string {
  const query = new URLSearchParams({
    limit: String(PAGE_SIZE),
    order_by: JSON.stringify([{ col: "id", dir: "asc" }]),
  });
  if (token !== null) query.set("after_token", token);
  return `/api/v1/instances/?${query}`;
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return value !== null && typeof value === "object" && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

function nameError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? ` (${error.cause.message})` : "";
  return error.name === "TimeoutError" ? "timed out" : `${error.message}${cause}`;
}

/** A provider may echo what it was sent. Short values are words, not secrets. */
function redact(message: string, secrets: readonly string[]): string {
  return secrets
    .filter((secret) => secret.length >= 8)
    .reduce((text, secret) => text.replaceAll(secret, "[secret]"), message);
}
