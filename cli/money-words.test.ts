import { describe, expect, it } from "vitest";
import { ledgerCsv, showLedger, showSavings } from "./money-words.ts";
import { ledgerAnswer, savingsAnswer } from "./testing/money.ts";

const now = Date.UTC(2026, 10, 29, 3);

describe("savings", () => {
  const text = showSavings(savingsAnswer(), now);

  it("show instances, the days on which something was paid, and all of it", () => {
    expect(text).toMatch(/^train +2 h +4 h +US\$ 2\.05 +US\$ 0\.0012 +US\$ 4\.50 +US\$ 3\.85 saved +1 +1 min$/m);
    expect(text).toMatch(/^all +2 h /m);
    expect(text).toContain("2026-11-28");
    expect(text).not.toContain("2026-11-27 ");
    expect(text).toContain("27 Nov 00:00 GMT-3 to 29 Nov 00:00 GMT-3");
  });

  it("tell the kinds, the share, and what is in no sum", () => {
    expect(text).toContain(
      "US$ 2.05: GPU US$ 1.80, disk US$ 0.20, uploads US$ 0.05, storage US$ 0.0012, requests US$ 0.0029",
    );
    expect(text).toContain("US$ 3.85 saved (65 %)");
    expect(text).toContain("never told the price: 10.0 GB of downloads.");
    expect(text).toContain("did not answer: i-bbbbbbbbbb.");
  });
});

describe("the ledger", () => {
  it("says of a sleep that cost more than it avoided that it lost", () => {
    const text = showLedger(ledgerAnswer(), now);
    expect(text).toMatch(/10 min +US\$ 0\.70 +US\$ 0\.17 +US\$ 0\.53 lost +42 min$/m);
  });

  it("is CSV with empty fields for what is not known", () => {
    expect(ledgerCsv(ledgerAnswer()).split("\r\n")).toEqual([
      "kind,epoch,from,to,quantity,unit,price_micro_usd,price_per,micro_usd",
      "gpu,1,2026-11-28T10:00:00.000Z,2026-11-28T12:00:00.000Z,7200,seconds,900000,hour,1800000",
      "traffic_down,2,2026-11-28T03:00:00.000Z,,10000000000,bytes,,gb,",
    ]);
  });
});
