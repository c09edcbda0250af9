/**
 * A tunnel per machine: its name is `soneca-<instance>-<epoch>`, its hostname one proxied CNAME. Cloudflare keeps the
 * state; every call looks first, so each may be repeated after any failure, lost answers included.
 *
 * What the caller keeps:
 * - before `openTunnel`: a row that says this instance and epoch may have a tunnel; written, not only meant. Nothing of
 *   the answer has to be kept for closing. The token is a secret of this one hostname; asked for again, it is the same.
 * - until `closeTunnel` has answered `ok`: that row. Every other answer means: once more later. `conflict` too, though
 *   only a person can change it: something of another owner stands under our name, and is left as it is.
 * - for `sweepTunnels`: whether an instance still wants its epoch's tunnel, asked of whoever decides that.
 */
import * as z from "zod";
import { type InstanceId, isInstanceId, machineLabel, parseMachineLabel } from "../../core/protocol/ids.ts";
import { type Cloudflare, createCloudflare, type Hands } from "./cloudflare.ts";
import type { TunnelSettings } from "./settings.ts";
import type { CloudflareAnswer, CloudflareFailure, IngressRule, RecordRow, TunnelRow } from "./wire.ts";

/** Whose tunnel. */
export interface Whose {
  instance: InstanceId;
  epoch: number;
}

export interface OpenedTunnel {
  id: string;
  hostname: string;
  /** For cloudflared's --token-file on that machine, and for nobody else. */
  token: string;
}

export interface SweepReport {
  ok: true;
  /** Tunnels of this deployment. */
  seen: number;
  closed: Whose[];
  /** Records whose tunnel was gone already. */
  recordsDeleted: number;
  /** Stale, and for a later run. */
  left: number;
  failed: (CloudflareFailure & { what: string })[];
}

export interface Tunnels {
  /** `gatePort`: of the gate on the machine's 127.0.0.1. The hostname may need seconds before it answers. */
  openTunnel(order: Whose & { gatePort: number }): Promise<CloudflareAnswer<{ tunnel: OpenedTunnel }>>;
  /** From its begin the token is good for nothing: the tunnel's connections end first. */
  closeTunnel(whose: Whose): Promise<CloudflareAnswer<object>>;
  /**
   * Ends what nobody wants any more and is older than ten minutes: at most `most` things in one run. A `live` that throws
   * keeps its tunnel. A list that failed or is short ends the run.
   */
  sweepTunnels(
    live: (whose: Whose) => boolean | Promise<boolean>,
    most?: number,
  ): Promise<SweepReport | CloudflareFailure>;
}

const TARGET = ".cfargotunnel.com";
const MIN_AGE_MS = 10 * 60_000;
const MOST_PER_RUN = 20;

export const tunnelName = ({ instance, epoch }: Whose): string => `soneca-${instance}-${epoch}`;

/** A machine's hostname, of one label: `t-k3v7q2m4xa-7.example.com`. */
export const tunnelHostname = ({ instance, epoch }: Whose, zone: string): string =>
  `t-${instance.slice("i-".length)}-${epoch}.${zone}`;

const metadata = z.object({
  soneca: z.object({
    instance: z.custom<InstanceId>(isInstanceId),
    epoch: z.number().int().min(1),
    deployment: z.string(),
  }),
});

export function createTunnels(settings: TunnelSettings, hands: Hands = {}): Tunnels {
  const api = createCloudflare(settings, hands);
  const parts = { api, settings };
  return {
    async openTunnel({ gatePort, ...whose }) {
      const made = await ensureTunnel(parts, whose);
      if (!made.ok) return made;
      const hostname = tunnelHostname(whose, settings.zone);
      const routed = await ensureIngress(api, made, hostname, gatePort);
      if (!routed.ok) return routed;
      const named = await ensureRecord(api, { name: hostname, content: made.id + TARGET, comment: commentOf(whose) });
      return named.ok ? { ok: true, tunnel: { id: made.id, hostname, token: made.token } } : named;
    },
    closeTunnel: (whose) => closeTunnel(parts, whose),
    sweepTunnels: (live, most = MOST_PER_RUN) => sweep(parts, live, most, hands.now?.() ?? Date.now()),
  };
}

interface Parts {
  api: Cloudflare;
  settings: TunnelSettings;
}

/** Also the label of the machine at its provider. */
const commentOf = ({ instance, epoch }: Whose) => machineLabel(instance, epoch);

const conflict = (message: string): CloudflareFailure => ({ ok: false, code: "conflict", message });

/** Whose it is by its name and its metadata; null for everybody else's. */
function readOwner(tunnel: TunnelRow, { deployment }: TunnelSettings): Whose | null {
  const said = metadata.safeParse(tunnel.metadata).data?.soneca;
  if (said?.deployment !== deployment || tunnelName(said) !== tunnel.name) return null;
  return { instance: said.instance, epoch: said.epoch };
}

async function findOwn({ api, settings }: Parts, whose: Whose): Promise<CloudflareAnswer<{ own: TunnelRow | null }>> {
  const found = await api.findTunnels(tunnelName(whose));
  if (!found.ok) return found;
  if (found.tunnels.some((tunnel) => readOwner(tunnel, settings) === null)) {
    return conflict(`a tunnel named ${tunnelName(whose)} is not of this deployment`);
  }
  return { ok: true, own: found.tunnels[0] ?? null };
}

type Made = { id: string; token: string; isNew: boolean };

async function ensureTunnel(parts: Parts, whose: Whose): Promise<CloudflareAnswer<Made>> {
  const { api, settings } = parts;
  const adopt = async (id: string, isNew: boolean): Promise<CloudflareAnswer<Made>> => {
    const read = await api.readToken(id);
    return read.ok ? { ok: true, id, token: read.token, isNew } : read;
  };
  const before = await findOwn(parts, whose);
  if (!before.ok) return before;
  if (before.own) return adopt(before.own.id, false);
  const { deployment } = settings;
  const made = await api.createTunnel(tunnelName(whose), { soneca: { ...whose, deployment } });
  if (made.ok) {
    return made.token === null ? adopt(made.id, true) : { ok: true, id: made.id, token: made.token, isNew: true };
  }
  if (made.code === "refused") return made;
  // Its answer was lost, or another run was faster: the name says what there is.
  const after = await findOwn(parts, whose);
  if (!after.ok) return after;
  // Taken, and not in the list yet: a later look knows whose it is.
  return after.own ? adopt(after.own.id, false) : { ...made, code: "unavailable" };
}

async function ensureIngress(
  api: Cloudflare,
  { id, isNew }: Made,
  hostname: string,
  port: number,
): Promise<CloudflareAnswer<object>> {
  const wanted: IngressRule[] = [{ hostname, service: `http://127.0.0.1:${port}` }, { service: "http_status:404" }];
  if (!isNew) {
    const now = await api.readIngress(id);
    if (!now.ok) return now;
    const isSame = (rule: IngressRule, i: number) =>
      rule.hostname === wanted[i]?.hostname && rule.service === wanted[i]?.service;
    if (now.ingress.length === wanted.length && now.ingress.every(isSame)) return { ok: true };
  }
  return api.writeIngress(id, wanted);
}

type WantedRecord = { name: string; content: string; comment: string };

async function ensureRecord(api: Cloudflare, wanted: WantedRecord): Promise<CloudflareAnswer<object>> {
  const before = await matchRecord(api, wanted);
  if (!before.ok || before.isDone) return before;
  const made = await api.createRecord(wanted);
  if (made.ok || made.code === "refused") return made;
  const after = await matchRecord(api, wanted);
  if (!after.ok || after.isDone) return after;
  return { ...made, code: "unavailable" };
}

/** Corrects a record of ours that points elsewhere; not done: there is none. */
async function matchRecord(api: Cloudflare, wanted: WantedRecord): Promise<CloudflareAnswer<{ isDone: boolean }>> {
  const found = await api.findRecords(wanted.name);
  if (!found.ok) return found;
  const [record] = found.records;
  if (!record) return { ok: true, isDone: false };
  if (found.records.length > 1 || !isOurs(record, wanted)) {
    return conflict(`${wanted.name} has a DNS record that is not ours: ${record.type} ${record.content}`.slice(0, 300));
  }
  if (record.content === wanted.content && record.isProxied) return { ok: true, isDone: true };
  const changed = await api.changeRecord(record.id, wanted);
  return changed.ok ? { ok: true, isDone: true } : changed;
}

/** By its content, which no other owner has reason to write; or by the comment, while it points at some tunnel. */
function isOurs(record: RecordRow, wanted: { content: string | null; comment: string }): boolean {
  if (record.type !== "CNAME") return false;
  return record.content === wanted.content || (record.comment === wanted.comment && record.content.endsWith(TARGET));
}

async function closeTunnel(parts: Parts, whose: Whose): Promise<CloudflareAnswer<object>> {
  const { api, settings } = parts;
  const found = await findOwn(parts, whose);
  if (!found.ok) return found;
  const id = found.own?.id ?? null;
  if (id !== null) {
    const ended = await api.endConnections(id);
    if (!ended.ok) return ended;
  }
  const records = await api.findRecords(tunnelHostname(whose, settings.zone));
  if (!records.ok) return records;
  const own = { content: id === null ? null : id + TARGET, comment: commentOf(whose) };
  for (const record of records.records.filter((one) => isOurs(one, own))) {
    const deleted = await api.deleteRecord(record.id);
    if (!deleted.ok) return deleted;
  }
  return id === null ? { ok: true } : api.deleteTunnel(id);
}

async function sweep(
  parts: Parts,
  live: (whose: Whose) => boolean | Promise<boolean>,
  most: number,
  now: number,
): Promise<SweepReport | CloudflareFailure> {
  const { api, settings } = parts;
  // Tunnels first: a record that is listed after them has its tunnel among them, or that one is gone.
  const all = await api.listTunnels();
  if (!all.ok) return all;
  const records = await api.listRecords("soneca:");
  if (!records.ok) return records;
  const report: SweepReport = { ok: true, seen: 0, closed: [], recordsDeleted: 0, left: 0, failed: [] };
  const isUnwanted = async (whose: Whose, since: number) => {
    if (now - since < MIN_AGE_MS) return false;
    try {
      return !(await live(whose));
    } catch (error) {
      report.failed.push({ ok: false, code: "unavailable", message: String(error), what: tunnelName(whose) });
      return false;
    }
  };
  let room = most;
  const note = (what: string, answer: CloudflareAnswer<object>, done: () => void) =>
    answer.ok ? done() : report.failed.push({ ...answer, what });

  for (const tunnel of all.tunnels.toSorted((a, b) => a.createdAt - b.createdAt)) {
    const whose = readOwner(tunnel, settings);
    if (!whose) continue;
    report.seen++;
    if (!(await isUnwanted(whose, tunnel.createdAt))) continue;
    if (room-- <= 0) report.left++;
    else note(tunnel.name, await closeTunnel(parts, whose), () => report.closed.push(whose));
  }
  // Whoever has a tunnel, of whatever deployment or name, keeps the record that points at it.
  const targets = new Set(all.tunnels.map((tunnel) => tunnel.id + TARGET));
  for (const record of records.records) {
    const whose = parseMachineLabel(record.comment);
    if (!whose || !record.content.endsWith(TARGET) || targets.has(record.content)) continue;
    if (record.name !== tunnelHostname(whose, settings.zone) || !(await isUnwanted(whose, record.changedAt))) continue;
    if (room-- <= 0) report.left++;
    else note(record.name, await api.deleteRecord(record.id), () => report.recordsDeleted++);
  }
  return report;
}
