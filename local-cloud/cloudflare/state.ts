/** What the stand-in for Cloudflare keeps: tunnels and DNS records of one account and one zone. */
import { randomBytes, randomUUID } from "node:crypto";
import { readFileSync, renameSync, writeFileSync } from "node:fs";

export interface Rule {
  hostname?: string;
  service: string;
}

export interface Tunnel {
  id: string;
  name: string;
  metadata: unknown;
  secret: string;
  ingress: Rule[] | null;
  version: number;
  createdAt: string;
  deletedAt: string | null;
}

export interface DnsRecord {
  id: string;
  type: string;
  name: string;
  content: string;
  proxied: boolean;
  ttl: number;
  comment: string | null;
  tags: string[];
  createdAt: string;
  modifiedAt: string;
}

export interface State {
  tunnels: Tunnel[];
  records: DnsRecord[];
  save(): void;
}

/** `file`: what is kept there outlives the program. */
export function openState(file: string | null): State {
  const kept = (file && load(file)) || { tunnels: [], records: [] };
  const state: State = {
    ...kept,
    save() {
      if (file === null) return;
      const { tunnels, records } = state;
      writeFileSync(`${file}.new`, JSON.stringify({ tunnels, records }), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
  return state;
}

export function newTunnel(name: string, metadata: unknown, at: string): Tunnel {
  const secret = randomBytes(32).toString("base64");
  return { id: randomUUID(), name, metadata, secret, ingress: null, version: 0, createdAt: at, deletedAt: null };
}

export const newRecordId = (): string => randomBytes(16).toString("hex");

/** As the real one is made: account, tunnel and secret, as JSON in base64. */
export function tokenOf({ id, secret }: Tunnel, accountId: string): string {
  return Buffer.from(JSON.stringify({ a: accountId, t: id, s: secret })).toString("base64");
}

/** The tunnel that the token is for; null for none, a deleted one, or another secret. */
export function findByToken(state: State, token: string): Tunnel | null {
  try {
    const said = JSON.parse(Buffer.from(token, "base64").toString("utf8"));
    return state.tunnels.find((one) => one.id === said.t && one.secret === said.s && !one.deletedAt) ?? null;
  } catch {
    return null;
  }
}

function load(file: string): { tunnels: Tunnel[]; records: DnsRecord[] } | null {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
