/**
 * The manifest: the small JSON object that makes parts a snapshot. Stands alone: the control plane imports this file and
 * store.ts, and proves a snapshot with them and a listing of the store.
 */
import * as z from "zod";
import { maxEpoch, maxSeq } from "./store.ts";

export const maxManifestBytes = 8 * 1024 * 1024;
export const maxManifestParts = 65_536;
/** A longer list is cut; `stats.skipped` is for people. */
export const maxSkipped = 100;

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, "64 lower-case hex digits");

export const manifestSchema = z.strictObject({
  v: z.literal(1),
  instance: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "the name of an instance"),
  epoch: z.number().int().min(1).max(maxEpoch),
  seq: z.number().int().min(1).max(maxSeq),
  /** Epoch milliseconds, the agent's clock. */
  createdAt: count,
  agent: z.string().max(80),
  chunker: z.literal(1),
  /** The tree's root chunk. */
  root: z.strictObject({ id: sha256Hex }),
  /** The tree digest: equal for equal workspaces. */
  digest: sha256Hex,
  /** Keys of the parts that hold the index segments. */
  segments: z.array(sha256Hex).min(1).max(1024),
  /** Every part that a restore needs, segments and tree too; each key once. */
  parts: z
    .array(z.strictObject({ key: sha256Hex, bytes: count.min(1) }))
    .min(1)
    .max(maxManifestParts),
  excludes: z.array(z.string().max(4096)).max(1000),
  encryption: z
    .strictObject({ kdf: z.string().max(200), wrappedKey: z.string().max(4096), keyId: z.string().max(200) })
    .nullable(),
  stats: z.strictObject({
    entries: count,
    files: count,
    plainBytes: count,
    newPlainBytes: count,
    storedBytes: count,
    newStoredBytes: count,
    /** Entries that moved under the reader or could not be read. Above 0: never proof for a destroy. */
    torn: count,
    skipped: z.array(z.strictObject({ path: z.string().max(16_384), reason: z.string().max(200) })).max(maxSkipped),
  }),
  parent: z.number().int().min(1).max(maxSeq).nullable(),
});

export type Manifest = z.infer<typeof manifestSchema>;

export type ParsedManifest =
  | { ok: true; manifest: Manifest }
  | { ok: false; code: "manifest_invalid" | "snapshot_format_unknown"; message: string };

/** `text` is the stored JSON. The caller bounds its length by maxManifestBytes before it decodes the bytes to text. */
export function parseManifest(text: string): ParsedManifest {
  const invalid = (message: string): ParsedManifest => ({ ok: false, code: "manifest_invalid", message });
  if (text.length > maxManifestBytes) return invalid(`the manifest is longer than ${maxManifestBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return invalid("the manifest is not JSON");
  }
  const version = versionOf(value);
  if (version !== 1) {
    return {
      ok: false,
      code: "snapshot_format_unknown",
      message: `the manifest has version ${JSON.stringify(version)}; this reader knows 1`,
    };
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return invalid(`the manifest is not valid at ${issue?.path.join(".") || "its top"}: ${issue?.message}`);
  }
  const manifest = parsed.data;
  const keys = new Set(manifest.parts.map((part) => part.key));
  if (keys.size !== manifest.parts.length) return invalid("the manifest lists a part twice");
  const missing = manifest.segments.find((key) => !keys.has(key));
  if (missing) return invalid(`the manifest does not list the part of its segment ${missing}`);
  return { ok: true, manifest };
}

/** The stored bytes as text: compact JSON, fields in the order of the schema. Errors: throws ZodError for a wrong one. */
export function formatManifest(manifest: Manifest): string {
  return JSON.stringify(manifestSchema.parse(manifest));
}

function versionOf(value: unknown): unknown {
  return typeof value === "object" && value !== null && "v" in value ? value.v : undefined;
}
