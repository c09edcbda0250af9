/** What a call that did not work comes back as: the API's own error, or that nothing came back. */
import type { ErrorBody, ErrorCode } from "../../core/protocol/errors.ts";

/** What only agents, other programs, and those who call a service are ever told. */
type OthersCode =
  | "node_unavailable"
  | "button_spent"
  | "bad_json"
  | "route_not_found"
  | "method_not_allowed"
  | "upgrade_required"
  | "access_service_unknown"
  | "length_required"
  | "epoch_fenced"
  | "port_not_shown"
  | "range_not_satisfiable"
  | "part_hash_mismatch"
  | "manifest_exists"
  | "manifest_invalid"
  | "waking"
  | "wake_not_automatic"
  | "request_does_not_wake"
  | "wakes_per_hour_spent"
  | "money_per_day_spent"
  | "service_not_listening"
  | "get_has_body"
  | "answer_too_late"
  | "machine_busy"
  | "service_broke"
  | "machine_out_of_reach";

export type FailureCode = Exclude<ErrorCode, OthersCode> | "unreachable" | "unknown";

export class Failure extends Error {
  override name = "Failure";
  readonly code: FailureCode;
  /** Null: no answer at all. */
  readonly status: number | null;
  readonly hint: string;
  readonly requestId: string | null;
  readonly issues: { path: string; message: string }[];
  readonly context: Record<string, unknown>;
  readonly retryAfterMs: number | null;

  constructor(code: FailureCode, message: string, more: Partial<Omit<Failure, "code" | "message">> = {}) {
    super(message);
    this.code = code;
    this.status = more.status ?? null;
    this.hint = more.hint ?? "";
    this.requestId = more.requestId ?? null;
    this.issues = more.issues ?? [];
    this.context = more.context ?? {};
    this.retryAfterMs = more.retryAfterMs ?? null;
  }
}

export function failureOf(response: Response, text: string): Failure {
  const { status } = response;
  const seconds = Number(response.headers.get("retry-after"));
  const retryAfterMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
  const error = errorIn(text);
  if (!error) return new Failure("unknown", `status ${status}`, { status, retryAfterMs });
  const { code, message, hint, request_id, issues, context } = error;
  // One of a later version has no words here, and is shown with the API's own.
  return new Failure(code as FailureCode, message, {
    status,
    hint,
    requestId: request_id ?? null,
    issues: issues ?? [],
    context: context ?? {},
    retryAfterMs,
  });
}

function errorIn(text: string): ErrorBody["error"] | null {
  try {
    const { error } = JSON.parse(text) as Partial<ErrorBody>;
    return typeof error?.code === "string" && typeof error.message === "string" ? error : null;
  } catch {
    return null;
  }
}
