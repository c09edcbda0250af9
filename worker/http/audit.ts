/** The line that a request leaves in the audit log. */
import type { Origin } from "../../core/protocol/audit.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { isInstanceId } from "../../core/protocol/ids.ts";
import type { Route } from "../../core/protocol/route.ts";
import { type AuditRow, writeAudit } from "../db/audit.ts";
import type { AppContext } from "./context.ts";

export type Outcome = { status: number; answer: unknown } | { error: unknown };

const targetParams = ["tokenId", "memberId", "keyId", "channelId"] as const;

/**
 * What a person changes leaves a line, refused or done; what nobody known asks leaves none. It is written beside the answer,
 * which does not wait for it.
 */
export function audit(c: AppContext, name: string, route: Route, outcome: Outcome): void {
  if (route.method === "GET" || route.isRead || route.principal === "agent") return;
  const asker = c.get("asker");
  const isAdmin = route.principal === "admin" && !("error" in outcome && isUnknown(outcome.error));
  if (!asker && !isAdmin) return;
  const row: AuditRow = {
    teamId: asker?.team ?? c.get("concerns"),
    at: new Date().toISOString(),
    actor: asker ? `user:${asker.user}` : "admin",
    tokenId: asker?.tokenId ?? null,
    role: asker?.role ?? null,
    route: name,
    instanceId: instanceOf(c, outcome),
    target: targetOf(c, outcome),
    ...resultOf(outcome),
    requestId: c.get("requestId"),
    origin: originOf(c),
  };
  c.executionCtx.waitUntil(writeAudit(c.env.DB, row));
}

function isUnknown(error: unknown): boolean {
  return error instanceof AppError && (error.status === 401 || error.code === "forbidden");
}

function resultOf(outcome: Outcome): { status: number; code: string | null } {
  if (!("error" in outcome)) return { status: outcome.status, code: null };
  const { error } = outcome;
  return error instanceof AppError ? { status: error.status, code: error.code } : { status: 500, code: "internal" };
}

function instanceOf(c: AppContext, outcome: Outcome): string | null {
  const id = c.req.param("id") ?? idsIn(outcome).find(isInstanceId);
  return isInstanceId(id) ? id : null;
}

/** What was made has its id in the answer. */
function targetOf(c: AppContext, outcome: Outcome): string | null {
  const named = targetParams.map((name) => c.req.param(name)).find((value) => value !== undefined);
  return (named ?? idsIn(outcome).find((id) => !isInstanceId(id)))?.slice(0, 100) ?? null;
}

function idsIn(outcome: Outcome): string[] {
  if ("error" in outcome || typeof outcome.answer !== "object" || outcome.answer === null) return [];
  const { id, user_id, instance } = outcome.answer as Record<string, unknown>;
  const ids = [id, (instance as { id?: unknown } | undefined)?.id, id === undefined ? user_id : undefined];
  return ids.filter((one) => typeof one === "string");
}

function originOf(c: AppContext): Origin {
  // What no page sends along is a program that Access let in.
  const isPage = c.req.header("origin") !== undefined || c.req.header("sec-fetch-site") !== undefined;
  if (!c.req.header("authorization")) return isPage ? "dashboard" : "api";
  return (c.req.header("user-agent") ?? "").startsWith("soneca") ? "cli" : "api";
}
