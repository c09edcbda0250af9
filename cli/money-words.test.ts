import { describe, expect, it } from "vitest";
import type { InstanceView } from "../core/protocol/views.ts";
import { forecastWords, ledgerCsv, showEstimate, showLedger, showSavings } from "./money-words.ts";
import { ledgerAnswer, savingsAnswer } from "./testing/money.ts";
import { instanceView } from "./testing/server.ts";

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

describe("what will be saved", () => {
  const days = { days: 14, uses_per_day: 6 };
  const view = (forecast: InstanceView["forecast"]) => forecastWords(instanceView({ forecast }));

  it("is told with its habit, and warned of where it is little", () => {
    expect(view(null)).toBeNull();
    expect(view({ ...days, saved_share: 0.81, is_low: false })).toBe(
      "81 % of the always-on price, used 6.0 times a day, as in the last 14 d",
    );
    expect(view({ ...days, saved_share: -0.1, is_low: true })).toMatch(
      /^-10 % \(it costs more than .*\nThat is little/,
    );
    expect(view({ ...days, saved_share: null, is_low: null })).toContain("not known");
  });

  it("is a bound before renting while the time of a wake is not known", () => {
    const offer = {
      gpu_type: "RTX 4090",
      gpu_count: 1,
      region: "BR",
      micro_usd_per_hour: 1_200_000,
      disk_micro_usd_per_hour: null,
      up_micro_usd_per_gb: 20_000,
      down_micro_usd_per_gb: null,
    };
    const text = showEstimate({
      offer,
      saved_share: 0.167,
      is_at_most: true,
      is_low: true,
      cycle_traffic_micro_usd: 2_800_000,
      break_even_seconds: 8_400,
    });
    expect(text).toContain("at most 17 % of the always-on price");
    expect(text).toContain("at least 2 h 20 min idle");
    expect(text).toContain("up US$ 0.02/GB, down not known");
    expect(text).toContain("That is little");
  });
});
