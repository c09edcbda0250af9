/**
 * Secrets at rest: a compact JWE (RFC 7516; `dir`, A256GCM) whose header names the key that sealed it and what it is for, so
 * that keys can be replaced one after another and a secret moved to another row opens nowhere.
 */
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from "jose";
import { AppError } from "../core/protocol/errors.ts";
import type { Env } from "./env.ts";

type Keys = Pick<Env, "SECRETS_KEYS">;

/** `purpose`: which secret of what, such as `channel:<id>`. Errors: secrets_key_missing. */
export async function sealSecret(env: Keys, purpose: string, secret: string): Promise<string> {
  const [current] = readKeys(env);
  return new CompactEncrypt(new TextEncoder().encode(secret))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: current!.version, purpose })
    .encrypt(current!.key);
}

/** Errors: secrets_key_missing; secret_unreadable: another purpose, a key that is gone, or damage. */
export async function openSecret(env: Keys, purpose: string, sealed: string): Promise<string> {
  const keys = readKeys(env);
  try {
    const { kid, purpose: sealedFor } = decodeProtectedHeader(sealed);
    const key = keys.find(({ version }) => version === kid)?.key;
    if (!key) throw new Error(`no key ${kid}`);
    if (sealedFor !== purpose) throw new Error("sealed for something else");
    const algorithms = { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] };
    const { plaintext } = await compactDecrypt(sealed, key, algorithms);
    return new TextDecoder().decode(plaintext);
  } catch (cause) {
    throw new AppError("secret_unreadable", { purpose }, { cause });
  }
}

/** Whether it was sealed with the key that seals now. */
export function isSealedWithCurrent(env: Keys, sealed: string): boolean {
  return decodeProtectedHeader(sealed).kid === readKeys(env)[0]!.version;
}

/** Of the key that sealed it; null: it is no sealed secret. */
export function versionOf(sealed: string): string | null {
  try {
    return decodeProtectedHeader(sealed).kid ?? null;
  } catch {
    return null;
  }
}

/** The first one seals. Empty: there is none. */
export function keyVersions(env: Keys): string[] {
  return env.SECRETS_KEYS ? readKeys(env).map(({ version }) => version) : [];
}

/** `VERSION:KEY,VERSION:KEY`, the first seals; keys are 32 bytes in base64url. */
function readKeys({ SECRETS_KEYS }: Keys): { version: string; key: Uint8Array }[] {
  const keys = (SECRETS_KEYS ?? "")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "")
    .map((one) => /^([A-Za-z0-9_-]{1,20}):([A-Za-z0-9_-]{43})=?$/.exec(one))
    .map((match) => (match ? { version: match[1]!, key: readBase64Url(match[2]!) } : null));
  if (keys.length === 0 || keys.includes(null)) throw new AppError("secrets_key_missing");
  return keys as { version: string; key: Uint8Array }[];
}

function readBase64Url(text: string): Uint8Array {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (char) => char.charCodeAt(0));
}
