/** What the proxy itself answers when a request cannot pass, in the shape that clients of OpenAI-like services understand. */
import { AppError, asAppError } from "../../core/protocol/errors.ts";

export function errorAnswer(known: AppError, request: Request): Response {
  const { error: body } = known.toBody();
  const headers = new Headers({
    "content-type": "application/json",
    "cache-control": "no-store",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "retry-after",
  });
  const { retryAfterMs } = known.context;
  if (retryAfterMs !== undefined || known.status === 503) {
    headers.set("retry-after", String(Math.max(1, Math.ceil((retryAfterMs ?? 1_000) / 1000))));
  }
  if (known.status === 401) headers.set("www-authenticate", challengeFor(request));
  const all = { error: { ...body, type: typeOf(known.status), param: null } };
  return new Response(`${JSON.stringify(all)}\n`, { status: known.status, headers });
}

/** While it sleeps nobody but us can say whether the request proper may be sent; it is judged when it comes. */
export function preflightAnswer(request: Request): Response {
  const asked = request.headers.get("access-control-request-headers");
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": request.headers.get("origin") ?? "*",
      "access-control-allow-methods": request.headers.get("access-control-request-method") ?? "GET",
      ...(asked ? { "access-control-allow-headers": asked } : {}),
      "access-control-max-age": "0",
      "cache-control": "no-store",
      vary: "origin",
    },
  });
}

export function errorOf(error: unknown): AppError {
  const known = asAppError(error);
  if (known) return known;
  const isDatabase = /D1_ERROR|D1 DB|Failed query/.test(`${error} ${(error as Error | undefined)?.cause}`);
  return new AppError(isDatabase ? "database_unavailable" : "internal", {}, { cause: error });
}

/** A person can be asked for a key as for a password, by a browser or by git; a page's script asks nobody. */
function challengeFor({ headers }: Request): string {
  const mode = headers.get("sec-fetch-mode");
  return mode === null || mode === "navigate" ? 'Bearer, Basic realm="Soneca: the key is the password"' : "Bearer";
}

function typeOf(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "service_unavailable" : "invalid_request_error";
}
