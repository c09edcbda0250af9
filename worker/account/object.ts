/**
 * One object per provider account: every call to the provider passes here, one after another per kind, so that the
 * provider's intervals between calls hold however many instances there are, and so that all instances share one list.
 */
import { DurableObject } from "cloudflare:workers";
import { parseMachineLabel } from "../../core/protocol/ids.ts";
import type { Env } from "../env.ts";
import { prepareLog } from "../log.ts";
import type {
  CreateRequest,
  Offer,
  OfferQuery,
  Provider,
  ProviderAnswer,
  ProviderFailure,
  RentedMachine,
} from "../providers/provider.ts";
import { createVastProvider } from "../providers/vast.ts";
import { CallTally } from "./tally.ts";

/** Least time between two calls of a kind, from the provider's documentation. */
const documentedMs = { search: 6_000, create: 4_500, list: 1_000, change: 1_000, destroy: 3_000 };
type Kind = keyof typeof documentedMs;

/** For who only looks around an answer may be so old. */
const browseAgeMs = 60_000;
/** Different questions of such that may wait at once: whoever wakes waits for each of them. */
const mostBrowsing = 3;
const mostSearchesKept = 50;

export class AccountObject extends DurableObject<Env> {
  #provider: Provider | null = null;
  readonly #intervalsMs: Record<Kind, number>;
  /** The provider's intervals are per kind of call, so the kinds do not wait for each other. */
  #queues = new Map<Kind, Promise<unknown>>();
  #freeAt = new Map<Kind, number>();
  /** `covers`: the last question that it was asked for after. */
  #list: { at: number; covers: number; machines: RentedMachine[] } | null = null;
  #listsAsked = 0;
  #offers = new Map<string, { at: number; offers: Offer[] }>();
  readonly #tally: CallTally;
  #browsing = new Map<string, Promise<ProviderAnswer<{ offers: Offer[] }>>>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    prepareLog(env);
    this.#tally = new CallTally(env.DB, (work) => ctx.waitUntil(work));
    this.#intervalsMs = { ...documentedMs, ...JSON.parse(env.PROVIDER_INTERVALS || "{}") };
  }

  async searchOffers(query: OfferQuery): Promise<ProviderAnswer<{ offers: Offer[] }>> {
    // One search serves what is asked within the same interval: a burst of wakes costs one call.
    const key = searchKey(query);
    const answer = await this.#call(
      "search",
      async (provider) => {
        const known = this.#offers.get(key);
        if (known && Date.now() - known.at < this.#intervalsMs.search)
          return { ok: true as const, offers: known.offers };
        const fresh = await provider.searchOffers({ ...query, avoidMachineIds: [] });
        if (fresh.ok) this.#keepOffers(key, fresh.offers);
        return fresh;
      },
      () => Date.now() - (this.#offers.get(key)?.at ?? 0) < this.#intervalsMs.search,
    );
    if (!answer.ok) return answer;
    return { ok: true, offers: answer.offers.filter((offer) => !query.avoidMachineIds.includes(offer.machineId)) };
  }

  #keepOffers(key: string, offers: Offer[]): void {
    this.#offers.delete(key);
    this.#offers.set(key, { at: Date.now(), offers });
    for (const oldest of this.#offers.keys()) {
      if (this.#offers.size <= mostSearchesKept) return;
      this.#offers.delete(oldest);
    }
  }

  /**
   * The same for who rents nothing yet: up to a minute old, and `at` says since when (epoch ms). Who looks around must not
   * hold up who wakes: of too many different questions at once the last are refused with provider_rate_limited.
   */
  async browseOffers(query: OfferQuery): Promise<ProviderAnswer<{ offers: Offer[]; at: number }>> {
    const key = searchKey(query);
    const known = this.#offers.get(key);
    if (known && Date.now() - known.at < browseAgeMs) return { ok: true, ...known };
    const waiting = this.#browsing.get(key);
    if (!waiting && this.#browsing.size >= mostBrowsing) {
      const message = "Too many searches at once.";
      const retryAfterMs = mostBrowsing * this.#intervalsMs.search;
      return { ok: false, code: "provider_rate_limited", message, retryable: true, retryAfterMs };
    }
    const search = waiting ?? this.searchOffers({ ...query, avoidMachineIds: [] });
    this.#browsing.set(key, search);
    const answer = await search.finally(() => this.#browsing.delete(key));
    return answer.ok ? { ...answer, at: this.#offers.get(key)?.at ?? Date.now() } : answer;
  }

  createMachine(request: CreateRequest): ReturnType<Provider["createMachine"]> {
    this.#offers.clear();
    return this.#call("create", (provider) => this.#changing(provider.createMachine(request)));
  }

  /**
   * All machines of the account. A list younger than maxAgeMs serves, and one that was begun after this was asked: of a hundred
   * that ask at once all but the first share one. A failure is never an empty list.
   */
  async listMachines(maxAgeMs: number): Promise<ProviderAnswer<{ machines: RentedMachine[] }>> {
    const asked = ++this.#listsAsked;
    const isFresh = () => this.#list !== null && (this.#list.covers >= asked || Date.now() - this.#list.at < maxAgeMs);
    return this.#call(
      "list",
      async (provider) => {
        if (isFresh()) return { ok: true as const, machines: this.#list!.machines };
        const [at, covers] = [Date.now(), this.#listsAsked];
        const answer = await provider.listMachines();
        if (answer.ok) this.#list = { at, covers, machines: answer.machines };
        return answer;
      },
      isFresh,
    );
  }

  /** Puts our label on a machine that has none of ours: one step, so that two adoptions cannot both win. */
  async adoptMachine(
    id: number,
    label: string,
  ): Promise<
    | ProviderAnswer<{ machine: RentedMachine }>
    | { ok: false; code: "machine_not_found" }
    | { ok: false; code: "machine_already_adopted"; label: string }
  > {
    return this.#call("change", async (provider) => {
      const list = await provider.listMachines();
      if (!list.ok) return list;
      const machine = list.machines.find((one) => one.id === id);
      if (!machine) return { ok: false as const, code: "machine_not_found" as const };
      if (machine.label !== label && parseMachineLabel(machine.label)) {
        return { ok: false as const, code: "machine_already_adopted" as const, label: machine.label! };
      }
      const set = await this.#changing(provider.setLabel(id, label));
      return set.ok ? { ok: true as const, machine: { ...machine, label } } : set;
    });
  }

  /**
   * Waits until a call of this kind may be sent; the caller then sends it at once with destroyMachine or stopMachine. Two
   * steps, because what was true before the wait may not be after it: a seal may have ended. Of twenty machines that fall
   * asleep in one minute the last waits for a minute, and its call has the whole of its own time then.
   */
  async turn(kind: "change" | "destroy"): Promise<void> {
    await this.#inTurn(kind, async () => {
      await this.#untilFree(kind);
      this.#occupy(kind);
    });
  }

  /** In its turn. `until`: epoch ms after which nothing may be sent any more; null for no limit. */
  destroyMachine(id: number, until: number | null): Promise<ProviderAnswer<{ gone: boolean }>> {
    return this.#send("destroy", (provider) => this.#changing(provider.destroyMachine(id)), until);
  }

  /** In its turn. `until`: as for a destroy. */
  stopMachine(id: number, until: number | null): Promise<ProviderAnswer<object>> {
    return this.#send("change", (provider) => this.#changing(provider.stopMachine(id)), until);
  }

  startMachine(id: number): Promise<ProviderAnswer<{ queued: boolean }>> {
    return this.#call("change", (provider) => this.#changing(provider.startMachine(id)));
  }

  async #changing<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } finally {
      this.#list = null;
      this.#offers.clear();
    }
  }

  /** `isFree`: whether the answer is at hand, so that nobody needs to wait for the interval. */
  #call<T extends { ok: boolean }>(
    kind: Kind,
    work: (provider: Provider) => Promise<T>,
    isFree: () => boolean = () => false,
  ): Promise<T | ProviderFailure> {
    return this.#inTurn(kind, async () => {
      if (isFree()) return work(this.#theProvider());
      await this.#untilFree(kind);
      return this.#send(kind, work);
    });
  }

  /** One after another. */
  #inTurn<T>(kind: Kind, work: () => Promise<T>): Promise<T> {
    const next = (this.#queues.get(kind) ?? Promise.resolve()).then(work, work);
    this.#queues.set(kind, next);
    return next;
  }

  async #untilFree(kind: Kind): Promise<void> {
    const waitMs = (this.#freeAt.get(kind) ?? 0) - Date.now();
    if (waitMs > 0) await scheduler.wait(waitMs);
  }

  #occupy(kind: Kind, leastMs = 0): void {
    const at = Date.now() + Math.min(Math.max(this.#intervalsMs[kind], leastMs), 60_000);
    this.#freeAt.set(kind, Math.max(this.#freeAt.get(kind) ?? 0, at));
  }

  /** The interval counts from the answer too: what was sent may have been long on its way. */
  async #send<T extends { ok: boolean }>(
    kind: Kind,
    work: (provider: Provider) => Promise<T>,
    until: number | null = null,
  ): Promise<T | ProviderFailure> {
    this.#occupy(kind);
    try {
      const answer = await work(until === null ? this.#theProvider() : this.#createProvider(sendsUntil(until)));
      const failure = answer.ok ? null : (answer as unknown as ProviderFailure);
      this.#occupy(kind, failure?.retryAfterMs);
      this.#tally.count(kind, failure?.code ?? null);
      return answer;
    } catch (error) {
      this.#occupy(kind);
      this.#tally.count(kind, "provider_unavailable");
      return { ok: false, code: "provider_unavailable", message: String(error).slice(0, 300), retryable: true };
    }
  }

  #theProvider(): Provider {
    this.#provider ??= this.#createProvider();
    return this.#provider;
  }

  #createProvider(send?: typeof fetch): Provider {
    return createVastProvider({ baseUrl: this.env.VAST_URL, apiKey: this.env.VAST_API_KEY, fetch: send });
  }
}

function searchKey(query: OfferQuery): string {
  return JSON.stringify({ ...query, avoidMachineIds: [] });
}

function sendsUntil(until: number): typeof fetch {
  return async (input, init) => {
    const leftMs = until - Date.now();
    if (leftMs <= 0) throw new Error("its time was over before it was sent");
    const signals = [AbortSignal.timeout(leftMs), ...(init?.signal ? [init.signal] : [])];
    return fetch(input, { ...init, signal: AbortSignal.any(signals) });
  };
}

/** The deployment's one account; a key per user is a later table. */
export function accountOf(env: Env): DurableObjectStub<AccountObject> {
  return env.ACCOUNT.getByName("default");
}
