/**
 * Seeded fuzz: random worlds, every invariant after every step. `npm test` plays the same ones each time, so that what it
 * finds is of the change; `npm run test:slow` plays new ones. SONECA_FUZZ_RUNS and SONECA_FUZZ_SEED make it longer or repeat it.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { play, type Step, stepsArbitrary } from "./testing/steps.ts";

const isSlow = process.env.SONECA_SLOW === "1";
const runs = Number(process.env.SONECA_FUZZ_RUNS ?? (isSlow ? 10_000 : 500));
const seed = Number(process.env.SONECA_FUZZ_SEED ?? (isSlow ? Date.now() % 2 ** 31 : 7));

describe(`fuzz of whole worlds (seed ${seed}, ${runs} runs each)`, () => {
  for (const kind of ["created", "adopted"] as const) {
    it(`no sequence of troubles breaks an invariant of an instance that was ${kind}`, { timeout: 3_600_000 }, () => {
      let played = 0;
      const property = fc.property(stepsArbitrary, (steps) => {
        play(kind, steps);
        played += 1;
      });
      fc.assert(property, { seed, numRuns: runs, reporter: tellCase(kind) });
      expect(played).toBe(runs);
    });
  }
});

function tellCase(kind: string) {
  return (out: fc.RunDetails<[Step[]]>) => {
    if (!out.failed) return;
    const lines = out.counterexample?.[0].map((one) => `  ${one}`).join("\n");
    const cause = out.errorInstance instanceof Error ? out.errorInstance.message : String(out.errorInstance);
    throw new Error(`seed ${out.seed}, run ${out.numRuns}, ${kind}\n${lines}\n\n${cause}`);
  };
}
