/** Secrets that are made here: shown once, kept as their hash. */

export async function freshSecret(prefix: string): Promise<{ token: string; hash: string }> {
  const token = prefix + base64Url(crypto.getRandomValues(new Uint8Array(32)));
  return { token, hash: await sha256Hex(token) };
}

export async function sha256Hex(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function base64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

export function expiryOf(days: number | undefined): string | null {
  return days === undefined ? null : new Date(Date.now() + days * 86_400_000).toISOString();
}

/** Compares hashes, so that the time it takes says nothing of the secret. An unset secret equals nothing. */
export async function isSameSecret(given: string, secret: string | undefined): Promise<boolean> {
  if (!secret || secret.length < 16) return false;
  return (await sha256Hex(given)) === (await sha256Hex(secret));
}
