import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  defaultSignalRules,
  mergeSignalRules,
  type SignalName,
  type SignalReading,
  type SignalReadings,
  type SignalRules,
  signalNames,
} from "../protocol/signals.ts";
import type { GpuReading } from "../protocol/wire.ts";
import { compactAfterMs, compactSamples, judgeIdle, type Sample } from "./idle.ts";
import { testConfig } from "./testing/fixtures.ts";

const now = 2_000_000_000_000;
const config = { ...testConfig, pause_after_idle_minutes: 3, check_interval_seconds: 30, gpu_usage_threshold: 5 };
const windowMs = 3 * 60_000;

function gpu(max: number | null, index = 0): GpuReading {
  return { index, name: null, max, mean: max, busyShare: null, memoryUsedMb: null, memoryTotalMb: null };
}

function sample(agoMs: number, change: Partial<Sample> = {}): Sample {
  const toAt = now - agoMs;
  return { fromAt: toAt - 30_000, toAt, expected: 30, taken: 30, gpus: [gpu(0)], sensorError: null, ...change };
}

/** `count` samples of 30 s that end now. */
function quiet(count: number, change: Partial<Sample> = {}): Sample[] {
  return Array.from({ length: count }, (_, i) => sample((count - 1 - i) * 30_000, change));
}

describe("judgeIdle", () => {
  it("is ripe when the whole window was quiet", () => {
    expect(judgeIdle(quiet(6), config, now)).toEqual({ kind: "quiet", since: now - windowMs, ripe: true });
  });

  it("is not ripe before the window is full", () => {
    expect(judgeIdle(quiet(5), config, now)).toMatchObject({ kind: "quiet", ripe: false });
  });

  it("I12: says busy when there is no sample at all", () => {
    expect(judgeIdle([], config, now)).toMatchObject({ kind: "busy", blockers: [{ code: "no_samples" }] });
  });

  it("I12: says busy when the newest sample is stale", () => {
    expect(judgeIdle(quiet(6), config, now + 80_000)).toMatchObject({
      kind: "busy",
      blockers: [{ code: "samples_stale" }],
    });
  });

  it("I12: says busy when the newest sample is from the future", () => {
    const ahead = quiet(6).map((one) => ({ ...one, toAt: one.toAt + 3_600_000 }));
    expect(judgeIdle(ahead, config, now)).toMatchObject({ kind: "busy", blockers: [{ code: "samples_stale" }] });
  });

  it("one busy GPU of eight is busy, whatever the average", () => {
    const eight = Array.from({ length: 8 }, (_, i) => gpu(i === 5 ? 40 : 0, i));
    const verdict = judgeIdle(quiet(6, { gpus: eight }), config, now);
    expect(verdict).toMatchObject({ kind: "busy", blockers: [{ code: "gpu_busy", value: 40, detail: "GPU 5" }] });
  });

  it("I12: a GPU that the machine has and the sample does not tell of is unknown", () => {
    const seven = Array.from({ length: 7 }, (_, i) => gpu(0, i));
    expect(judgeIdle(quiet(6, { gpus: seven }), config, now, 8)).toMatchObject({
      kind: "busy",
      blockers: [{ code: "gpu_unknown", detail: "7 of 8 GPUs" }],
    });
    expect(judgeIdle(quiet(6, { gpus: seven }), config, now, 7)).toMatchObject({ kind: "quiet", ripe: true });
  });

  it("the threshold itself is busy", () => {
    expect(judgeIdle(quiet(6, { gpus: [gpu(5)] }), config, now).kind).toBe("busy");
    expect(judgeIdle(quiet(6, { gpus: [gpu(4.9)] }), config, now).kind).toBe("quiet");
  });

  it("needs 80 % of the samples that were expected", () => {
    expect(judgeIdle(quiet(6, { taken: 24 }), config, now)).toMatchObject({ ripe: true });
    expect(judgeIdle(quiet(6, { taken: 23 }), config, now)).toMatchObject({ ripe: false });
  });

  it("counts overlapping reports of the same time once", () => {
    const twice = quiet(6, { taken: 15 }).flatMap((one) => [one, one]);
    expect(judgeIdle(twice, config, now)).toMatchObject({ kind: "quiet", ripe: false });
  });

  it("a hole of more than two reports begins the window anew", () => {
    const holed = [...quiet(20).slice(0, 14), ...quiet(3)];
    expect(judgeIdle(holed, config, now)).toMatchObject({ kind: "quiet", since: now - 90_000, ripe: false });
  });

  it("I12: no bad sample anywhere in the window ever lets it ripen", () => {
    const bad = fc.constantFrom<Partial<Sample>>(
      { gpus: [gpu(null)] },
      { gpus: [] },
      { gpus: [gpu(0), gpu(null, 1)] },
      { gpus: [gpu(Number.NaN)] },
      { gpus: [gpu(100)] },
      { taken: 0 },
      { sensorError: "nvml: driver not loaded" },
    );
    fc.assert(
      fc.property(fc.nat(5), bad, (at, change) => {
        const samples = quiet(6).map((one, i) => (i === at ? { ...one, ...change } : one));
        const verdict = judgeIdle(samples, config, now);
        return verdict.kind === "busy" || !verdict.ripe;
      }),
    );
  });

  it("I12: leaving samples out never makes an instance idle sooner", () => {
    const anySample = fc.record({ busy: fc.boolean(), taken: fc.integer({ min: 0, max: 30 }), kept: fc.boolean() });
    fc.assert(
      fc.property(fc.array(anySample, { minLength: 1, maxLength: 12 }), (plan) => {
        const all = plan.map((one, i) =>
          sample((plan.length - 1 - i) * 30_000, { taken: one.taken, gpus: [gpu(one.busy ? 50 : 0)] }),
        );
        const some = all.filter((_, i) => plan[i]?.kept || plan[i]?.busy);
        const full = judgeIdle(all, config, now);
        const part = judgeIdle(some, config, now);
        const isRipe = (verdict: typeof full) => verdict.kind === "quiet" && verdict.ripe;
        return isRipe(full) || !isRipe(part);
      }),
    );
  });
});

describe("signals beside the GPUs", () => {
  const on = (...names: SignalName[]): SignalRules =>
    mergeSignalRules(defaultSignalRules, Object.fromEntries(names.map((name) => [name, { enabled: true }])));
  const judge = (signals: Sample["signals"], rules: SignalRules, count = 6) =>
    judgeIdle(quiet(count, { signals }), { ...config, signals: rules }, now);
  const calm: SignalReadings = {
    cpu: { value: 0 },
    terminal: { value: null, none: true },
    jupyter: { value: 0 },
    network: { value: 0 },
    disk: { value: 0 },
  };

  it.each<[SignalName, number, number]>([
    ["traffic", 1, 0],
    ["cpu", 20, 19.9],
    ["terminal", 299, 300],
    ["jupyter", 1, 0],
    ["network", 100_000, 99_999],
    ["disk", 1_000_000, 999_999],
  ])("%s: %d is busy and %d is quiet, once it is switched on", (name, busy, calmer) => {
    const rules = on(name);
    expect(judge({ ...calm, [name]: { value: busy, detail: "who" } }, rules)).toEqual({
      kind: "busy",
      blockers: [{ signal: name, code: "signal_busy", value: busy, threshold: rules[name].threshold, detail: "who" }],
    });
    expect(judge({ ...calm, [name]: { value: calmer } }, rules)).toMatchObject({ kind: "quiet", ripe: true });
    const off = mergeSignalRules(defaultSignalRules, { [name]: { enabled: false } });
    expect(judge({ ...calm, [name]: { value: busy } }, off)).toMatchObject({ kind: "quiet", ripe: true });
  });

  it("by default nothing but the GPUs and the traffic to services decides", () => {
    expect(judge(undefined, defaultSignalRules)).toMatchObject({ kind: "quiet", ripe: true });
    const busy = signalNames.filter((name) => judge({ [name]: { value: 0.5e7 } }, defaultSignalRules).kind === "busy");
    expect(busy).toEqual(["traffic"]);
  });

  it("an agent without a gate has no traffic; one whose gate cannot tell may have some", () => {
    expect(judge({ cpu: { value: 0 } }, defaultSignalRules)).toMatchObject({ kind: "quiet", ripe: true });
    expect(judge({ traffic: { value: null } }, defaultSignalRules)).toMatchObject({
      kind: "busy",
      blockers: [{ signal: "traffic", code: "signal_unknown" }],
    });
  });

  it("a threshold of one's own holds", () => {
    const rules = mergeSignalRules(on("cpu"), { cpu: { threshold: 400 } });
    expect(judge({ cpu: { value: 399 } }, rules).kind).toBe("quiet");
    expect(judge({ cpu: { value: 400 } }, rules).kind).toBe("busy");
  });

  it("a known nothing is quiet, an unknown is not", () => {
    expect(judge(calm, on("terminal"))).toMatchObject({ ripe: true });
    expect(judge({ ...calm, terminal: { value: null } }, on("terminal"))).toMatchObject({
      kind: "busy",
      blockers: [{ signal: "terminal", code: "signal_unknown" }],
    });
  });

  it("I12: a signal that is on and missing, failed or no number anywhere in the window never lets it ripen", () => {
    const names = fc.constantFrom(...signalNames.filter((name) => name !== "traffic"));
    const bad = fc.constantFrom<((name: SignalName) => SignalReadings) | null>(
      null,
      () => ({}),
      (name) => ({ ...calm, [name]: undefined }),
      (name) => ({ ...calm, [name]: { value: null, detail: "no answer" } }),
      (name) => ({ ...calm, [name]: { value: Number.NaN } }),
    );
    fc.assert(
      fc.property(fc.nat(5), names, bad, (at, name, spoil) => {
        const samples = quiet(6, { signals: calm }).map((one, i) =>
          i === at ? { ...one, signals: spoil?.(name) } : one,
        );
        const verdict = judgeIdle(samples, { ...config, signals: on(name) }, now);
        return verdict.kind === "busy" || !verdict.ripe;
      }),
    );
  });

  it("I12: to switch a signal on never makes an instance idle sooner", () => {
    const reading = fc.oneof(
      fc.record({ value: fc.option(fc.integer({ min: 0, max: 2_000_000 })) }),
      fc.constant<SignalReading>({ value: null, none: true }),
    );
    const readings = fc.dictionary(fc.constantFrom(...signalNames), reading);
    fc.assert(
      fc.property(fc.array(readings, { minLength: 6, maxLength: 6 }), fc.subarray([...signalNames]), (plan, names) => {
        const samples = quiet(6).map((one, i) => ({ ...one, signals: plan[i] as SignalReadings }));
        const isRipe = (rules: SignalRules) => {
          const verdict = judgeIdle(samples, { ...config, signals: rules }, now);
          return verdict.kind === "quiet" && verdict.ripe;
        };
        return isRipe(on()) || !isRipe(on(...names));
      }),
    );
  });

  it("merged samples keep what says most for busy, so that a switch turned later judges them alike", () => {
    const rules = { ...config, pause_after_idle_minutes: 60 };
    const samples = Array.from({ length: 60 }, (_, i) =>
      sample((59 - i) * 30_000, {
        signals: { ...calm, cpu: { value: i === 3 ? 90 : 1 }, terminal: { value: 400 + i } },
      }),
    );
    const merged = compactSamples(samples, rules, now);
    expect(merged.length).toBeLessThan(30);
    expect(merged[0]!.signals).toMatchObject({ cpu: { value: 90 }, terminal: { value: 400 } });
    const later = { ...rules, signals: on("cpu") };
    expect(judgeIdle(merged, later, now)).toMatchObject({ kind: "quiet", ripe: false });
  });
});

describe("compactSamples", () => {
  const long = { ...config, pause_after_idle_minutes: 60 };
  const plan = fc.record({
    max: fc.oneof(
      { weight: 30, arbitrary: fc.constantFrom<number | null>(0, 1, 4) },
      { weight: 1, arbitrary: fc.constantFrom<number | null>(50, null) },
    ),
    gapMs: fc.oneof(
      { weight: 30, arbitrary: fc.integer({ min: -200, max: 900 }) },
      { weight: 1, arbitrary: fc.constant(120_000) },
    ),
  });
  const ring = (plans: { max: number | null; gapMs: number }[], takens: number[]): Sample[] => {
    let toAt = now;
    const samples: Sample[] = [];
    plans.forEach(({ max, gapMs }, i) => {
      samples.unshift({ ...sample(0, { gpus: [gpu(max)], taken: takens[i] ?? 30 }), fromAt: toAt - 30_000, toAt });
      toAt -= 30_000 + gapMs;
    });
    return samples;
  };

  it("judgeIdle says the same before and after, at every window", () => {
    fc.assert(
      fc.property(
        fc.array(plan, { minLength: 1, maxLength: 160, size: "max" }),
        fc.integer({ min: 1, max: 90 }),
        (plans, minutes) => {
          const samples = ring(plans, []);
          const windowed = { ...config, pause_after_idle_minutes: minutes };
          expect(judgeIdle(compactSamples(samples, windowed, now), windowed, now)).toEqual(
            judgeIdle(samples, windowed, now),
          );
        },
      ),
    );
  });

  it("I12: with uneven coverage it is never ripe sooner, and since stays the same", () => {
    const takens = fc.array(fc.integer({ min: 15, max: 30 }), { minLength: 160, maxLength: 160 });
    fc.assert(
      fc.property(fc.array(plan, { minLength: 100, maxLength: 160 }), takens, (plans, taken) => {
        const samples = ring(plans, taken);
        const before = judgeIdle(samples, long, now);
        const after = judgeIdle(compactSamples(samples, long, now), long, now);
        expect({ ...after, ripe: null }).toEqual({ ...before, ripe: null });
        if (after.kind === "quiet" && before.kind === "quiet" && after.ripe) expect(before.ripe).toBe(true);
      }),
    );
  });

  it("keeps the last ten minutes as they are and bounds the rest, step by step over a week", () => {
    let samples: Sample[] = [];
    const end = now + 7 * 24 * 3_600_000;
    for (let at = now; at < end; at += 300_000) {
      samples.push({ ...sample(0), fromAt: at, toAt: at + 300_000, expected: 300, taken: 299 });
      samples = compactSamples(samples, { ...long, check_interval_seconds: 300 }, at + 300_000);
      expect(samples.length).toBeLessThan(6);
    }
    const week = { ...long, check_interval_seconds: 300, pause_after_idle_minutes: 7 * 24 * 60 };
    expect(judgeIdle(samples, week, end)).toMatchObject({ kind: "quiet", since: now, ripe: true });
    expect(samples.at(-1)?.toAt).toBeGreaterThan(end - compactAfterMs);
  });

  it("drops what lies before the newest busy sample and before a hole", () => {
    const samples = quiet(100).map((one, i) => (i === 40 ? { ...one, gpus: [gpu(90)] } : one));
    const kept = compactSamples(samples, long, now);
    expect(kept[0]).toEqual(samples[40]);
    expect(kept.length).toBeLessThan(25);
  });
});
