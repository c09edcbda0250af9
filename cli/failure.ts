/** Everything that can end a command badly: its words, what to do, its code and the exit code of the process. */
import type { ErrorBody } from "../core/protocol/errors.ts";

export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  unreachable: 4,
  notAllowed: 5,
  conflict: 6,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

export const exitCodeWords: [ExitCode, string][] = [
  [0, "done"],
  [1, "failed: what was asked for did not happen"],
  [2, "usage: an option or an argument is missing or wrong"],
  [3, "not found"],
  [4, "the control plane does not answer"],
  [5, "not allowed: no valid token, or not yours"],
  [6, "conflict or limit: not in its present state, or not yet"],
];

/** Codes that arise here and not in the control plane. */
export type OwnCode =
  | "usage"
  | "unreachable"
  | "timeout"
  | "malformed_answer"
  | "ambiguous"
  | "wait_failed"
  | "download_broken"
  | "file_not_written";

type RemoteError = ErrorBody["error"];

export interface FailureDetails extends Pick<RemoteError, "request_id" | "issues" | "context"> {
  retryable?: boolean;
  /** HTTP status, where one arrived. */
  status?: number;
  retryAfterMs?: number;
  exitCode?: ExitCode;
  cause?: unknown;
}

export class Failure extends Error {
  override name = "Failure";
  readonly code: string;
  readonly hint: string;
  readonly details: FailureDetails;

  constructor(code: string, message: string, hint: string, details: FailureDetails = {}) {
    super(message, { cause: details.cause });
    this.code = code;
    this.hint = hint;
    this.details = details;
  }

  get exitCode(): ExitCode {
    return this.details.exitCode ?? exitCodeOf(this.code, this.details.status);
  }

  /** The same shape as the control plane's own errors. */
  toBody(): { error: Record<string, unknown> } {
    const { request_id, issues, context, retryable, retryAfterMs } = this.details;
    return {
      error: {
        code: this.code,
        message: this.message,
        hint: this.hint,
        retryable: retryable ?? false,
        ...(request_id && { request_id }),
        ...(issues && { issues }),
        ...(context && { context }),
        ...(retryAfterMs !== undefined && { retry_after_seconds: Math.ceil(retryAfterMs / 1000) }),
      },
    };
  }

  /** For people: words, what to do, code and request id. */
  toText(): string {
    const { issues = [], request_id, retryAfterMs, context } = this.details;
    const reference = [`code ${this.code}`, request_id && `request ${request_id}`].filter(Boolean).join(", ");
    const providerSays = context?.provider_message;
    return [
      this.message,
      ...issues.map((issue) => `  ${issue.path || "request"}: ${issue.message}`),
      providerSays ? `  The provider says: ${String(providerSays)}` : null,
      this.hint,
      retryAfterMs !== undefined ? `It may be asked again in ${Math.ceil(retryAfterMs / 1000)} s.` : null,
      `(${reference})`,
    ]
      .filter(Boolean)
      .join("\n");
  }
}

export function usageFailure(message: string, hint = "See --help.", details: FailureDetails = {}): Failure {
  return new Failure("usage", message, hint, { ...details, exitCode: exitCodes.usage });
}

/** An error code of the table decides by its status, so a code that is newer than this program is understood too. */
function exitCodeOf(code: string, status: number | undefined): ExitCode {
  if (code === "usage" || code === "confirm_mismatch") return exitCodes.usage;
  if (code === "ambiguous") return exitCodes.usage;
  if (code === "unreachable" || code === "timeout") return exitCodes.unreachable;
  switch (status) {
    case 400:
      return exitCodes.usage;
    case 404:
      return exitCodes.notFound;
    case 401:
    case 403:
      return exitCodes.notAllowed;
    case 409:
    case 429:
      return exitCodes.conflict;
    default:
      return exitCodes.failed;
  }
}
