import { describe, expect, test } from "vitest";
import { autoHibernationPatchSchema, defaultAutoHibernation } from "../../../core/protocol/config.ts";
import { settingNames } from "../../../core/protocol/policy.ts";
import { limitsOf } from "../../contract-plugin.ts";
import { changeOf, draftOf, fieldNames, fieldsRefused, isWrong, kindOf, numberOf, othersOf } from "./policy-fields.ts";

const empty = draftOf({});

describe("a policy's form", () => {
  test("has only settings that there are, with limits for every number", () => {
    for (const name of fieldNames) {
      expect(settingNames()).toContain(name);
      if (kindOf(name) === "number" || kindOf(name) === "whole") expect(limitsOf()).toHaveProperty([name]);
    }
  });

  test("names nothing where nothing was typed", () => {
    expect(changeOf({}, empty, [])).toBeNull();
    expect(Object.values(empty).every((text) => text === "")).toBe(true);
  });

  test("sends what changed, in the API's own form", () => {
    const draft = {
      ...empty,
      enabled: "off",
      pause_after_idle_minutes: "7,5",
      "checkpoint.interval_minutes": "15",
      "retention.keep_newest": " 4 ",
    };
    const change = changeOf({}, draft, []);
    expect(change).toEqual({
      auto_hibernation: {
        enabled: false,
        pause_after_idle_minutes: 7.5,
        checkpoint: { interval_minutes: 15 },
        retention: { keep_newest: 4 },
      },
    });
    expect(autoHibernationPatchSchema.safeParse(change!.auto_hibernation).success).toBe(true);
  });

  test("what was emptied goes back to the default, and the rest is not told again", () => {
    const before = { enabled: false, grace_minutes: 9, retention: { keep_newest: 3, keep_days: 2 } };
    const draft = { ...draftOf(before), grace_minutes: "", "retention.keep_newest": "" };
    expect(changeOf(before, draft, ["retention.keep_days"])).toEqual({
      unset: ["retention.keep_days", "grace_minutes", "retention.keep_newest"],
    });
  });

  test("a value as it was is no change, auto included", () => {
    const before = { pause_after_idle_minutes: "auto" as const, enabled: true };
    expect(draftOf(before)).toMatchObject({ pause_after_idle_minutes: "auto", enabled: "on" });
    expect(changeOf(before, draftOf(before), [])).toBeNull();
  });

  test("what it has no field for is listed by name", () => {
    expect(othersOf({ enabled: true, signals: { cpu: { enabled: true } }, retention: { keep_days: 1 } })).toEqual([
      "signals.cpu.enabled",
      "retention.keep_days",
    ]);
  });

  test("its defaults are in the form", () => {
    expect(othersOf({ ...defaultAutoHibernation, schedule: undefined })).not.toContain("enabled");
    expect(draftOf(defaultAutoHibernation).wake_method).toBe("manual");
  });
});

describe("numbers", () => {
  test("with a comma or a point, and nothing else", () => {
    expect(numberOf("2,5")).toBe(2.5);
    expect(numberOf("2.5")).toBe(2.5);
    for (const text of ["", "1.000,5", "abc", "1e9", "Infinity", "0x10"]) expect(numberOf(text)).toBeNull();
  });

  test("outside of their limits are marked", () => {
    const limits = [0.05, 100] as const;
    expect(isWrong("grace_minutes", "0,05", limits)).toBe(false);
    expect(isWrong("grace_minutes", "101", limits)).toBe(true);
    expect(isWrong("grace_minutes", "", limits)).toBe(false);
    expect(isWrong("grace_minutes", "auto", limits)).toBe(true);
    expect(isWrong("pause_after_idle_minutes", "auto", limits)).toBe(false);
    expect(isWrong("retention.keep_newest", "2,5", limits)).toBe(true);
  });
});

test("issues of the API are put to their fields", () => {
  const issues = [{ path: "auto_hibernation.checkpoint.interval_minutes" }, { path: "gpu_type" }];
  expect(fieldsRefused(issues)).toEqual(["checkpoint.interval_minutes"]);
});
