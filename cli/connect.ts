/**
 * Where the control plane is and who asks: flags, then the environment, then the config file, then a local cloud that
 * runs in this folder or one above.
 *
 * A token of a file goes only to the URL of that same file: a URL from elsewhere never gets it.
 */
import { readFileSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import * as z from "zod";
import { usageFailure } from "./failure.ts";

export interface Connection {
  url: string;
  /** Null where none is needed and none is known. */
  token: string | null;
  /** In words, for people. */
  source: string;
}

export interface Surroundings {
  flags: { url?: string | undefined; token?: string | undefined };
  env: Record<string, string | undefined>;
  cwd: string;
  /** What is asked needs no token: it is sent where there is one. */
  isOpen?: boolean;
}

interface Source {
  name: string;
  url?: string | undefined;
  token?: string | undefined;
  isFile: boolean;
  /** A local cloud never gets the token of the environment: that one is a deployment's. */
  isLocal?: boolean;
}

const configSchema = z.looseObject({ url: z.string().optional(), token: z.string().optional() });
const localSchema = z.looseObject({ url: z.string(), apiToken: z.string(), pid: z.number().int().optional() });

export function configFilePath(env: Surroundings["env"]): string {
  return join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), ".config"), "soneca", "config.json");
}

/** Errors: Failure `usage`, which says how to get what is missing. */
export function findConnection(around: Surroundings): Connection {
  const { flags, env, cwd, isOpen = false } = around;
  const file = configFilePath(env);
  const sources: Source[] = [
    { name: "--url and --token", ...flags, isFile: false },
    { name: "SONECA_URL and SONECA_TOKEN", url: env.SONECA_URL, token: env.SONECA_TOKEN, isFile: false },
  ];
  // A later file is read only when the earlier sources do not settle it: a broken one must not stand in the way.
  let found = choose(sources);
  if (!found?.token) {
    sources.push(readConfig(file));
    found = choose(sources);
  }
  const local = found?.token ? nowhere : readLocal(cwd);
  if (local.source) found = choose([...sources, local.source]);

  if (!found) throw nothingKnown(file, local.gone);
  if (!found.token && !isOpen) {
    throw usageFailure(
      `There is no token for ${found.url}.`,
      `Set SONECA_TOKEN or --token, or put {"url": "${found.url}", "token": "snu_..."} in ${file}. A token that a file holds for another URL is not sent there.`,
    );
  }
  return { url: found.url, token: found.token ?? null, source: found.name };
}

function choose(sources: Source[]): { url: string; token: string | undefined; name: string } | null {
  const withUrl = sources.find((one) => one.url);
  if (!withUrl?.url) return null;
  const url = checkUrl(withUrl.url, withUrl.name);
  if (withUrl.isLocal) return { url, token: sources[0]?.token ?? withUrl.token, name: withUrl.name };
  const token = sources.find(
    (one) => one.token && (!one.isFile || one === withUrl || (one.url && sameUrl(one.url, url))),
  )?.token;
  return { url, token, name: withUrl.name };
}

function readConfig(file: string): Source {
  const text = readOwn(file);
  if (text === null) return { name: file, isFile: true };
  const parsed = configSchema.safeParse(parse(text));
  if (!parsed.success)
    throw usageFailure(`${file} is not a config file.`, 'It holds {"url": "https://...", "token": "snu_..."}.');
  return { name: file, url: parsed.data.url, token: parsed.data.token, isFile: true };
}

/** `gone` is the folder of a local cloud that has ended without taking its file away. */
interface LocalCloud {
  source: Source | null;
  gone: string | null;
}

const nowhere: LocalCloud = { source: null, gone: null };

function readLocal(cwd: string): LocalCloud {
  for (let folder = cwd; ; folder = dirname(folder)) {
    const name = join(folder, ".soneca", "local.json");
    const parsed = localSchema.safeParse(parse(readOwn(name) ?? ""));
    if (parsed.success) {
      const { url, apiToken: token, pid } = parsed.data;
      if (pid !== undefined && !isAlive(pid)) return { source: null, gone: folder };
      return { source: { name, url, token, isFile: true, isLocal: true }, gone: null };
    }
    if (folder === dirname(folder)) return nowhere;
  }
}

function nothingKnown(file: string, gone: string | null) {
  const first = gone
    ? `The local cloud of ${gone} is not running.`
    : "It is not known where the control plane is, and no local cloud runs here.";
  return usageFailure(
    first,
    [
      "  A local cloud:  npm start   (then ask again in that folder)",
      "  A deployment:   set SONECA_URL and SONECA_TOKEN, or --url and --token,",
      `                  or write {"url": "https://...", "token": "snu_..."} to ${file}`,
      "  A token comes from whoever runs the deployment; with one, `soneca token create NAME` makes more.",
    ].join("\n"),
  );
}

function checkUrl(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !["http:", "https:"].includes(url.protocol))
    throw usageFailure(`The URL of ${source} is not an address.`, "It looks like https://soneca.example.com.");
  if (url.username || url.password)
    throw usageFailure(`The URL of ${source} holds a password.`, "Give the token with SONECA_TOKEN or --token.");
  return url.origin + url.pathname.replace(/\/+$/, "");
}

function sameUrl(a: string, b: string): boolean {
  return (
    URL.canParse(a) && URL.canParse(b) && new URL(a).href.replace(/\/$/, "") === new URL(b).href.replace(/\/$/, "")
  );
}

/** Null for a file that is not there, or that somebody else put there. */
function readOwn(file: string): string | null {
  try {
    const { uid } = statSync(file);
    const mine = process.getuid?.();
    if (mine !== undefined && uid !== mine && uid !== 0) return null;
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}
