/** One provider per key, and how a key is tried before anything is built on it. */
import type { Env } from "../env.ts";
import type { Provider, ProviderAnswer, RentedMachine } from "../providers/provider.ts";
import { createVastProvider } from "../providers/vast.ts";

/** Whoever sets a key waits for it. */
const tryWithinMs = 15_000;

export function providerWith(env: Pick<Env, "VAST_URL">, apiKey: string, send?: typeof fetch): Provider {
  return createVastProvider({ baseUrl: env.VAST_URL, apiKey, fetch: send });
}

/** Reads the account's list of machines, and nothing else. */
export function tryKey(
  env: Pick<Env, "VAST_URL">,
  apiKey: string,
): Promise<ProviderAnswer<{ machines: RentedMachine[] }>> {
  return providerWith(env, apiKey, sendsUntil(Date.now() + tryWithinMs)).listMachines();
}

/** A fetch that is over at this moment, epoch ms, whenever it was begun. */
export function sendsUntil(until: number): typeof fetch {
  return async (input, init) => {
    const leftMs = until - Date.now();
    if (leftMs <= 0) throw new Error("its time was over before it was sent");
    const signals = [AbortSignal.timeout(leftMs), ...(init?.signal ? [init.signal] : [])];
    return fetch(input, { ...init, signal: AbortSignal.any(signals) });
  };
}
