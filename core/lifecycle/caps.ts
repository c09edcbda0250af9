/** The price cap: no machine dearer than this is rented, or kept. */
import type { Why } from "./starting.ts";
import type { Machine, State } from "./types.ts";

export function isTooDear(state: State, { facts }: Machine): boolean {
  const cap = state.spec.maxMicroUsdPerHour;
  return cap !== null && facts?.microUsdPerHour != null && facts.microUsdPerHour > cap;
}

export function tooDear(state: State, { facts }: Machine): Why {
  const [price, cap] = [facts?.microUsdPerHour, state.spec.maxMicroUsdPerHour].map((one) => (one ?? 0) / 1e6);
  const message = `it costs US$ ${price}/h, which is more than the cap of US$ ${cap}/h`;
  // Its offer said less; the search would find the same one again.
  return { code: "price_above_cap", message, final: false, isHost: true };
}
