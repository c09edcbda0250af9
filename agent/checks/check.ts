/** What the doctor looks at, and what it finds. */
import type { Env } from "../identity.ts";

export interface Check {
  name: string;
  ok: boolean;
  /** Without it the agent cannot do its work. */
  essential: boolean;
  found: string;
  advice: string | null;
}

export interface DoctorOptions {
  env: Env;
  /** Whether the FFI addon (koffi) is loaded. */
  hasNative: boolean;
  fetch?: typeof fetch;
  /** In place of this process's and this system's own; for tests. */
  nodeVersion?: string;
  uid?: number;
  proc?: string;
  rootCertificates?: readonly string[];
  /** Bytes that are free at a path. */
  freeBytes?: (path: string) => number;
  smiTimeoutMs?: number;
  now?: () => number;
}
