/** What the steps of a deployment share: how they reach the world, and what they have found out. */
import type { Cloudflare } from "./cloudflare.ts";
import type { DeployOptions } from "./options.ts";
import type { Outcome } from "./report.ts";
import type { Wrangler } from "./wrangler.ts";

/** As the dashboard for tokens names them. */
export const permissions = {
  account: "Account · Account Settings · Read",
  d1: "Account · D1 · Edit",
  r2: "Account · Workers R2 Storage · Edit",
  scripts: "Account · Workers Scripts · Edit",
  pages: "Account · Cloudflare Pages · Edit",
  zone: "Zone · Zone · Read",
  dns: "Zone · DNS · Read",
  routes: "Zone · Workers Routes · Edit",
} as const;

export interface World {
  /** What is in the account; of a dry run without credentials: nothing. */
  cloudflare: Cloudflare;
  hasCredentials: boolean;
  /** `account`: once it is known. */
  wrangler(account: string): Wrangler;
  /** To the deployed worker. */
  fetch: typeof fetch;
  sleep(ms: number): Promise<unknown>;
  env: Record<string, string | undefined>;
  /** Null where nobody can be asked. */
  ask: ((question: string) => Promise<string>) | null;
  /** Writes dist/public and dist/dashboard. */
  build(): Promise<void>;
  /** Names the sources that the worker and the dashboard are made of. */
  sourcesId(): string;
  randomSecret(bytes: number): string;
  /** The repository. */
  root: string;
  /** For what is generated: `.deploy/NAME`. */
  workDir: string;
}

export interface WorkerFound {
  vars: Record<string, string>;
  secrets: ReadonlySet<string>;
  cpuMs: number | null;
}

/** Filled in by the steps, in their order. */
export interface Found {
  account: string;
  worker: WorkerFound | null;
  databaseId: string | null;
  /** Without a trailing slash; null in a dry run that cannot know it. */
  url: string | null;
  customDomain: string | null;
  proxyZone: string | null;
  vars: Record<string, string>;
  /** Why the worker must be deployed although its code is the same. */
  drift: string[];
  /** Names of secrets that are to be set; a dry run may not know a value. */
  wanted: string[];
  /** Values of those. */
  secrets: Record<string, string>;
  /** Those among them that were made here: nobody else knows them. */
  made: ReadonlySet<string>;
  buildId: string;
  isBuilt: boolean;
  dashboardUrl: string | null;
  userToken: string | null;
}

export interface Context {
  options: DeployOptions;
  world: World;
  found: Found;
  /** Shows secrets that were made. */
  tellSecrets(named: Record<string, string>): void;
}

export interface Result {
  outcome: Outcome;
  words: string;
}

export const done = (words: string): Result => ({ outcome: "done", words });
export const alreadyThere = (words: string): Result => ({ outcome: "already there", words });
export const wouldDo = (words: string): Result => ({ outcome: "would do", words });
/** A later step does it. */
export const planned = ({ options }: Context, words: string): Result => ({
  outcome: options.dryRun ? "would do" : "will do",
  words,
});
export const skipped = (words: string): Result => ({ outcome: "skipped", words });
