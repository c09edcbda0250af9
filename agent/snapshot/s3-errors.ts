/** What an S3 server's refusal means, in words that say what to do. */
import { StoreError } from "../../core/snapshot/store.ts";
import { type Answer, isTransientStatus, retryAfterMs, Transient } from "./http.ts";
import type { S3Settings } from "./s3-settings.ts";
import { childText, parseXml } from "./xml.ts";

/** The server does not know a header of the request; the message may name it. */
export class Unsupported extends Error {}

const transientCodes = new Set([
  "InternalError",
  "ServiceUnavailable",
  "SlowDown",
  "Throttling",
  "ThrottlingException",
  "RequestTimeout",
  "IncompleteBody",
  "OperationAborted",
  "ConditionalRequestConflict",
  // The bytes were spoilt on their way.
  "BadDigest",
  "XAmzContentSHA256Mismatch",
  "XAmzContentChecksumMismatch",
]);

const refusals: Record<string, string> = {
  AccessDenied: "these keys may not do that in this bucket",
  AllAccessDisabled: "the bucket is closed",
  InvalidAccessKeyId: "the server does not know this AWS_ACCESS_KEY_ID",
  SignatureDoesNotMatch: "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID",
  ExpiredToken: "AWS_SESSION_TOKEN has expired",
  InvalidToken: "AWS_SESSION_TOKEN is not valid",
  TokenRefreshRequired: "AWS_SESSION_TOKEN has expired",
  PermanentRedirect: "the bucket is in another region; set AWS_REGION",
  TemporaryRedirect: "the bucket is in another region; set AWS_REGION",
  AuthorizationHeaderMalformed: "the server wants another region; set AWS_REGION",
  IllegalLocationConstraintException: "the bucket is in another region; set AWS_REGION",
  InvalidBucketName: "the server does not allow such a name for a bucket",
};

const fullCodes = new Set([
  "QuotaExceeded",
  "InsufficientStorage",
  "XMinioStorageFull",
  "XMinioAdminBucketQuotaExceeded",
]);

/** `what`: method and key, for the message. */
export function toS3Error(answer: Answer, what: string, { bucket, region }: S3Settings): Error {
  const { status, headers } = answer;
  const { code, message, wantedRegion } = parseErrorBody(answer.body);
  const detail = `${what}: ${status} ${code} ${message}`.trim();
  if (transientCodes.has(code)) return new Transient(detail, retryAfterMs(headers["retry-after"]));
  if (code === "RequestTimeTooSkewed") return new StoreError("store_refused", { detail: clockWords(headers.date) });
  if (status === 501 || code === "NotImplemented" || /unsupported header/i.test(message))
    return new Unsupported(detail);
  if (code === "NoSuchBucket") return new StoreError("bucket_not_found", { detail: bucket });
  if (fullCodes.has(code) || status === 507) return new StoreError("store_full", { detail });
  const words = refusals[code];
  if (words !== undefined) {
    const found = wantedRegion ?? headers["x-amz-bucket-region"];
    const place = typeof found === "string" ? `, to ${found} instead of ${region}` : "";
    return new StoreError("store_refused", {
      detail: `${words.endsWith("AWS_REGION") ? words + place : words}: ${what}`,
    });
  }
  if (isTransientStatus(status)) return new Transient(detail, retryAfterMs(headers["retry-after"]));
  if (status === 404) return new StoreError("object_not_found", { detail });
  if (status === 416) return new StoreError("range_invalid", { detail });
  // An answer to HEAD has no body that could say why.
  if (status === 401 || status === 403)
    return new StoreError("store_refused", { detail: `${detail} (keys, region or rights)` });
  if (status === 301 || status === 307)
    return new StoreError("store_refused", { detail: `the bucket is in another region; set AWS_REGION: ${what}` });
  return new StoreError("store_failed", { detail });
}

function clockWords(date: string | undefined): string {
  const minutes = Math.round((Date.now() - Date.parse(date ?? "")) / 60_000);
  if (!Number.isFinite(minutes)) return "the clock of this machine is wrong";
  return `the clock of this machine is ${Math.abs(minutes)} minutes ${minutes > 0 ? "fast" : "slow"}`;
}

function parseErrorBody(body: Buffer): { code: string; message: string; wantedRegion: string | null } {
  try {
    const error = parseXml(body.toString("utf8"));
    return {
      code: childText(error, "Code") ?? "",
      message: (childText(error, "Message") ?? "").slice(0, 200),
      wantedRegion: childText(error, "Region"),
    };
  } catch {
    return { code: "", message: "", wantedRegion: null };
  }
}
