/** The HTTP face of the control plane: request id, errors, routes. */
import { Hono } from "hono";
import { AppError, asAppError } from "../../core/protocol/errors.ts";
import { version } from "../../core/protocol/version.ts";
import { mountSelfTest } from "../self-test/routes.ts";
import { mountAgent } from "./agent.ts";
import { mountBrowse } from "./browse.ts";
import type { App, AppContext, AppEnv } from "./context.ts";
import { healthOf } from "./health.ts";
import { mountInstances } from "./instances.ts";
import { mountLive } from "./live.ts";
import { logRequest } from "./log-request.ts";
import { mountMetrics } from "./metrics.ts";
import { mountMoney } from "./money.ts";
import { mount } from "./mount.ts";
import { mountNodeMirror } from "./node-mirror.ts";
import { mountNotices } from "./notices.ts";
import { mountOffers } from "./offers.ts";
import { openapiDocument } from "./openapi.ts";
import { mountPolicies } from "./policies.ts";
import { mountKeys } from "./provider-key.ts";
import { mountSession } from "./session.ts";
import { mountTeam } from "./team.ts";

export function createApp(): App {
  const app = new Hono<AppEnv>();

  app.use("*", logRequest);
  app.use("/api/*", async (c, next) => {
    await next();
    c.header("x-request-id", c.get("requestId"));
    c.header("cache-control", "no-store");
    c.header("x-content-type-options", "nosniff");
  });

  mount(app, "health", (c) => healthOf(c.env));
  mount(app, "openapi", async (c) => openapiDocument(c.env.PUBLIC_URL || new URL(c.req.url).origin, version));
  mountTeam(app);
  mountKeys(app);
  mountSession(app);
  mountInstances(app);
  mountBrowse(app);
  mountMoney(app);
  mountLive(app);
  mountOffers(app);
  mountMetrics(app);
  mountPolicies(app);
  mountNotices(app);
  mountAgent(app);
  mountSelfTest(app);
  mountNodeMirror(app);

  app.notFound((c) => {
    const allowed = methodsOf(app, c.req.path);
    if (allowed.length === 0) return answerError(c, new AppError("route_not_found"));
    return answerError(c, new AppError("method_not_allowed"), { allow: allowed.join(", ") });
  });
  app.onError((error, c) => {
    const known = asAppError(error);
    if (known) return answerError(c, known);
    // Reads of the read model and of tokens; nothing of an instance's life depends on them.
    if (/D1_ERROR|D1 DB|Failed query/.test(`${error} ${error.cause}`)) {
      return answerError(c, new AppError("database_unavailable", {}, { cause: error }));
    }
    return answerError(c, new AppError("internal", {}, { cause: error }));
  });
  return app;
}

/** The methods that a path takes; empty for a path that is no route. */
function methodsOf(app: App, path: string): string[] {
  const methods = new Set<string>();
  for (const route of app.routes) {
    if (route.method === "ALL") continue;
    const pattern = new RegExp(`^${route.path.replaceAll(".", "\\.").replaceAll(/:\w+/g, "[^/]+")}$`);
    if (pattern.test(path)) methods.add(route.method);
  }
  if (methods.has("GET")) methods.add("HEAD");
  return [...methods].sort();
}

function answerError(c: AppContext, error: AppError, more: Record<string, string> = {}): Response {
  const requestId = c.get("requestId");
  c.set("errorCode", error.code);
  const headers = new Headers({
    "content-type": "application/json",
    "cache-control": "no-store",
    ...(requestId ? { "x-request-id": requestId } : {}),
    ...more,
  });
  const retryAfterMs = error.context.retryAfterMs ?? (error.status === 503 ? 1000 : undefined);
  if (retryAfterMs !== undefined) headers.set("retry-after", String(Math.max(1, Math.ceil(retryAfterMs / 1000))));
  if (error.status === 401) headers.set("www-authenticate", "Bearer");
  return new Response(JSON.stringify(error.toBody(requestId)), { status: error.status, headers });
}
