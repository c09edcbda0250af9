/** Who this agent is: its settings, its token, and the lock that keeps it the only one of its home. */
import { accessSync, constants, linkSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isInstanceId } from "../core/protocol/ids.ts";
import { agentEnv } from "../core/protocol/wire.ts";
import { isAlive, isInside, type ProcessRef, readBootId, readStat } from "./proc.ts";
import { writeWhole } from "./whole-file.ts";

export type Env = Record<string, string | undefined>;

export interface Settings {
  url: string;
  instance: string;
  epoch: number;
  workspace: string;
  home: string;
  gpuCount: number;
  /** The provider's number of this machine; null where its environment does not say. */
  container: number | null;
}

export type SettingsOutcome = { ok: true; settings: Settings; tokens: Tokens } | { ok: false; message: string };

/** Makes the home and the workspace when they are missing. */
export function readSettings(env: Env): SettingsOutcome {
  const url = (env[agentEnv.url] ?? "").replace(/\/+$/, "");
  if (!/^https?:\/\/[^\s/]+/.test(url)) return refuse(`${agentEnv.url} is missing or is no http(s) address.`);
  const workspace = findWorkspace(env);
  const home = findHome(env);
  if (home === null) return refuse(`No folder for the agent's own files can be written; set ${agentEnv.home}.`);
  try {
    mkdirSync(workspace, { recursive: true });
  } catch (error) {
    return refuse(`The workspace ${workspace} cannot be made: ${(error as Error).message}`);
  }
  if (isInside(realpathSync(home), realpathSync(workspace))) {
    return refuse(
      `${agentEnv.home} (${home}) lies inside the workspace (${workspace}); choose a folder outside of it.`,
    );
  }
  const given = (env[agentEnv.token] ?? "").trim() || null;
  const saved = readSavedToken(home);
  const claims = (given && readClaims(given)) || (saved && readClaims(saved)) || null;
  const instance = env[agentEnv.instance] || claims?.instance || "";
  const epoch = Number(env[agentEnv.epoch] || claims?.epoch || 0);
  if (!isInstanceId(instance))
    return refuse(`${agentEnv.instance} is missing, and ${agentEnv.token} names no instance.`);
  if (!Number.isInteger(epoch) || epoch < 1)
    return refuse(`${agentEnv.epoch} is missing, and ${agentEnv.token} names no epoch.`);
  const tokens = createTokens({ home, given, instance, epoch });
  if (!tokens)
    return refuse(`${agentEnv.token} is missing, and ${join(home, "token")} holds none of this instance and epoch.`);
  return {
    ok: true,
    tokens,
    settings: {
      url,
      instance,
      epoch,
      workspace,
      home,
      gpuCount: Number(env.GPU_COUNT) || 0,
      container: readContainer(env),
    },
  };
}

function readContainer(env: Env): number | null {
  const id = Number(env.CONTAINER_ID ?? Number.NaN);
  return Number.isSafeInteger(id) && id > 0 ? id : null;
}

export function findWorkspace(env: Env): string {
  return resolve(env[agentEnv.workspace] || env.DATA_DIRECTORY || "/workspace");
}

/** The first that can be written, made with mode 0700; null when none can. */
export function findHome(env: Env): string | null {
  const asked = env[agentEnv.home];
  const candidates = asked ? [asked] : ["/var/lib/soneca", join(env.HOME || homedir(), ".soneca-agent")];
  for (const candidate of candidates) {
    const home = resolve(candidate);
    try {
      mkdirSync(home, { recursive: true, mode: 0o700 });
      accessSync(home, constants.W_OK | constants.X_OK);
      return home;
    } catch {
      // The next one.
    }
  }
  return null;
}

export interface Claims {
  instance: string | null;
  epoch: number | null;
  issuedAt: number;
  expiresAt: number | null;
}

/** What a JWT says of itself, not verified: only the control plane can. Times are epoch ms. null: no JWT. */
export function readClaims(token: string): Claims | null {
  const payload = token.split(".")[1];
  if (!payload) return null;
  try {
    const claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as Record<string, unknown>;
    if (typeof claims !== "object" || claims === null) return null;
    const names = [claims.instance, claims.instance_id, claims.iid, claims.sub];
    const epoch = Number(claims.epoch);
    return {
      instance: names.find((name) => isInstanceId(name)) ?? null,
      epoch: Number.isInteger(epoch) && epoch > 0 ? epoch : null,
      issuedAt: seconds(claims.iat) ?? 0,
      expiresAt: seconds(claims.exp),
    };
  } catch {
    return null;
  }
}

export interface Tokens {
  current(): string;
  /** Keeps a renewed token, and saves it. False: it is not of this instance and epoch, or the one we have is newer. */
  renew(token: string): boolean;
}

interface TokensOptions {
  home: string;
  given: string | null;
  instance: string;
  epoch: number;
}

function createTokens({ home, given, instance, epoch }: TokensOptions): Tokens | null {
  const fits = (token: string) => {
    const claims = readClaims(token);
    return claims !== null && (claims.instance ?? instance) === instance && (claims.epoch ?? epoch) === epoch;
  };
  const age = (token: string) => readClaims(token)?.issuedAt ?? 0;
  const saved = readSavedToken(home);
  let token = given;
  // A saved one must say itself that it is ours; the one that was given is believed.
  if (saved && fits(saved) && (token === null || age(saved) > age(token))) token = saved;
  if (token === null) return null;
  let current = token;
  return {
    current: () => current,
    renew(next) {
      if (next === current || !fits(next) || age(next) < age(current)) return false;
      current = next;
      writeWhole(join(home, "token"), `${next}\n`);
      return true;
    },
  };
}

export type LockOutcome = { ok: true; release(): void } | { ok: false; pid: number };

interface Lock extends ProcessRef {
  bootId: string;
}

/** One agent per home. A lock whose process is gone, or whose pid belongs to another process by now, is taken over. */
export async function takeLock(home: string): Promise<LockOutcome> {
  const file = join(home, "agent.lock");
  const mine: Lock = { pid: process.pid, startTime: readStat(process.pid)?.startTime ?? 0, bootId: readBootId() };
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 });
  try {
    for (;;) {
      try {
        linkSync(draft, file);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        const holder = readLock(file);
        if (holder && holder.bootId === mine.bootId && isAlive(holder) && holder.pid !== mine.pid)
          return { ok: false, pid: holder.pid };
        rmSync(file, { force: true });
        continue;
      }
      // Two that took over the same stale lock at once: the later link stands, and the other sees it here.
      await sleep(50);
      const holder = readLock(file);
      if (holder?.pid === mine.pid) break;
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    ok: true,
    release() {
      if (readLock(file)?.pid === mine.pid) rmSync(file, { force: true });
    },
  };
}

/** Whether an agent of this home runs now. */
export function isHomeInUse(home: string): boolean {
  const holder = readLock(join(home, "agent.lock"));
  return holder !== null && holder.bootId === readBootId() && isAlive(holder);
}

export function readLock(file: string): Lock | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Lock;
  } catch {
    return null;
  }
}

function readSavedToken(home: string): string | null {
  try {
    return readFileSync(join(home, "token"), "utf8").trim() || null;
  } catch {
    return null;
  }
}

function seconds(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value * 1000 : null;
}

function refuse(message: string): { ok: false; message: string } {
  return { ok: false, message };
}
