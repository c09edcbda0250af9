/** What keeps a deployment from going on: why, in Cloudflare's own words where they are its, and what to do. */

export type DeployErrorCode =
  | "usage"
  | "no_credentials"
  | "token_refused"
  | "permission_missing"
  | "r2_not_enabled"
  | "not_found"
  | "name_taken"
  | "rate_limited"
  | "unreachable"
  | "cloudflare"
  | "wrangler"
  | "secret_missing"
  | "no_address"
  | "no_answer"
  | "build"
  | "machines_run"
  | "not_confirmed"
  | "bucket_not_empty";

export class DeployError extends Error {
  override name = "DeployError";
  readonly code: DeployErrorCode;
  readonly hint: string;

  constructor(code: DeployErrorCode, message: string, hint: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.hint = hint;
  }
}
