/** Which snapshots retention lets go: examples, and that whatever it is given it keeps what must stay. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { judgeRetention, type StoredSnapshot } from "./retention.ts";

const day = 24 * 3_600_000;
const now = 400 * day;
const sleep = (seq: number, ageDays: number): StoredSnapshot => ({
  seq,
  epoch: 1,
  at: now - ageDays * day,
  kind: "sleep",
});
const seqs = (list: readonly { seq: number }[]) => list.map((one) => one.seq).sort((a, b) => a - b);

describe("retention", () => {
  it("keeps the newest so many, and each that is young enough beside them", () => {
    const stored = [sleep(1, 9), sleep(2, 6), sleep(3, 5), sleep(4, 2), sleep(5, 1)];
    expect(seqs(judgeRetention(stored, { keep_newest: 2, keep_days: null }, [], day, now).gone)).toEqual([1, 2, 3]);
    const aged = judgeRetention(stored, { keep_newest: 2, keep_days: 5.5 }, [], day, now);
    expect(seqs(aged.gone)).toEqual([1, 2]);
    // Snapshot 3 is the next, half a day from now.
    expect(aged.nextAt).toBe(now + 0.5 * day);
  });

  it("checkpoints are counted by themselves", () => {
    const checkpoints = Array.from({ length: 20 }, (_, i) => ({
      ...sleep(10 + i, 1 - i / 40),
      kind: "checkpoint" as const,
    }));
    const stored = [sleep(1, 9), sleep(2, 8), ...checkpoints];
    expect(seqs(judgeRetention(stored, { keep_newest: 2, keep_days: null }, [], day, now).gone)).toEqual(
      Array.from({ length: 18 }, (_, i) => 10 + i),
    );
  });

  it("one that was never proved waits for its proof, takes nobody's place, and goes", () => {
    const young = { ...sleep(4, 0.5), kind: null };
    const old = { ...sleep(3, 2), kind: null };
    const stored = [sleep(1, 9), sleep(2, 8), old, young];
    const verdict = judgeRetention(stored, { keep_newest: 1, keep_days: null }, [], day, now);
    expect(seqs(verdict.gone)).toEqual([1, 3]);
    expect(verdict.nextAt).toBe(now + 0.5 * day);
  });

  it("whatever the store holds: what is used, the newest proved and the newest so many stay; the same judged again lets nothing more go", () => {
    const one = fc.record({
      seq: fc.integer({ min: 1, max: 40 }),
      epoch: fc.integer({ min: 1, max: 3 }),
      at: fc.integer({ min: 0, max: now }),
      kind: fc.constantFrom("sleep" as const, "checkpoint" as const, "copy" as const, null),
    });
    const rules = fc.record({
      keep_newest: fc.integer({ min: 1, max: 6 }),
      keep_days: fc.option(fc.integer({ min: 0, max: 400 })),
    });
    fc.assert(
      fc.property(
        fc.uniqueArray(one, { maxLength: 30, selector: ({ seq, epoch }) => `${seq}.${epoch}` }),
        rules,
        fc.array(fc.nat(29), { maxLength: 4 }),
        (stored, keep, picks) => {
          const used = picks.flatMap((pick) => stored[pick] ?? []);
          const { gone, nextAt } = judgeRetention(stored, keep, used, day, now);
          const left = stored.filter((it) => !gone.includes(it));
          for (const it of used) expect(gone).not.toContain(it);
          const byAge = [...stored].sort((a, b) => b.seq - a.seq || b.epoch - a.epoch);
          const proved = byAge.filter((it) => it.kind !== null);
          if (proved[0]) expect(left).toContain(proved[0]);
          for (const it of proved.filter((it) => it.kind !== "checkpoint").slice(0, keep.keep_newest)) {
            expect(left).toContain(it);
          }
          for (const it of gone) expect(now - it.at).toBeGreaterThanOrEqual((keep.keep_days ?? 0) * day);
          expect(judgeRetention(left, keep, used, day, now).gone).toEqual([]);
          if (nextAt === null) expect(judgeRetention(left, keep, used, day, now + 9_000 * day).gone).toEqual([]);
          else {
            expect(nextAt).toBeGreaterThan(now);
            expect(judgeRetention(left, keep, used, day, nextAt - 1).gone).toEqual([]);
            expect(judgeRetention(left, keep, used, day, nextAt).gone).not.toEqual([]);
          }
        },
      ),
    );
  });
});
