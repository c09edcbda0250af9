/**
 * How vast.ai's answers are read. The outside is lax: numbers come as text, fields come as null or not at all, errors
 * come in six shapes. What is read here is either whole or null.
 */
import * as z from "zod";
import { isInstanceId, machineLabel } from "../../core/protocol/ids.ts";
import { agentEnv } from "../../core/protocol/wire.ts";
import type { Offer, OfferQuery, ProviderErrorCode, RentedMachine } from "./provider.ts";
import { listCountries, readRegion, UNKNOWN_REGION } from "./regions.ts";
import { readFatal } from "./vast-fatal.ts";

const readNumber = (value: unknown) =>
  typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
const strictId = z.preprocess(readNumber, z.number().int().positive().max(Number.MAX_SAFE_INTEGER));
const number = z.preprocess(readNumber, z.number().nullish().catch(null));
const text = z.string().nullish().catch(null);
const flag = z.boolean().nullish().catch(null);

const offerRow = z.looseObject({
  id: strictId,
  machine_id: strictId,
  host_id: number,
  gpu_name: z.string().min(1),
  num_gpus: strictId,
  gpu_ram: number,
  disk_space: number,
  dph_total: z.preprocess(readNumber, z.number().positive()),
  dph_base: number,
  storage_cost: number,
  cuda_max_good: number,
  inet_up_cost: number,
  inet_down_cost: number,
  geolocation: text,
  reliability2: number,
  reliability: number,
  verification: text,
  verified: flag,
  rentable: flag,
  rented: flag,
  is_bid: flag,
  external: flag,
  end_date: number,
});
export type OfferRow = z.infer<typeof offerRow>;

const instanceRow = z.looseObject({
  id: strictId,
  actual_status: text,
  intended_status: text,
  cur_state: text,
  status_msg: text,
  label: text,
  machine_id: number,
  host_id: number,
  gpu_name: text,
  num_gpus: number,
  gpu_ram: number,
  geolocation: text,
  dph_total: number,
  storage_cost: number,
  storage_total_cost: number,
  inet_up_cost: number,
  inet_down_cost: number,
  disk_space: number,
  image_uuid: text,
  start_date: number,
  uptime_mins: number,
  /** [name, value] pairs. */
  extra_env: z.array(z.unknown()).nullish().catch(null),
  image_runtype: text,
  ssh_host: text,
  ssh_port: number,
  public_ipaddr: text,
  ports: z
    .record(
      z.string(),
      z
        .array(z.looseObject({ HostPort: z.unknown() }))
        .nullish()
        .catch(null),
    )
    .nullish()
    .catch(null),
});
type InstanceRow = z.infer<typeof instanceRow>;

export const offersPage = z.looseObject({ offers: z.array(z.unknown()) });

const count = z.preprocess(readNumber, z.number().int().nonnegative().nullish());

export const instancesPage = z.looseObject({
  instances: z.array(z.unknown()),
  next_token: z.string().nullish(),
  total_instances: count,
  instances_found: count,
});

/** How many machines there are by the page's own word; null when it has none, and then it is no list of vast.ai's. */
export function readTotal(page: z.infer<typeof instancesPage>): number | null {
  const said = [page.total_instances, page.instances_found].filter((one) => typeof one === "number");
  return said.length > 0 ? Math.max(...said) : null;
}

export const createAnswer = z.looseObject({ new_contract: strictId });

export function readOfferRow(row: unknown): OfferRow | null {
  return offerRow.safeParse(row).data ?? null;
}

const HOURS_PER_MONTH = 730;
const MICRO = 1_000_000;
const toMicro = (usd: number) => Math.round(usd * MICRO);

/**
 * The whole price with the disk that was asked for. `dph_total` holds it when the provider honoured allocated_storage;
 * where the parts come to clearly more it did not, and the parts are what will be billed.
 */
export function readPrice(row: OfferRow, diskGb: number): number {
  const parts = (row.dph_base ?? 0) + ((row.storage_cost ?? 0) * diskGb) / HOURS_PER_MONTH;
  return toMicro(parts > row.dph_total * 1.01 ? parts : row.dph_total);
}

/** Skip an offer that ends within this time: at its end the machine stops and is later deleted. */
export const MIN_REMAINING_MS = 24 * 3_600_000;
export const MIN_RELIABILITY = 0.9;

/** Every filter again: the provider does not always apply them. */
export function fitsQuery(row: OfferRow, query: OfferQuery, now: number): boolean {
  const countries = listCountries(query.region);
  const price = readPrice(row, query.diskGb);
  const reliability = row.reliability2 ?? row.reliability;
  return (
    (query.moreGpus ? row.num_gpus >= query.gpuCount : row.num_gpus === query.gpuCount) &&
    (query.gpuType === null || row.gpu_name === query.gpuType) &&
    (countries === null || countries.includes(readRegion(row.geolocation))) &&
    (row.disk_space === null || row.disk_space === undefined || row.disk_space >= query.diskGb) &&
    (query.minGpuRamMb === null || (row.gpu_ram ?? 0) >= query.minGpuRamMb) &&
    (query.maxMicroUsdPerHour === null || price <= query.maxMicroUsdPerHour) &&
    !query.avoidMachineIds.includes(row.machine_id) &&
    (query.verifiedOnly === false || isVerified(row)) &&
    row.rentable !== false &&
    row.rented !== true &&
    row.is_bid !== true &&
    row.external !== true &&
    (reliability === null || reliability === undefined || reliability >= (query.minReliability ?? MIN_RELIABILITY)) &&
    (query.minCuda == null || row.cuda_max_good == null || row.cuda_max_good >= query.minCuda) &&
    isFairTraffic(row, query.maxTrafficMicroUsdPerGb ?? null) &&
    (row.end_date === null || row.end_date === undefined || row.end_date * 1000 - now >= MIN_REMAINING_MS)
  );
}

function isVerified(row: OfferRow): boolean {
  return row.verification === "verified" || (row.verification == null && row.verified === true);
}

function isFairTraffic({ inet_up_cost: up, inet_down_cost: down }: OfferRow, limit: number | null): boolean {
  return limit === null || [up, down].every((cost) => cost != null && toMicro(cost) <= limit);
}

export function toOffer(row: OfferRow, diskGb: number): Offer {
  return {
    id: row.id,
    machineId: row.machine_id,
    hostId: row.host_id ?? null,
    gpuType: row.gpu_name,
    gpuCount: row.num_gpus,
    gpuRamMb: row.gpu_ram ?? 0,
    microUsdPerHour: readPrice(row, diskGb),
    diskMicroUsdPerHour: row.storage_cost == null ? null : toMicro((row.storage_cost * diskGb) / HOURS_PER_MONTH),
    upMicroUsdPerGb: row.inet_up_cost == null ? null : toMicro(row.inet_up_cost),
    downMicroUsdPerGb: row.inet_down_cost == null ? null : toMicro(row.inet_down_cost),
    region: readRegion(row.geolocation),
    reliability: row.reliability2 ?? row.reliability ?? null,
    verified: isVerified(row),
  };
}

/** null when the row cannot be understood: then the list it came in cannot be trusted either. */
export function readMachine(row: unknown, now: number): RentedMachine | null {
  const read = instanceRow.safeParse(row).data;
  if (!read) return null;
  const phase = readPhase(read);
  const region = readRegion(read.geolocation);
  return {
    id: read.id,
    label: read.label ?? null,
    envLabel: readEnvLabel(read.extra_env),
    phase,
    rawStatus: read.actual_status ?? null,
    statusMessage: read.status_msg?.trim().slice(0, 500) || null,
    fatal: phase === "running" ? null : readFatal(read.status_msg),
    machineId: read.machine_id ?? null,
    hostId: read.host_id ?? null,
    gpuType: read.gpu_name ?? null,
    gpuCount: read.num_gpus ?? null,
    gpuRamMb: read.gpu_ram ?? null,
    region: region === UNKNOWN_REGION ? null : region,
    microUsdPerHour: read.dph_total == null ? null : toMicro(read.dph_total),
    diskMicroUsdPerHour: readDiskPrice(read),
    upMicroUsdPerGb: read.inet_up_cost == null ? null : toMicro(read.inet_up_cost),
    downMicroUsdPerGb: read.inet_down_cost == null ? null : toMicro(read.inet_down_cost),
    diskGb: read.disk_space ?? null,
    image: read.image_uuid ?? null,
    startedAt: read.start_date == null ? null : Math.round(read.start_date * 1000),
    runningSince: read.uptime_mins == null ? null : Math.round(now - read.uptime_mins * 60_000),
    ...readSsh(read),
  };
}

/** Per hour where the row says it, else from its price per GB and month. */
function readDiskPrice({
  storage_total_cost: perHour,
  storage_cost: perGb,
  disk_space: gb,
}: InstanceRow): number | null {
  if (perHour != null) return toMicro(perHour);
  return perGb == null || gb == null ? null : toMicro((perGb * gb) / HOURS_PER_MONTH);
}

/** The label that the machine was rented under, from the environment that went with the same request. */
function readEnvLabel(env: unknown[] | null | undefined): string | null {
  const pairs = (env ?? []).filter((one): one is [string, unknown] => Array.isArray(one) && typeof one[0] === "string");
  const { [agentEnv.instance]: instance, [agentEnv.epoch]: epoch } = Object.fromEntries(pairs);
  return isInstanceId(instance) && /^[1-9][0-9]{0,8}$/.test(String(epoch))
    ? machineLabel(instance, Number(epoch))
    : null;
}

/**
 *   intended running, cur_state stopped   -> queued: no GPU is free, it would bill later
 *   intended stopped, actual running      -> running still
 *   frozen                                -> running: its processes stand still, its GPU is paid
 *   exited, unknown, offline              -> lost, unless it was stopped on purpose
 */
function readPhase({
  actual_status: actual,
  intended_status: intended,
  cur_state: current,
}: InstanceRow): RentedMachine["phase"] {
  const wantsToRun = intended == null || intended === "running" || intended === "frozen";
  if (actual === "unknown" || actual === "offline") return "lost";
  if (actual === "running" || actual === "frozen") return "running";
  if (intended === "running" && current === "stopped") return "queued";
  if (!wantsToRun || actual === "stopped") return "stopped";
  if (actual === "exited") return "lost";
  return "loading";
}

function readSsh(row: InstanceRow): { sshHost: string | null; sshPort: number | null } {
  const direct = Number(row.ports?.["22/tcp"]?.[0]?.HostPort ?? Number.NaN);
  const address = row.public_ipaddr?.trim();
  if (address && Number.isInteger(direct) && direct > 0) return { sshHost: address, sshPort: direct };
  if (!row.ssh_host || row.ssh_port == null) return { sshHost: null, sshPort: null };
  return { sshHost: row.ssh_host, sshPort: row.ssh_port + (row.image_runtype?.includes("jupyter") ? 1 : 0) };
}

/** What came back, whatever its shape. `json` is null where the body is not a JSON object. */
export interface WireAnswer {
  status: number;
  json: Record<string, unknown> | null;
  text: string;
  retryAfter: string | null;
}

/** An error is now and then told with 200 and without `success`. */
export function isSuccess({ status, json }: WireAnswer): boolean {
  if (status < 200 || status >= 300 || json === null || json.success === false) return false;
  return json.success === true || typeof json.error !== "string" || json.error === "";
}

/** The provider's own words: `msg`, `message`, `detail`, `error`, or what the body holds. */
export function readWords({ json, text: body, status }: WireAnswer): string {
  const words = [json?.error, json?.msg ?? json?.message ?? json?.detail].filter((word) => typeof word === "string");
  const plain = body
    .replace(/<[^>]*>/g, " ")
    .replace(/\s+/g, " ")
    .trim();
  return `HTTP ${status}: ${words.length > 0 ? words.join(": ") : plain || "no text"}`;
}

const TAKEN = /no_such_ask|\b3603\b|\b3907\b|\b3586\b|not available|no longer available|is not your own/i;
const NO_CREDIT = /insufficient_credit|spend_rate_limit|insufficient credit|lacks credit/i;
const TOO_MANY = /too frequent|rate_limit_exceeded|too many requests/i;
const REFUSED = /invalid_args|invalid_price|invalid_request|no_ssh_key_for_vm|bad_request/i;
const NOT_THERE = /no_such_instance|not_found|no such instance|instance .*not found/i;

export type Operation = "search" | "create" | "list" | "label" | "destroy" | "stop" | "start";

/**
 * The code of an answer that is not a success. The key comes first, because a revoked one is answered with 404; the
 * words come before the status, because the same refusal comes with several.
 */
export function classify(answer: WireAnswer, operation: Operation): ProviderErrorCode | "gone" {
  const { status, json } = answer;
  const words = readWords(answer);
  const error = json?.error;
  if (error === "auth_error" || /invalid user key/i.test(words)) return "provider_auth";
  if (NO_CREDIT.test(words)) return "provider_no_credit";
  if (status === 429 || TOO_MANY.test(words)) return "provider_rate_limited";
  if (status >= 500 || status === 408 || (status >= 300 && status < 400)) return "provider_unavailable";
  if (operation === "create" && json !== null && TAKEN.test(words)) return "offer_gone";
  if (status === 401 || (status === 403 && json !== null)) return "provider_auth";
  if (json === null) return "provider_unavailable";
  if (operation !== "create" && operation !== "search" && operation !== "list" && NOT_THERE.test(words)) return "gone";
  if (status === 410 || status === 404) return "provider_unavailable";
  return status >= 400 || REFUSED.test(words) ? "provider_refused" : "provider_unavailable";
}

const DEFAULT_WAIT_MS: Record<Operation, number> = {
  create: 12_000,
  search: 10_000,
  list: 5_000,
  destroy: 3_000,
  label: 1_500,
  stop: 1_500,
  start: 1_500,
};

const MAX_WAIT_MS = 300_000;

/** Seconds or a date, as HTTP has it; null when it says nothing that can be waited for. */
function readSeconds(value: unknown, now: number): number | null {
  if (value === null || value === undefined || typeof value === "boolean" || String(value).trim() === "") return null;
  const seconds = Number(value);
  const until = typeof value === "string" && Number.isNaN(seconds) ? (Date.parse(value) - now) / 1000 : seconds;
  return Number.isFinite(until) && until > 0 ? until : null;
}

/** From the header or the body where they say it, else from the threshold in the text, else the endpoint's own. */
export function readRetryAfter(
  { json, text: body, retryAfter }: WireAnswer,
  operation: Operation,
  now: number,
): number {
  const said = [retryAfter, json?.retry_after, /threshold\s*=\s*([\d.]+)/.exec(body)?.[1]]
    .map((value) => readSeconds(value, now))
    .find((seconds) => seconds !== null);
  const least = operation === "create" ? DEFAULT_WAIT_MS.create : 0;
  const waitMs = said === undefined || said === null ? DEFAULT_WAIT_MS[operation] : Math.ceil(said * 1000);
  return Math.min(Math.max(waitMs, least), MAX_WAIT_MS);
}
