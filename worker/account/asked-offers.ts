/**
 * Offers that the next rental should leave to others: one on its way asks for them, or the provider gave or refused them a
 * moment ago, and its list may show them all the same. A hint for the order, never a verdict: who finds nothing else
 * asks for them again, and the provider decides. In memory alone: what is forgotten costs a create that is refused.
 */
import type { ProviderErrorCode } from "../providers/provider.ts";

/** A create that waits in its queue, and is answered late, takes less. */
const underWayMs = 15 * 60_000;
/** So long an offer that is gone may stay listed. */
const goneMs = 2 * 60_000;
/** The same of one that was rented; after that it may be free again. */
const rentedMs = 60_000;
/** Refusals that say something of the offer; others are of the key, the account or the request. */
const ofTheOffer: readonly ProviderErrorCode[] = ["offer_gone", "provider_unavailable"];

export class AskedOffers {
  /** Until when, epoch ms. */
  #until = new Map<number, number>();

  /** Those of these that nobody asks for, in their order. The first is the asker's from now on. */
  take(ids: readonly number[], now: number): number[] {
    for (const [id, until] of this.#until) if (until <= now) this.#until.delete(id);
    const free = ids.filter((one) => !this.#until.has(one));
    // Who took it may die before it asks.
    if (free[0] !== undefined) this.#until.set(free[0], now + goneMs);
    return free;
  }

  asked(id: number, now: number): void {
    this.#until.set(id, now + underWayMs);
  }

  /** `code`: of the failure; null where it was rented. */
  answered(id: number, code: ProviderErrorCode | null, now: number): void {
    if (code !== null && !ofTheOffer.includes(code)) this.#until.delete(id);
    else this.#until.set(id, now + (code === null ? rentedMs : goneMs));
  }
}
