/** The one retry: bounded by tries or by time, and ended at once by an abort. */
import { describe, expect, test } from "vitest";
import { retry } from "./retry.ts";

const again = () => ({ afterMs: null });
const fails = () => Promise.reject(new Error("away"));

/** Fails until this moment. */
function awayFor(ms: number) {
  const startAt = performance.now();
  return async () => {
    if (performance.now() - startAt < ms) throw new Error("away");
    return "here";
  };
}

describe("by time", () => {
  test("comes through an absence that eight tries would not", async () => {
    expect(await retry(awayFor(400), again, { forMs: 5_000, baseMs: 1, maxMs: 10 })).toBe("here");
    await expect(retry(awayFor(400), again, { baseMs: 1, maxMs: 10 })).rejects.toThrow("away");
  });

  test("ends when its time is over, the last try at the end", async () => {
    const startAt = performance.now();
    const tried: number[] = [];
    const work = () => {
      tried.push(performance.now() - startAt);
      return fails();
    };
    await expect(retry(work, () => ({ afterMs: 80 }), { forMs: 200, baseMs: 1 })).rejects.toThrow("away");
    expect(tried.length).toBeLessThanOrEqual(5);
    expect(tried.at(-1)).toBeGreaterThanOrEqual(199);
    expect(performance.now() - startAt).toBeLessThan(2_000);
  });

  test("a longer wish of the other side does not make it longer", async () => {
    const startAt = performance.now();
    await expect(retry(fails, () => ({ afterMs: 60_000 }), { forMs: 50 })).rejects.toThrow("away");
    expect(performance.now() - startAt).toBeLessThan(2_000);
  });

  test("an abort ends its pause at once", async () => {
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    const startAt = performance.now();
    const options = { forMs: 60_000, baseMs: 30_000, maxMs: 60_000, signal: abort.signal };
    await expect(retry(fails, () => ({ afterMs: 30_000 }), options)).rejects.toThrow();
    expect(performance.now() - startAt).toBeLessThan(2_000);
  });

  test("tries end it sooner where they are given", async () => {
    let tried = 0;
    const work = () => {
      tried++;
      return fails();
    };
    await expect(retry(work, again, { tries: 3, forMs: 60_000, baseMs: 1 })).rejects.toThrow("away");
    expect(tried).toBe(3);
  });
});

test("what is judged to stay ends it at once", async () => {
  let tried = 0;
  const work = () => {
    tried++;
    return fails();
  };
  await expect(retry(work, () => "stop", { forMs: 60_000 })).rejects.toThrow("away");
  expect(tried).toBe(1);
});
