/** What a route of vast.ai's API is, and what its handler is given. */
import type { Cloud } from "./cloud.ts";
import type { Faults } from "./fault-rules.ts";
import type { Row } from "./query.ts";
import type { Contract } from "./state.ts";
import type { Reply } from "./wire.ts";

export interface ApiRequest {
  method: string;
  /** Without a trailing slash. */
  path: string;
  query: URLSearchParams;
  body: unknown;
}

/** An answer that never comes: the connection ends after so many milliseconds. */
export interface Cut {
  cutAfterMs: number;
  /** With a reset; otherwise it is closed. */
  isReset: boolean;
}

export interface Caller {
  /** The whole account, or one machine with its own key, or nobody. */
  as: "account" | "machine" | "nobody";
  id?: number;
}

export interface Context {
  cloud: Cloud;
  faults: Faults;
  request: ApiRequest;
  caller: Caller;
  contract: Contract | null;
  id: number;
  baseUrl: () => string;
  logs: Map<string, { text: string; readyAt: number }>;
  /** Lists as they were, for the list that is stale. */
  past: { at: number; rows: Row[] }[];
  now: () => number;
}

export type Handler = (context: Context) => Reply | Cut | Promise<Reply | Cut>;

export interface Route {
  method: string;
  path: RegExp;
  /** The name that faults and intervals know it by. */
  name: string;
  /** Least seconds between two calls, as vast.ai has it. */
  interval?: number;
  /** May be asked without a key, or with a machine's own key. */
  open?: boolean;
  ownKey?: boolean;
  handle: Handler;
}

export const asObject = (value: unknown): Record<string, unknown> | null =>
  value !== null && typeof value === "object" && !Array.isArray(value) ? (value as Record<string, unknown>) : null;

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
