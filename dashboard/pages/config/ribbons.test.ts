import { describe, expect, test } from "vitest";
import { daysOf, type Replay } from "./ribbons.ts";

type Span = [from: string, to: string];

function replayOf(from: string, to: string, asIs: Span[], asSet: Span[]): Replay {
  const side = (asleep: Span[]) => ({
    sleeps: asleep.length,
    paid_micro_usd: 0,
    saved_micro_usd: 0,
    asleep_seconds: 0,
    waited_seconds: 0,
    asleep: asleep.map(([a, b]) => ({ from: a, to: b })),
  });
  return { from, to, unknown_seconds: 0, micro_usd_per_hour: 1, as_is: side(asIs), as_set: side(asSet), busy: [] };
}

describe("days of a replay", () => {
  test("say what was slept, what would be as well, and what would no longer be", () => {
    const replay = replayOf(
      "2026-11-24T00:00:00Z",
      "2026-11-25T00:00:00Z",
      [["2026-11-24T00:00:00Z", "2026-11-24T06:00:00Z"]],
      [
        ["2026-11-24T03:00:00Z", "2026-11-24T06:00:00Z"],
        ["2026-11-24T12:00:00Z", "2026-11-24T18:00:00Z"],
      ],
    );
    const [day, ...others] = daysOf(replay, "UTC");
    expect(others).toEqual([]);
    expect(day!.pieces).toEqual([
      { kind: "less", from: 0, to: 0.125 },
      { kind: "slept", from: 0.125, to: 0.25 },
      { kind: "awake", from: 0.25, to: 0.5 },
      { kind: "more", from: 0.5, to: 0.75 },
      { kind: "awake", from: 0.75, to: 1 },
    ]);
    expect(day!.sums).toEqual({ less: 3 * 3.6e6, slept: 3 * 3.6e6, awake: 12 * 3.6e6, more: 6 * 3.6e6 });
  });

  test("begin at the reader's midnight", () => {
    const replay = replayOf("2026-11-24T12:00:00Z", "2026-11-26T12:00:00Z", [], []);
    const days = daysOf(replay, "America/Sao_Paulo");
    expect(days.map(({ at }) => new Date(at).toISOString())).toEqual([
      "2026-11-24T03:00:00.000Z",
      "2026-11-25T03:00:00.000Z",
      "2026-11-26T03:00:00.000Z",
    ]);
    expect(days[0]!.pieces).toEqual([{ kind: "awake", from: 9 / 24, to: 1 }]);
    expect(days[2]!.pieces).toEqual([{ kind: "awake", from: 0, to: 9 / 24 }]);
  });

  test("are of 23 and 25 hours when the clocks change", () => {
    const spring = daysOf(replayOf("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", [], []), "Europe/Lisbon");
    const lengths = spring.slice(1).map(({ at }, i) => (at - spring[i]!.at) / 3.6e6);
    expect(lengths).toEqual([24, 23, 24]);
    const autumn = daysOf(replayOf("2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", [], []), "Europe/Lisbon");
    expect(autumn.slice(1).map(({ at }, i) => (at - autumn[i]!.at) / 3.6e6)).toContain(25);
  });
});
