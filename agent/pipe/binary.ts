/** Where cloudflared is: named, in PATH, or brought once into the agent's home, where it is what its hash says or nothing. */
import { createHash, randomBytes } from "node:crypto";
import {
  accessSync,
  chmodSync,
  constants,
  createReadStream,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import type { Env } from "../identity.ts";
import { describeError } from "../log.ts";

/** What the control plane offers for this processor. */
export interface BinaryOffer {
  url: string;
  /** 64 lower-case hex digits. */
  sha256: string;
}

export type FoundBinary =
  | { ok: true; path: string }
  | {
      ok: false;
      /** no_cloudflared: none is here, and none was offered. */
      code: "no_cloudflared" | "download_failed" | "wrong_hash";
      message: string;
    };

export interface FindOptions {
  home: string;
  env: Env;
  offer: BinaryOffer | null;
  signal?: AbortSignal;
  fetch?: typeof fetch;
  timeoutMs?: number;
  maxBytes?: number;
}

/** Names one, in place of all others. */
export const binaryEnv = "SONECA_CLOUDFLARED";

const TIMEOUT_MS = 180_000;
const MAX_BYTES = 150 * 1024 * 1024;

export async function findCloudflared(options: FindOptions): Promise<FoundBinary> {
  const { home, env, offer } = options;
  const named = env[binaryEnv];
  if (named) {
    if (isAbsolute(named) && isExecutable(named)) return { ok: true, path: named };
    return { ok: false, code: "no_cloudflared", message: `${binaryEnv} names no program: ${named}` };
  }
  const inPath = (env.PATH ?? "")
    .split(delimiter)
    .filter(isAbsolute)
    .map((folder) => join(folder, "cloudflared"))
    .find(isExecutable);
  if (inPath) return { ok: true, path: inPath };
  if (!offer)
    return { ok: false, code: "no_cloudflared", message: "cloudflared is not installed, and none was offered" };
  if (!/^[0-9a-f]{64}$/.test(offer.sha256)) {
    return { ok: false, code: "wrong_hash", message: "the offered cloudflared has no SHA-256" };
  }
  const folder = join(home, "bin");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `cloudflared-${offer.sha256.slice(0, 16)}`);
  // Another one under its name is not run, however it came there.
  if (isExecutable(path) && (await hashFile(path)) === offer.sha256) return { ok: true, path };
  return bring(folder, path, offer, options);
}

async function bring(
  folder: string,
  path: string,
  { url, sha256 }: BinaryOffer,
  { signal, fetch: send = fetch, timeoutMs = TIMEOUT_MS, maxBytes = MAX_BYTES }: FindOptions,
): Promise<FoundBinary> {
  const draft = `${path}.${randomBytes(4).toString("hex")}.new`;
  try {
    const hash = createHash("sha256");
    const limit = AbortSignal.timeout(timeoutMs);
    const response = await send(url, { signal: signal ? AbortSignal.any([limit, signal]) : limit });
    if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
    const file = await open(draft, "wx", 0o600);
    try {
      let bytes = 0;
      for await (const chunk of response.body) {
        bytes += chunk.length;
        if (bytes > maxBytes) throw new Error(`it has more than ${maxBytes} bytes`);
        hash.update(chunk);
        await file.write(chunk);
      }
    } finally {
      await file.close();
    }
    if (hash.digest("hex") !== sha256) {
      return {
        ok: false,
        code: "wrong_hash",
        message: "the cloudflared that was brought is not the one that was meant",
      };
    }
    chmodSync(draft, 0o700);
    renameSync(draft, path);
    forgetOthers(folder, path);
    return { ok: true, path };
  } catch (error) {
    return { ok: false, code: "download_failed", message: `cloudflared could not be brought: ${describeError(error)}` };
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Earlier versions, and drafts of agents that were killed. */
function forgetOthers(folder: string, path: string): void {
  for (const name of readdirSync(folder)) {
    const other = join(folder, name);
    if (name.startsWith("cloudflared-") && other !== path) rmSync(other, { force: true });
  }
}

async function hashFile(path: string): Promise<string | null> {
  try {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk);
    return hash.digest("hex");
  } catch {
    return null;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
