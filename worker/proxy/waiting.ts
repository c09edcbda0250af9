/**
 * What is answered in a service's place while it cannot answer: 503 or 429, when to ask again, and where the wake is. As JSON in
 * the shape that clients of OpenAI-like services understand, as a page, or as events until it is ready.
 */
import type { Wait } from "../../core/lifecycle/wait.ts";
import { AppError, type ErrorCode } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { waitingPage } from "./page.ts";

export interface Closed {
  code: ErrorCode;
  instance: InstanceId;
  name: string;
  /** The instance's word. */
  status: string;
  /** `starting`: the machine runs, and the service does not listen yet. */
  wait: Omit<Wait, "phase"> & { phase: Wait["phase"] | "starting" };
}

export interface WaitingBody {
  error: {
    code: string;
    /** For clients of OpenAI-like services. */
    type: "service_unavailable" | "rate_limit_error";
    param: null;
    message: string;
    hint: string;
    retryable: boolean;
    context: WaitingContext;
  };
}

export interface WaitingContext {
  instance_id: string;
  name: string;
  status: string;
  phase: string;
  phase_since: string;
  retry_after_seconds: number;
  /** What half, and nearly all, of its past wakes still took from here; null: too few are known. */
  left_seconds: { p50: number; p95: number } | null;
  /** How much of the wake is over, 0 to 1, by that. */
  share: number | null;
  /** Of the restore. */
  bytes: { done: number; total: number } | null;
}

/** `next`: the state some moments later; null: it serves now. */
export type NextLook = () => Promise<Closed | null>;

/** `next` null: nobody can say when it is ready, and events end after the first. */
export function waitingAnswer(request: Request, closed: Closed, next: NextLook | null): Response {
  const body = bodyOf(closed);
  const { status } = new AppError(closed.code);
  const headers = new Headers({
    "cache-control": "no-store",
    vary: "accept",
    "x-soneca-state": closed.status,
    // Pages of other origins may see that it wakes, and when to ask again; of the service they see nothing.
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "retry-after, x-soneca-state",
  });
  if (body.error.retryable) headers.set("retry-after", String(body.error.context.retry_after_seconds));
  const as = kindWanted(request.headers.get("accept"));
  headers.set("content-type", contentTypes[as]);
  if (request.method === "HEAD") return new Response(null, { status, headers });
  if (as === "events") return new Response(eventsUntilReady(closed, next), { status, headers });
  if (as === "json") return new Response(`${JSON.stringify(body)}\n`, { status, headers });
  const nonce = crypto.randomUUID();
  headers.set(
    "content-security-policy",
    `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'; connect-src 'self'; frame-ancestors 'self'`,
  );
  return new Response(waitingPage(body, request.headers.get("accept-language"), nonce), { status, headers });
}

const contentTypes = {
  json: "application/json",
  page: "text/html; charset=utf-8",
  events: "text/event-stream",
} as const;

/** A browser that navigates names text/html first; whoever does not say gets JSON. */
function kindWanted(accept: string | null): keyof typeof contentTypes {
  for (const part of (accept ?? "").split(",")) {
    const type = part.split(";")[0]?.trim().toLowerCase();
    if (type === "text/html" || type === "application/xhtml+xml") return "page";
    if (type === "text/event-stream") return "events";
    if (type === "application/json" || type === "*/*") return "json";
  }
  return "json";
}

function bodyOf({ code, instance, name, status, wait }: Closed): WaitingBody {
  const error = new AppError(code);
  const { message, hint, retryable } = error.toBody().error;
  const { left, askedAt, bytes = null } = wait;
  const phase = wait.phase.replaceAll("_", " ");
  const about = left ? `, about ${Math.round(left.p50Ms / 1000)} s left` : "";
  const elapsedMs = askedAt === undefined ? null : Math.max(0, Date.now() - askedAt);
  return {
    error: {
      code,
      type: error.status === 429 ? "rate_limit_error" : "service_unavailable",
      param: null,
      message: retryable ? `${message} Now: ${phase}${about}.` : message,
      hint,
      retryable,
      context: {
        ...{ instance_id: instance, name, status, phase: wait.phase },
        phase_since: new Date(wait.since).toISOString(),
        retry_after_seconds: Math.max(1, Math.ceil(wait.retryAfterMs / 1000)),
        left_seconds: left && { p50: Math.round(left.p50Ms / 1000), p95: Math.round(left.p95Ms / 1000) },
        share: left && elapsedMs !== null ? round(elapsedMs / Math.max(1, elapsedMs + left.p50Ms)) : null,
        bytes,
      },
    },
  };
}

function round(share: number): number {
  return Math.round(share * 1000) / 1000;
}

function eventsUntilReady(first: Closed, next: NextLook | null): ReadableStream<Uint8Array> {
  const utf8 = new TextEncoder();
  let closed: Closed | null = first;
  let isFirst = true;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (!isFirst && next) closed = await next();
      isFirst = false;
      if (closed) {
        const body = bodyOf(closed);
        controller.enqueue(utf8.encode(`event: progress\ndata: ${JSON.stringify(body)}\n\n`));
        if (body.error.retryable && next) return;
      } else controller.enqueue(utf8.encode("event: ready\ndata: {}\n\n"));
      controller.close();
    },
  });
}
