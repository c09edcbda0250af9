/** How Cloudflare's answers are read: its envelope, what went wrong, and the rows that are used. A row is whole or it fails its list. */
import * as z from "zod";

export type CloudflareErrorCode =
  /** The request itself, or the token's rights: repeating it is useless until somebody changes something. */
  | "refused"
  /** No answer, a 429, a 5xx, or an answer that makes no sense. The call may have had its effect. */
  | "unavailable"
  /** The name belongs to something that is not ours. */
  | "conflict";

export interface CloudflareFailure {
  ok: false;
  code: CloudflareErrorCode;
  /** Cloudflare's own words, at most 300 characters, without the token. */
  message: string;
  retryAfterMs?: number;
}

export type CloudflareAnswer<T> = ({ ok: true } & T) | CloudflareFailure;

export const envelope = z.object({
  success: z.boolean(),
  errors: z
    .array(z.object({ code: z.number().nullish(), message: z.string().nullish() }))
    .nullish()
    .transform((errors) => errors ?? []),
  result: z.unknown(),
  result_info: z
    .object({ total_count: z.number().int().min(0) })
    .nullish()
    .catch(null),
});
export type Envelope = z.infer<typeof envelope>;

/** Part of a path, and of a DNS record's content. */
const tunnelId = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
const moment = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

export const tunnelRow = z
  .object({
    id: tunnelId,
    name: z.string(),
    created_at: moment,
    deleted_at: z.string().nullish(),
    metadata: z.unknown(),
  })
  .transform((row) => ({
    id: row.id,
    name: row.name,
    createdAt: row.created_at,
    isDeleted: Boolean(row.deleted_at),
    metadata: row.metadata,
  }));
export type TunnelRow = z.infer<typeof tunnelRow>;

export const createdTunnel = z.object({ id: tunnelId, token: z.string().min(1).nullish() });
export const tunnelToken = z.string().min(1);

export const ingressRule = z.object({ hostname: z.string().optional(), service: z.string() });
export type IngressRule = z.infer<typeof ingressRule>;
/** A tunnel that was never configured has none. */
export const configuration = z
  .object({ config: z.object({ ingress: z.array(ingressRule).nullish() }).nullish() })
  .nullish()
  .transform((result) => result?.config?.ingress ?? []);

export const recordRow = z
  .object({
    id: z.string().min(1),
    type: z.string(),
    name: z.string(),
    content: z.string().nullish(),
    proxied: z.boolean().nullish(),
    comment: z.string().nullish(),
    created_on: moment,
    modified_on: moment,
  })
  .transform((row) => ({
    id: row.id,
    type: row.type,
    name: row.name.toLowerCase(),
    content: (row.content ?? "").toLowerCase(),
    isProxied: row.proxied === true,
    comment: row.comment ?? "",
    changedAt: Math.max(row.created_on, row.modified_on),
  }));
export type RecordRow = z.infer<typeof recordRow>;

/** A tunnel's name is taken; a record of that name is there already. */
const TAKEN = new Set([1013, 81053, 81054, 81057, 81058]);
/** A tunnel cannot be deleted while its connector is connected, which a connector that was just ended is for seconds. */
const STILL_CONNECTED = 1022;

export function classify(status: number, answer: Envelope | null): CloudflareErrorCode {
  const codes = answer?.errors.map((error) => error.code) ?? [];
  if (status === 429 || status === 408 || status >= 500 || status < 400 || answer === null) return "unavailable";
  if (codes.includes(STILL_CONNECTED)) return "unavailable";
  return status === 409 || codes.some((code) => TAKEN.has(code ?? 0)) ? "conflict" : "refused";
}

export function readWords(status: number, answer: Envelope | null): string {
  const words = answer?.errors.map(({ code, message }) => `${code ?? "?"} ${message ?? ""}`.trim()).join("; ");
  return words ? `HTTP ${status}: ${words}` : `HTTP ${status}`;
}

/** Seconds or a date, as HTTP has it; null when it says nothing that can be waited for. */
export function readRetryAfter(value: string | null, now: number): number | null {
  if (value === null || value.trim() === "") return null;
  const seconds = Number(value);
  const ms = Number.isNaN(seconds) ? Date.parse(value) - now : seconds * 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}
