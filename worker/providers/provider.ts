/**
 * The port to whoever rents out machines. Adapters: vast.ts. Every adapter passes conformance.ts.
 *
 * Contract, for all methods:
 * - A call has a timeout and at most a bounded retry of its own, and only where a repeat cannot rent or destroy twice.
 * - An answer that cannot be understood is a failure, never an empty one.
 * - Failures are values: `{ ok: false, code, message, retryable, retryAfterMs? }`. A throw is a bug.
 */

export type ProviderErrorCode =
  /** The key is missing, wrong or revoked. Never read as "the machine is gone". Permanent until the user acts. */
  | "provider_auth"
  /** The account has no credit, or may not spend more for now. Permanent until the user acts. */
  | "provider_no_credit"
  /** Too many requests; retryAfterMs says when to ask again. */
  | "provider_rate_limited"
  /** The offer was taken or has vanished: try the next one. */
  | "offer_gone"
  /** The request itself was refused (image, disk, price): repeating it is useless. */
  | "provider_refused"
  /** No answer, an HTTP 5xx or an answer that makes no sense. The call may have had its effect. */
  | "provider_unavailable";

export interface ProviderFailure {
  ok: false;
  code: ProviderErrorCode;
  /** The provider's own words, at most 500 characters, no secrets. */
  message: string;
  retryable: boolean;
  retryAfterMs?: number;
}

export type ProviderAnswer<T> = ({ ok: true } & T) | ProviderFailure;

export interface OfferQuery {
  /** Exact GPU name as the provider spells it ("RTX 4090"), or null for any. */
  gpuType: string | null;
  gpuCount: number;
  /** Two-letter country code, or one of the groups EU, NA, SA, AS, AF, OC; null for anywhere. */
  region: string | null;
  diskGb: number;
  /** Upper bound of the whole price in micro-dollars per hour, disk included; null for none. */
  maxMicroUsdPerHour: number | null;
  /** Hosts to leave out: they failed lately. */
  avoidMachineIds: readonly number[];
  /** Least memory of one GPU in MB, or null. */
  minGpuRamMb: number | null;
  /** Whether more GPUs than gpuCount will do. */
  moreGpus?: boolean;
  /** True when left out: only hosts that the provider has verified. */
  verifiedOnly?: boolean;
  /** Least reliability, 0 to 1; 0.9 when left out. An offer that does not say passes. */
  minReliability?: number;
  /** Least CUDA version of the host's driver. An offer that does not say passes. */
  minCuda?: number | null;
  /** Most that a GB may cost in either direction. An offer that does not say fails. */
  maxTrafficMicroUsdPerGb?: number | null;
}

export interface Offer {
  id: number;
  machineId: number;
  hostId: number | null;
  gpuType: string;
  gpuCount: number;
  gpuRamMb: number;
  /** Whole price with the disk that was asked for, micro-dollars per hour. */
  microUsdPerHour: number;
  /** The part of it that is the disk's; null where the provider does not say. */
  diskMicroUsdPerHour?: number | null;
  /** Micro-dollars per GB of traffic, null where the provider does not say. */
  upMicroUsdPerGb: number | null;
  downMicroUsdPerGb: number | null;
  region: string;
  reliability: number | null;
  verified: boolean;
}

export interface CreateRequest {
  offerId: number;
  /** The idempotency key: at most one machine may ever carry it. */
  label: string;
  image: string;
  diskGb: number;
  /** Environment of the container. Values may be secret. */
  env: Readonly<Record<string, string>>;
  /** POSIX sh, at most 4,048 characters, run on every start of the container. */
  onstart: string;
}

/** What the provider says of a rented machine, in our words. */
export interface RentedMachine {
  /** The provider's id of the rental (vast.ai: the contract). */
  id: number;
  label: string | null;
  /** The label of ours that its environment tells: it went with the same request and is there where the label was lost. */
  envLabel: string | null;
  /**
   * loading: being made, no verdict yet · running · stopped: kept but not running · queued: would run (and bill) when a
   * GPU is free · lost: exited, offline or unknown; during a first boot it never comes back, later it may.
   */
  phase: "loading" | "running" | "stopped" | "queued" | "lost";
  /** The provider's raw word and message, for people. */
  rawStatus: string | null;
  statusMessage: string | null;
  /** A message that means this boot will never succeed; `image` means that another host would fail as well. */
  fatal: "host" | "image" | null;
  machineId: number | null;
  hostId: number | null;
  gpuType: string | null;
  gpuCount: number | null;
  gpuRamMb: number | null;
  region: string | null;
  microUsdPerHour: number | null;
  /** The part of it that is the disk's; null where the provider does not say. */
  diskMicroUsdPerHour?: number | null;
  /** Micro-dollars per GB of traffic, null where the provider does not say. */
  upMicroUsdPerGb: number | null;
  downMicroUsdPerGb: number | null;
  diskGb: number | null;
  image: string | null;
  startedAt: number | null;
  /** Since when it runs, and its GPUs are paid, by the provider's word, epoch ms; null while it does not run. */
  runningSince: number | null;
  sshHost: string | null;
  sshPort: number | null;
}

export interface Provider {
  /** Offers that satisfy the query (checked here again, whatever the provider filtered), cheapest first. */
  searchOffers(query: OfferQuery): Promise<ProviderAnswer<{ offers: Offer[] }>>;
  /**
   * Rents. Never repeated by the adapter. When the answer is lost or odd the code is provider_unavailable and the
   * machine may exist: the caller lists by label before anything else. `strayId` is a machine that a *failed* create
   * left behind; the caller destroys it.
   */
  createMachine(
    request: CreateRequest,
  ): Promise<ProviderAnswer<{ id: number }> | (ProviderFailure & { strayId: number })>;
  /** Every rented machine of the account, all pages. A failed or short page fails the whole call. */
  listMachines(): Promise<ProviderAnswer<{ machines: RentedMachine[] }>>;
  /** Idempotent. */
  setLabel(id: number, label: string): Promise<ProviderAnswer<object>>;
  /**
   * Idempotent. `gone: true` only when the provider says it does not know the machine (and not because of the key);
   * otherwise the destroy was accepted and absence must still be confirmed by listMachines.
   */
  destroyMachine(id: number): Promise<ProviderAnswer<{ gone: boolean }>>;
  stopMachine(id: number): Promise<ProviderAnswer<object>>;
  /** `queued: true` when no GPU is free now and the start would happen, and bill, later. */
  startMachine(id: number): Promise<ProviderAnswer<{ queued: boolean }>>;
}
