/** One line of the log for each request to the API: what was asked by whom, and what came of it. No address, no body, no header. */
import { routePath } from "hono/route";
import { isInstanceId } from "../../core/protocol/ids.ts";
import type { LogFields } from "../../core/protocol/log.ts";
import { log } from "../log.ts";
import type { AppContext } from "./context.ts";

export async function logRequest(c: AppContext, next: () => Promise<void>): Promise<void> {
  const startedAt = Date.now();
  c.set("requestId", crypto.randomUUID());
  for (const name of ["asker", "agent", "concerns", "errorCode", "principal"] as const) c.set(name, null);
  await next();
  const { status } = c.res;
  const fields = { ...whatWasAsked(c), status, ms: Date.now() - startedAt, ...whatWentWrong(c) };
  if (c.get("errorCode") === "internal") log.error("request", fields);
  else if (status >= 500) log.warn("request", fields);
  else log.info("request", fields);
}

/** `route` is null for an address that is none: whatever stands there may be anything, a secret too. */
function whatWasAsked(c: AppContext): LogFields {
  const route = routePath(c, -1);
  const [asker, agent] = [c.get("asker"), c.get("agent")];
  const id = agent?.instance ?? c.req.param("id");
  return {
    request_id: c.get("requestId"),
    method: c.req.method,
    route: route.includes("*") ? null : route,
    principal: c.get("principal"),
    ...(asker && { user: asker.user, team: asker.team }),
    ...(isInstanceId(id) && { instance: id }),
    ...(agent && { epoch: agent.epoch }),
  };
}

function whatWentWrong(c: AppContext): LogFields {
  const code = c.get("errorCode");
  if (code === null) return {};
  if (c.res.status < 500 || !c.error) return { code };
  return { code, error: c.error, ...(code === "internal" && { stack: c.error.stack }) };
}
