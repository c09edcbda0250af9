import { expect, test } from "vitest";
import { burnWords, costWords } from "./cost-words.ts";
import { hibernatedView, instanceView } from "./testing/server.ts";

test("what it costs now counts machines on their way out, each once", () => {
  const view = instanceView();
  expect(burnWords(view)).toBe("US$ 0.42/h");
  expect(burnWords({ ...view, retiring_machines: [view.machine!] })).toBe("US$ 0.42/h");
  expect(burnWords({ ...view, retiring_machines: [{ ...view.machine!, epoch: 2 }] })).toBe("US$ 0.84/h");
  expect(burnWords({ ...view, machine: { ...view.machine!, micro_usd_per_hour: null } })).toBe("price unknown");
  expect(burnWords(hibernatedView())).toContain("nothing is rented");
});

test("an unknown price is named, not guessed", () => {
  const view = instanceView({ cost: { paid_micro_usd: 10_000, paid_seconds: 60, unknown_price_seconds: 120 } });
  expect(costWords(view)).toBe("US$ 0.01 for 1 min of rented time\nplus 2 min at an unknown price, so not counted");
});
