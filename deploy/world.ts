/** The world of a command that a person runs: their credentials, their terminal, this repository. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { buildAll, hashOfSources } from "../tools/build.ts";
import { apiBase, type Cloudflare, createCloudflare } from "./cloudflare.ts";
import type { World } from "./context.ts";
import { DeployError } from "./error.ts";
import { createWrangler } from "./wrangler.ts";

export const root = join(import.meta.dirname, "..");

/** What nobody has looked at: nothing is there. Nothing is sent to it. */
const nothing: Cloudflare = {
  get: async () => null,
  list: async function* () {},
  send: async () => null,
};

/** Of the environment, or of wrangler's own session. Null: neither. */
export async function findToken(env: Record<string, string | undefined>): Promise<string | null> {
  if (env.CLOUDFLARE_API_TOKEN) return env.CLOUDFLARE_API_TOKEN;
  const { code, output } = await createWrangler({}).run(["auth", "token", "--json"]);
  if (code !== 0) return null;
  try {
    const { token } = JSON.parse(output.slice(output.indexOf("{"))) as { token?: string };
    return token ?? null;
  } catch {
    return null;
  }
}

/** Errors: no_credentials. */
export async function openCloudflare(env: Record<string, string | undefined>): Promise<Cloudflare> {
  const token = await findToken(env);
  if (token) return createCloudflare({ token, baseUrl: env.CLOUDFLARE_API_BASE_URL ?? apiBase });
  const hint =
    "Set CLOUDFLARE_API_TOKEN (docs/OPERATIONS.md says with which permissions), or run `npx wrangler login`.";
  throw new DeployError("no_credentials", "There are no credentials for Cloudflare.", hint);
}

/** `mayLack`: a dry run goes on without credentials. Errors: no_credentials. */
export async function openWorld(name: string, { mayLack }: { mayLack: boolean }): Promise<World> {
  const { env } = process;
  const cloudflare = await openCloudflare(env).catch((error) => {
    if (mayLack && error instanceof DeployError) return null;
    throw error;
  });
  return {
    cloudflare: cloudflare ?? nothing,
    hasCredentials: cloudflare !== null,
    wrangler: (account) => createWrangler({ CLOUDFLARE_ACCOUNT_ID: account }),
    fetch,
    sleep,
    env,
    ask: process.stdin.isTTY ? askHidden : null,
    build: buildAll,
    sourcesId: () => hashOfSources(["core", "worker", "agent", "dashboard", "tools"]),
    randomSecret: (bytes) => randomBytes(bytes).toString("base64url"),
    root,
    workDir: join(root, ".deploy", name),
  };
}

/** What is typed is not shown. */
export function askHidden(question: string): Promise<string> {
  process.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, next) => next() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  return new Promise((done) =>
    terminal.question("", (answer) => {
      terminal.close();
      process.stderr.write("\n");
      done(answer);
    }),
  );
}

export function askPlainly(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  return new Promise((done) =>
    terminal.question(question, (answer) => {
      terminal.close();
      done(answer);
    }),
  );
}
