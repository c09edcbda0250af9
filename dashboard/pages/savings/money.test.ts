import { describe, expect, test } from "vitest";
import type { PaidView, SavingsAnswer, SavingsView } from "../../../core/protocol/money.ts";
import { createFormats } from "../../i18n/format.ts";
import { digitsFor, machinePaid, plain, storagePaid, usd } from "./amounts.ts";
import { barsOf } from "./bars.ts";
import { csvOf, daysCsv, dollars, instancesCsv, textCell } from "./csv.ts";
import { addDays } from "./period.ts";
import { type SavingsRow, sortRows, turned } from "./sort.ts";

function paid(total: number, storage = 0, operations = 0): PaidView {
  return {
    gpu_micro_usd: 0,
    disk_micro_usd: 0,
    machine_micro_usd: total - storage - operations,
    traffic_up_micro_usd: 0,
    traffic_down_micro_usd: 0,
    storage_micro_usd: storage,
    operations_micro_usd: operations,
    total_micro_usd: total,
  };
}

function view(saved: number, of: PaidView = paid(0), more: Partial<SavingsView> = {}): SavingsView {
  return {
    paid: of,
    unpriced: { machine_seconds: 0, asleep_seconds: 0, traffic_up_bytes: 0, traffic_down_bytes: 0 },
    hours_awake: 1.5,
    hours_hibernated: 2,
    avoided_micro_usd: saved,
    saved_micro_usd: saved,
    always_on_micro_usd: of.total_micro_usd + saved,
    hibernations: 1,
    mean_wake_seconds: null,
    ...more,
  };
}

const row = (name: string, saved: number, more: Partial<SavingsView> = {}): SavingsRow => ({
  id: `i_${name}` as SavingsRow["id"],
  name,
  storage_measured_at: null,
  ...view(saved, paid(0), more),
});
const day = (date: string, saved: number, of = paid(0)) => ({
  date,
  from: `${date}T03:00:00.000Z`,
  to: `${addDays(date, 1)}T03:00:00.000Z`,
  ...view(saved, of),
});
const answer = (days: SavingsAnswer["days"], instances: SavingsRow[] = []): SavingsAnswer => ({
  from: "2026-11-01T03:00:00.000Z",
  to: "2026-11-29T03:00:00.000Z",
  tz: "America/Sao_Paulo",
  instances,
  days,
  total: view(0),
  missing: [],
});

describe("amounts", () => {
  test("machines and storage are what was paid, whatever the kinds were rounded to", () => {
    const odd = { ...paid(1_000_001, 7, 3), machine_micro_usd: 999_990 };
    expect(machinePaid(odd) + storagePaid(odd)).toBe(1_000_001);
  });

  test("a table has one number of decimals, as fine as its largest amount needs", () => {
    expect(digitsFor([1_216_380_000, 40])).toBe(2);
    expect(digitsFor([-420_000])).toBe(3);
    expect(digitsFor([1_234])).toBe(4);
    expect(digitsFor([])).toBe(2);
  });

  test("less than nothing has its sign, and nothing has none", () => {
    const f = createFormats("pt-BR", "UTC");
    expect(usd(f, -1_234_560_000, 2)).toBe("−1.234,56");
    expect(usd(f, -400, 2)).toBe("0,00");
    expect(plain(f, -0.000001, 6)).toBe("−0,000001");
  });
});

describe("csv", () => {
  test("micro-dollars are exact, however many or few", () => {
    expect(dollars(0)).toBe("0.000000");
    expect(dollars(1)).toBe("0.000001");
    expect(dollars(-1)).toBe("-0.000001");
    expect(dollars(1_216_380_001)).toBe("1216.380001");
    expect(dollars(-12_000_000)).toBe("-12.000000");
    expect(dollars(9_007_199_254_740_991)).toBe("9007199254.740991");
  });

  test("what would break a row is quoted", () => {
    expect(
      csvOf(
        ["a", "b"],
        [
          ['say "hi"', "x,y"],
          ["line\nbreak", null],
          ["plain", 1.5],
        ],
      ),
    ).toBe('a,b\r\n"say ""hi""","x,y"\r\n"line\nbreak",\r\nplain,1.5\r\n');
  });

  test("a name is never a formula", () => {
    expect(textCell('=HYPERLINK("x")')).toBe('\'=HYPERLINK("x")');
    expect(textCell("llama-lora")).toBe("llama-lora");
  });

  test("days: ISO dates and the amounts of each", () => {
    const lines = daysCsv(answer([day("2026-11-01", -2_500_000, paid(3_000_000, 1, 2))])).split("\r\n");
    const cells = Object.fromEntries(lines[0]!.split(",").map((name, i) => [name, lines[1]!.split(",")[i]]));
    expect(cells).toMatchObject({
      date: "2026-11-01",
      from: "2026-11-01T03:00:00.000Z",
      hours_awake: "1.5",
      mean_wake_seconds: "",
      paid_storage_usd: "0.000001",
      paid_total_usd: "3.000000",
      saved_usd: "-2.500000",
      always_on_usd: "0.500000",
    });
    expect(lines).toHaveLength(3);
  });

  test("instances: one line each, in the words of their owner", () => {
    const text = instancesCsv(answer([], [row("treino, São Paulo", 5)]));
    expect(text).toContain('i_treino, São Paulo","treino, São Paulo",2026-11-01T03:00:00.000Z');
    expect(text.trimEnd().split("\r\n")).toHaveLength(2);
  });
});

describe("order", () => {
  const rows = [row("b", 2, { mean_wake_seconds: 60 }), row("a", 2), row("c", 9, { mean_wake_seconds: 30 })];
  const names = (order: Parameters<typeof sortRows>[1]) => sortRows(rows, order).map(({ name }) => name);

  test("most first; equals by name", () => {
    expect(names({ key: "saved", isDown: true })).toEqual(["c", "a", "b"]);
    expect(names({ key: "saved", isDown: false })).toEqual(["a", "b", "c"]);
  });

  test("what is not known stands last, whichever way", () => {
    expect(names({ key: "wake", isDown: true })).toEqual(["b", "c", "a"]);
    expect(names({ key: "wake", isDown: false })).toEqual(["c", "b", "a"]);
  });

  test("a column that is pressed again turns round", () => {
    expect(turned({ key: "saved", isDown: true }, "saved")).toEqual({ key: "saved", isDown: false });
    expect(turned({ key: "saved", isDown: true }, "name")).toEqual({ key: "name", isDown: false });
    expect(turned({ key: "name", isDown: false }, "naps")).toEqual({ key: "naps", isDown: true });
  });
});

describe("bars", () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => day(addDays("2026-01-01", i), 1, paid(10, 3)));

  test("a bar a day while there is room", () => {
    expect(barsOf(many(90))).toHaveLength(90);
  });

  test("a bar a week beyond, from Monday on, and nothing is lost", () => {
    const bars = barsOf(many(334));
    // The first of January 2026 is a Thursday.
    expect(bars.slice(0, 2).map(({ date }) => date)).toEqual(["2026-01-01", "2026-01-05"]);
    expect(bars[1]).toMatchObject({ machine: 49, storage: 21, saved: 7, alwaysOn: 77, hoursAwake: 10.5 });
    expect(bars.reduce((sum, bar) => sum + bar.alwaysOn, 0)).toBe(334 * 11);
  });
});
