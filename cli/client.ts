/**
 * The control plane's client, typed by the route table: parameters from the path, body and answer from its schemas.
 *
 * A call is tried for 30 s. Calls that may run twice (by the route table: GET, PUT, DELETE, and the asks that join what is
 * under way) are repeated a bounded number of times after a lost answer, a 429 or a 5xx that says so; the ones that make
 * something new never are. Errors: Failure.
 */
import { type AnswerOf, type RouteName, routes } from "../core/protocol/api.ts";
import { type CallArgs, type CallInput, type LooseInput, pathOfCall } from "../core/protocol/call.ts";
import { isErrorCode } from "../core/protocol/errors.ts";
import { isRemoval, mayRepeat, type Route } from "../core/protocol/route.ts";
import { Failure } from "./failure.ts";
import { backoffMs, readRetryAfter, tries } from "./retry.ts";

export interface Client {
  readonly url: string;
  call<N extends RouteName>(name: N, ...input: CallArgs<N>): Promise<AnswerOf<N>>;
  /** A file's bytes as they come. Errors: Failure, also out of `bytes` where they end too early. */
  download(input: CallInput<"getFile">): Promise<Download>;
}

export interface Download {
  /** Null where something on the way took it off. */
  sizeBytes: number | null;
  bytes: AsyncGenerator<Uint8Array, void>;
}

export interface ClientOptions {
  url: string;
  token: string | null;
  userAgent?: string;
  timeoutMs?: number;
  /** No wait before a repeat is longer than this: a later Retry-After is told, not sat through. */
  maxWaitMs?: number;
  fetch?: typeof fetch;
  sleep?: (ms: number) => Promise<void>;
  random?: () => number;
  now?: () => number;
}

export function createClient(options: ClientOptions): Client {
  const settings: Settings = {
    timeoutMs: 30_000,
    maxWaitMs: 20_000,
    userAgent: "soneca-cli",
    fetch: globalThis.fetch,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    random: Math.random,
    now: Date.now,
    ...options,
  };
  return {
    url: settings.url,
    call: <N extends RouteName>(name: N, ...[input]: CallArgs<N>) =>
      repeated(settings, name, () => callOnce(settings, name, (input ?? {}) as LooseInput) as Promise<AnswerOf<N>>),
    download: (input) => repeated(settings, "getFile", () => downloadOnce(settings, input as LooseInput)),
  };
}

async function repeated<T>(settings: Settings, name: RouteName, once: () => Promise<T>): Promise<T> {
  const route: Route = routes[name];
  const isRepeated = mayRepeat(route);
  for (let attempt = 0; ; attempt++) {
    try {
      return await once();
    } catch (error) {
      // The first try may have done it and lost its answer.
      if (attempt > 0 && isRemoval(route) && isCode(error, "object_not_found")) return null as T;
      const waitMs = isRepeated && attempt + 1 < tries ? waitBefore(error, attempt, settings) : null;
      if (waitMs === null) throw isRepeated ? error : withDoubt(error);
      await settings.sleep(waitMs);
    }
  }
}

type Settings = Required<ClientOptions>;

async function callOnce(settings: Settings, name: RouteName, input: LooseInput): Promise<unknown> {
  const route: Route = routes[name];
  const { response, text } = await exchange(settings, route, input);
  const requestId = response.headers.get("x-request-id") ?? undefined;
  if (response.status >= 300) throw failureOf(response, text, settings);
  if (route.status === 204 && text === "") return null;
  const parsed = route.answer.safeParse(parseJson(text));
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues
    .slice(0, 5)
    .map((issue) => ({ path: issue.path.join("."), message: issue.message }));
  throw new Failure(
    "malformed_answer",
    `${settings.url} answered something that is not in the contract.`,
    "Check the URL, and that this program and the control plane have the same version.",
    { status: response.status, request_id: requestId, issues },
  );
}

/** The time limit covers the body too. */
async function exchange(settings: Settings, route: Route, input: LooseInput) {
  const signal = AbortSignal.timeout(settings.timeoutMs);
  try {
    const response = await request(settings, route, input, signal);
    return { response, text: await response.text() };
  } catch (cause) {
    throw unanswered(settings, signal, cause);
  }
}

/** No more of it is held than the reader has not taken yet. The time limit is one for the head, and one for each piece. */
async function downloadOnce(settings: Settings, input: LooseInput): Promise<Download> {
  const abort = new AbortController();
  const begin = () => setTimeout(() => abort.abort(), settings.timeoutMs);
  let timer = begin();
  let response: Response;
  try {
    response = await request(settings, routes.getFile, input, abort.signal);
    if (response.status >= 300) throw failureOf(response, await response.text(), settings);
  } catch (cause) {
    throw cause instanceof Failure ? cause : unanswered(settings, abort.signal, cause);
  } finally {
    clearTimeout(timer);
  }
  const length = response.headers.get("content-length");
  const sizeBytes = length === null ? null : Number(length);
  async function* bytes(): AsyncGenerator<Uint8Array, void> {
    let got = 0;
    let cause: unknown;
    try {
      timer = begin();
      for await (const piece of response.body ?? []) {
        // The time that the reader takes is not the sender's.
        clearTimeout(timer);
        got += piece.length;
        yield piece;
        timer = begin();
      }
    } catch (error) {
      cause = error;
    } finally {
      clearTimeout(timer);
    }
    if (cause === undefined && (sizeBytes === null || got === sizeBytes)) return;
    const hint = "Ask again. If it breaks at the same byte, the snapshot is damaged: an older one may have the file.";
    throw new Failure("download_broken", `The download broke off after ${got} bytes.`, hint, {
      retryable: true,
      cause,
    });
  }
  return { sizeBytes, bytes: bytes() };
}

function request(settings: Settings, route: Route, input: LooseInput, signal: AbortSignal): Promise<Response> {
  return settings.fetch(addressOf(settings.url, route, input), {
    method: route.method,
    headers: {
      ...(settings.token !== null && { authorization: `Bearer ${settings.token}` }),
      accept: route.isFile ? "application/octet-stream, application/json" : "application/json",
      "user-agent": settings.userAgent,
      ...(input.body !== undefined && { "content-type": "application/json" }),
    },
    ...(input.body !== undefined && { body: JSON.stringify(input.body) }),
    // A token never follows a redirect.
    redirect: "manual",
    signal,
  });
}

function unanswered(settings: Settings, signal: AbortSignal, cause: unknown): Failure {
  if (signal.aborted) {
    const words = `${settings.url} did not answer within ${settings.timeoutMs / 1000} s.`;
    return new Failure("timeout", words, "Try again in a moment.", { retryable: true, cause });
  }
  return new Failure(
    "unreachable",
    `${settings.url} cannot be reached${reasonOf(cause)}.`,
    "Check the URL and the network. The local cloud starts with `npm start`.",
    { retryable: true, cause },
  );
}

function addressOf(url: string, route: Route, input: LooseInput): URL {
  return new URL(url.replace(/\/+$/, "") + pathOfCall(route.path, input));
}

function failureOf(response: Response, text: string, { url, now }: Settings): Failure {
  const { status } = response;
  const request_id = response.headers.get("x-request-id") ?? undefined;
  const retryAfterMs = readRetryAfter(response.headers.get("retry-after"), now());
  const error = errorIn(parseJson(text));
  if (error) {
    return new Failure(error.code, error.message, error.hint, { request_id, ...error.rest, status, retryAfterMs });
  }
  if (status < 400) {
    const target = response.headers.get("location") ?? "elsewhere";
    return new Failure(
      "malformed_answer",
      `${url} redirects to ${target}.`,
      "Give the address that it redirects to; the token was not sent there.",
      { status, request_id },
    );
  }
  if (status >= 500) {
    const words = `${url} answered with status ${status} and no reason.`;
    return new Failure("unreachable", words, "Try again in a moment.", {
      status,
      request_id,
      retryAfterMs,
      retryable: true,
    });
  }
  return new Failure(
    "malformed_answer",
    `${url} answered with status ${status}, not in the words of a Soneca control plane.`,
    "Check the URL.",
    { status, request_id, exitCode: 1 },
  );
}

/** An error of the contract; one with a newer code is taken at its own words. */
function errorIn(json: unknown) {
  const error = (json as { error?: Record<string, unknown> } | null)?.error;
  if (typeof error?.code !== "string" || typeof error.message !== "string") return null;
  const hint = typeof error.hint === "string" ? error.hint : "";
  const own = cliHints[error.code];
  return {
    code: error.code,
    message: error.message,
    hint: isErrorCode(error.code) && own ? own : hint,
    rest: {
      ...(error.retryable === true && { retryable: true }),
      ...(typeof error.request_id === "string" && { request_id: error.request_id }),
      ...(isIssues(error.issues) && { issues: error.issues }),
      ...(isRecord(error.context) && { context: error.context }),
    },
  };
}

/** Where the words of the API speak to a program, what a person at a terminal does instead. */
const cliHints: Record<string, string> = {
  unauthenticated: "Set SONECA_TOKEN or --token to a user token (snu_...).",
  token_expired: "Ask whoever runs the deployment for a new token, and set SONECA_TOKEN.",
  instance_not_found: "List yours with `soneca ls`.",
  action_not_allowed: "See what it can do now with `soneca instance show ID`.",
  snapshot_not_found: "List them with `soneca instance snapshots ID`.",
  object_not_found: "List what there is and check the name.",
};

function waitBefore(error: unknown, attempt: number, { maxWaitMs, random }: Settings): number | null {
  if (!(error instanceof Failure) || !error.details.retryable) return null;
  const { status, retryAfterMs } = error.details;
  const isPassing = status === undefined || status === 429 || status >= 500;
  if (!isPassing) return null;
  const waitMs = backoffMs(attempt, retryAfterMs, random);
  return waitMs > maxWaitMs ? null : waitMs;
}

/** A call that makes something new may have done so though its answer was lost: say it, since it is not repeated. */
function withDoubt(error: unknown): unknown {
  if (!(error instanceof Failure)) return error;
  const wasAnswered = !["timeout", "unreachable", "malformed_answer"].includes(error.code);
  if (wasAnswered || isNeverSent(error)) return error;
  const hint = "It may have been carried out all the same. List what there is before you ask again.";
  return new Failure(error.code, error.message, hint, error.details);
}

function isNeverSent(error: Failure): boolean {
  return ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "ENETUNREACH", "EHOSTUNREACH"].includes(networkCode(error.cause));
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Failure && error.code === code;
}

function reasonOf(cause: unknown): string {
  const words: Record<string, string> = {
    ECONNREFUSED: "nothing listens there",
    ENOTFOUND: "there is no such host",
    EAI_AGAIN: "the name could not be looked up",
    ECONNRESET: "the connection was cut",
    UND_ERR_SOCKET: "the connection was cut",
  };
  const code = networkCode(cause);
  return code ? `: ${words[code] ?? code}` : "";
}

function networkCode(error: unknown): string {
  const own = (error as { code?: unknown } | null)?.code;
  if (typeof own === "string") return own;
  const cause = (error as { cause?: unknown } | null)?.cause;
  return cause ? networkCode(cause) : "";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isIssues(value: unknown): value is { path: string; message: string }[] {
  return Array.isArray(value) && value.every((one) => typeof one?.path === "string" && typeof one.message === "string");
}
