/**
 * One object per provider account: every call to the provider passes here, one after another per kind, so that the
 * provider's intervals between calls hold however many instances there are, and so that all instances share one list.
 */
import { DurableObject } from "cloudflare:workers";
import { type InstanceId, parseMachineLabel } from "../../core/protocol/ids.ts";
import { updateKey } from "../db/provider-keys.ts";
import { instancesWithMachine } from "../db/read-model.ts";
import type { Env } from "../env.ts";
import { labelOf, toldLabel } from "../instance/whose.ts";
import { log, prepareLog } from "../log.ts";
import type {
  CreateRequest,
  Offer,
  OfferQuery,
  Provider,
  ProviderAnswer,
  ProviderFailure,
  RentedMachine,
} from "../providers/provider.ts";
import { AskedOffers } from "./asked-offers.ts";
import { AccountKey } from "./key.ts";
import { CallTally } from "./tally.ts";
import { providerWith, sendsUntil, tryKey } from "./try-key.ts";

/** Least time between two calls of a kind, from the provider's documentation. */
const documentedMs = { search: 6_000, create: 4_500, list: 1_000, change: 1_000, destroy: 3_000 };
type Kind = keyof typeof documentedMs;

/** For who only looks around an answer may be so old. */
const browseAgeMs = 60_000;
/** Different questions of such that may wait at once: whoever wakes waits for each of them. */
const mostBrowsing = 3;
const mostSearchesKept = 50;
/** How long a machine may be missing in the provider's list after it was made. */
const listLagMs = 60_000;

export class AccountObject extends DurableObject<Env> {
  readonly #key: AccountKey;
  #provider: { key: string; provider: Provider } | null = null;
  readonly #intervalsMs: Record<Kind, number>;
  /** The provider's intervals are per kind of call, so the kinds do not wait for each other. */
  #queues = new Map<Kind, Promise<unknown>>();
  #freeAt = new Map<Kind, number>();
  /** `covers`: the last question that it was asked for after. */
  #list: { at: number; covers: number; machines: RentedMachine[] } | null = null;
  #listsAsked = 0;
  /** When a machine was last asked for here, epoch ms. */
  #createdAt = 0;
  #offers = new Map<string, { at: number; offers: Offer[] }>();
  #asked = new AskedOffers();
  readonly #tally: CallTally;
  #browsing = new Map<string, Promise<ProviderAnswer<{ offers: Offer[] }>>>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    prepareLog(env);
    this.#tally = new CallTally(env.DB, (work) => ctx.waitUntil(work));
    this.#key = new AccountKey(ctx, env);
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

  /**
   * Those of these offers that no other rental asks for, and that were not refused a moment ago. The first is the asker's.
   * Searches show them all: of many that wake at once each sees the same list, and chooses from it here.
   */
  async takeOffer(ids: readonly number[]): Promise<number[]> {
    return this.#asked.take(ids, Date.now());
  }

  async createMachine(request: CreateRequest): ReturnType<Provider["createMachine"]> {
    this.#offers.clear();
    this.#asked.asked(request.offerId, Date.now());
    const answer = await this.#create(request);
    this.#asked.answered(request.offerId, answer.ok ? null : answer.code, Date.now());
    return answer;
  }

  #create(request: CreateRequest): ReturnType<Provider["createMachine"]> {
    return this.#call("create", async (provider) => {
      // What was taken away rents no more, whatever somebody decided before.
      const key = await this.#key.read();
      if (!key.ok) return key;
      if (key.isRetired) return refusedAs("provider_auth", "the key was taken away");
      this.#createdAt = Date.now();
      return this.#changing(provider.createMachine(request));
    });
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

  /**
   * Puts our label on a machine that no instance has: one step, so that two adoptions cannot both win. Its own instance may
   * put it back at any time.
   */
  async adoptMachine(id: number, label: string): Promise<Adoption> {
    return this.#call<Adoption>("change", async (provider) => {
      const list = await provider.listMachines();
      if (!list.ok) return list;
      const machine = list.machines.find((one) => one.id === id);
      if (!machine) return { ok: false as const, code: "machine_not_found" as const };
      const owner = toldLabel(machine) === label ? null : await this.#ownerOf(machine);
      if (owner === "unknown") return { ok: false as const, code: "database_unavailable" as const };
      if (owner) return { ok: false as const, code: "machine_already_adopted" as const, instance: owner };
      const set = await this.#changing(provider.setLabel(id, label));
      return set.ok ? { ok: true as const, machine: { ...machine, label } } : set;
    });
  }

  /**
   * Whose label it tells, or whose its number is: a label may be lost, or changed by its owner, and what was rented by hand
   * has none in its environment. Null: no instance's. Without an answer of the read model a machine is not taken for free.
   */
  async #ownerOf(machine: RentedMachine): Promise<InstanceId | "unknown" | null> {
    const told = parseMachineLabel(toldLabel(machine));
    if (told) return told.instance;
    try {
      const believed = await instancesWithMachine(this.env.DB);
      return (believed.find((one) => one.vastInstanceId === machine.id)?.id as InstanceId | undefined) ?? null;
    } catch (error) {
      log.warn("machine_owner_unknown", { machine: machine.id, error });
      return "unknown";
    }
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

  /**
   * Another key for the machines of this one. None may be lost from sight: it must show all of them. In the turn of the
   * creates, so that none is on its way meanwhile. `sealed`, `hint`: what is written.
   */
  async replaceKey(key: string, sealed: string, hint: string): Promise<KeyChange> {
    return this.#inTurn("create", async () => {
      const own = await this.#ownMachines();
      if (!own.ok) return own;
      const shown = await tryKey(this.env, key);
      if (!shown.ok) return shown;
      const lost = own.machines.filter((id) => !shown.machines.some((one) => one.id === id));
      if (lost.length > 0) return { ok: false, code: "provider_key_in_use", machines: lost };
      const now = new Date().toISOString();
      const set = { sealed, hint, createdAt: now, lastUsedAt: now, trouble: null, troubleAt: null };
      await updateKey(this.env.DB, this.#key.account, set);
      this.#keyChanged();
      return { ok: true };
    });
  }

  /** Nothing is rented with it any more. The row stays a while: what was on its way would be seen with it. */
  async retireKey(): Promise<KeyChange> {
    return this.#inTurn("create", async () => {
      const own = await this.#ownMachines();
      if (!own.ok) return own;
      if (own.machines.length > 0) return { ok: false, code: "provider_key_in_use", machines: own.machines };
      await updateKey(this.env.DB, this.#key.account, { retiredAt: new Date().toISOString() });
      this.#keyChanged();
      return { ok: true };
    });
  }

  /** Machines with our label, by the provider's word and by the read model's; where the key is refused, by that one alone. */
  async #ownMachines(): Promise<{ ok: true; machines: number[] } | ProviderFailure> {
    // A machine that was made just now may not be listed yet.
    const restMs = this.#createdAt + listLagMs - Date.now();
    if (restMs > 0) {
      const message = "a machine is being rented with this key";
      return { ok: false, code: "provider_unavailable", message, retryable: true, retryAfterMs: restMs };
    }
    const believed = await instancesWithMachine(this.env.DB);
    const isOwn = (one: { account: string }) => one.account === this.#key.account;
    const known = believed.filter(isOwn).map((one) => one.vastInstanceId);
    // Two keys may be of one account: what is rented with another one is no matter of this one.
    const ofOthers = new Set(believed.filter((one) => !isOwn(one)).map((one) => one.vastInstanceId));
    const list = await this.listMachines(0);
    if (!list.ok) return list.code === "provider_auth" ? { ok: true, machines: known } : list;
    const labelled = list.machines.filter((one) => labelOf(one) !== null && !ofOthers.has(one.id)).map((one) => one.id);
    const listed = known.filter((id) => list.machines.some((one) => one.id === id));
    return { ok: true, machines: [...new Set([...labelled, ...listed])] };
  }

  #keyChanged(): void {
    this.#key.forget();
    this.#list = null;
    this.#offers.clear();
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
      if (isFree()) {
        const found = await this.#theProvider();
        return found.ok ? work(found.provider) : found;
      }
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
      const found = await this.#theProvider(until);
      if (!found.ok) return found;
      const answer = await work(found.provider);
      this.#key.note(answer);
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

  /** `until`: epoch ms after which it sends nothing; null for no limit. */
  async #theProvider(until: number | null = null): Promise<{ ok: true; provider: Provider } | ProviderFailure> {
    const found = await this.#key.read();
    if (!found.ok) return found;
    const { key } = found;
    if (until !== null) return { ok: true, provider: providerWith(this.env, key, sendsUntil(until)) };
    if (this.#provider?.key !== key) this.#provider = { key, provider: providerWith(this.env, key) };
    return { ok: true, provider: this.#provider.provider };
  }
}

type Adoption =
  | ProviderAnswer<{ machine: RentedMachine }>
  | { ok: false; code: "machine_not_found" | "database_unavailable" }
  | { ok: false; code: "machine_already_adopted"; instance: InstanceId };

export type KeyChange =
  | { ok: true }
  | ProviderFailure
  /** `machines`: the provider's numbers of those that are rented with it. */
  | { ok: false; code: "provider_key_in_use"; machines: number[] };

function searchKey(query: OfferQuery): string {
  return JSON.stringify({ ...query, avoidMachineIds: [] });
}

function refusedAs(code: ProviderFailure["code"], message: string): ProviderFailure {
  return { ok: false, code, message, retryable: false };
}
