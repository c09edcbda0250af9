/** Whose word a setting is: examples, and for any layers that the most specific wins, value by value, and says so. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AutoHibernation,
  type AutoHibernationPatch,
  applyPatch,
  autoHibernationPatchSchema,
  autoHibernationSchema,
  defaultAutoHibernation,
} from "./config.ts";
import {
  differencesFromDefault,
  leavesOf,
  mergePatches,
  resolveSettings,
  settingAt,
  settingNames,
  sourcesOf,
  withoutSettings,
} from "./policy.ts";

const none = { user: {}, gpuType: {}, instance: {} };
const zones = fc.constantFrom("America/Sao_Paulo", "Europe/Lisbon");
const clock = fc.constantFrom("07:00", "09:30", "18:00");
const schedule = fc.option(fc.record({ wake_time: clock, sleep_time: clock, timezone: zones }, { requiredKeys: [] }));
const patches: fc.Arbitrary<AutoHibernationPatch> = fc.record(
  {
    enabled: fc.boolean(),
    pause_after_idle_minutes: fc.constantFrom(1, 5, "auto" as const),
    gpu_usage_threshold: fc.integer({ min: 1, max: 100 }),
    signals: fc.record(
      { cpu: fc.record({ enabled: fc.boolean(), threshold: fc.integer({ min: 1, max: 90 }) }, { requiredKeys: [] }) },
      { requiredKeys: [] },
    ),
    retention: fc.record(
      { keep_newest: fc.integer({ min: 1, max: 9 }), keep_days: fc.option(fc.integer({ min: 0, max: 9 })) },
      { requiredKeys: [] },
    ),
    schedule,
  },
  { requiredKeys: [] },
);

describe("whose word a setting is", () => {
  it("the instance's wins over the GPU type's, that over the user's, that over the product's", () => {
    const layers = {
      user: { pause_after_idle_minutes: 10, grace_minutes: 7, signals: { cpu: { enabled: true } } },
      gpuType: { pause_after_idle_minutes: 5, signals: { cpu: { threshold: 50 } } },
      instance: { pause_after_idle_minutes: "auto" as const },
    };
    expect(resolveSettings(layers)).toEqual({
      ...defaultAutoHibernation,
      pause_after_idle_minutes: "auto",
      grace_minutes: 7,
      signals: { ...defaultAutoHibernation.signals, cpu: { enabled: true, threshold: 50 } },
    });
    expect(sourcesOf(layers)).toMatchObject({
      pause_after_idle_minutes: "instance",
      "signals.cpu.threshold": "gpu_type",
      "signals.cpu.enabled": "user",
      grace_minutes: "user",
      enabled: "default",
      "schedule.wake_time": "default",
    });
  });

  it("a schedule that a policy takes away is that policy's word; a part of one on top stands on the default", () => {
    expect(sourcesOf({ ...none, user: { schedule: null } }).schedule).toBe("user");
    const layers = { ...none, user: { schedule: null }, instance: { schedule: { wake_time: "07:00" } } };
    expect(resolveSettings(layers).schedule).toEqual({ ...defaultAutoHibernation.schedule, wake_time: "07:00" });
    expect(sourcesOf(layers)["schedule.wake_time"]).toBe("instance");
  });

  it("for any layers: a whole configuration, each value that of the most specific that names it", () => {
    fc.assert(
      fc.property(patches, patches, patches, (user, gpuType, instance) => {
        const layers = { user, gpuType, instance };
        const config = resolveSettings(layers);
        expect(autoHibernationSchema.parse(config)).toEqual(config);
        const sources = sourcesOf(layers);
        expect(Object.keys(sources).sort()).toEqual(leavesOf(config).sort());
        const byName = { default: defaultAutoHibernation, user, gpu_type: gpuType, instance };
        for (const [name, source] of Object.entries(sources)) {
          if (name.startsWith("schedule")) continue;
          expect(settingAt(byName[source], name)).toEqual(settingAt(config, name));
          const specific = [instance, gpuType, user].find((one) => settingAt(one, name) !== undefined);
          expect(specific ?? defaultAutoHibernation).toBe(byName[source]);
        }
      }),
    );
  });

  it("merging is what applying one after the other is; taking a name out leaves nothing of it", () => {
    fc.assert(
      fc.property(patches, patches, fc.constantFrom(...settingNames()), (one, two, name) => {
        const merged = mergePatches(one, two);
        expect(autoHibernationPatchSchema.parse(merged)).toEqual(merged);
        const isPartOfNone = one.schedule === null && two.schedule;
        if (!isPartOfNone) {
          expect(applyPatch(defaultAutoHibernation, merged)).toEqual(
            applyPatch(applyPatch(defaultAutoHibernation, one), two),
          );
        }
        const left = withoutSettings(merged, [name]);
        expect(settingAt(left, name)).toBeUndefined();
        const isOther = (leaf: string) => leaf !== name && !leaf.startsWith(`${name}.`);
        expect(leavesOf(left).sort()).toEqual(leavesOf(merged).filter(isOther).sort());
      }),
    );
  });

  it("the own word of an instance of before is what differs from the defaults", () => {
    fc.assert(
      fc.property(patches, (patch) => {
        const config: AutoHibernation = resolveSettings({ ...none, instance: patch });
        const own = differencesFromDefault(config);
        expect(resolveSettings({ ...none, instance: own })).toEqual(config);
        for (const name of leavesOf(own)) {
          expect(settingAt(defaultAutoHibernation, name)).not.toEqual(settingAt(config, name));
        }
      }),
    );
    expect(differencesFromDefault(defaultAutoHibernation)).toEqual({});
  });
});
