import { describe, expect, it } from "vitest";
import { applyPatch, defaultAutoHibernation } from "../core/protocol/config.ts";
import { showPreview } from "./preview-words.ts";
import { previewAnswer } from "./testing/preview.ts";

const now = Date.parse("2026-11-28T12:00:00Z");
const settings = {
  as_is: defaultAutoHibernation,
  as_set: applyPatch(defaultAutoHibernation, { pause_after_idle_minutes: 10, retention: { keep_newest: 9 } }),
};

describe("a preview", () => {
  it("has what differs, both outcomes side by side, what is not known, and the clock", () => {
    const text = showPreview({ settings, ...previewAnswer() }, now);
    expect(text).toMatch(/SETTING +NOW +THEN\npause_after_idle_minutes +3 +10\nretention.keep_newest +\d+ +9\n/);
    expect(text).not.toContain("gpu_usage_threshold");
    expect(text).toMatch(/Sleeps +12 +7\n/);
    expect(text).toMatch(/Asleep +4 d 4 h +3 d 23 h\n/);
    expect(text).toMatch(/Against never sleeping +US\$ 15.00 saved +US\$ 13.50 saved\n/);
    expect(text).toContain("It would have cost US$ 1.50 more. For 2 h of it nothing was measured. Other signals");
    expect(text).toContain("2 before them, see --json");
    expect(text.match(/, 12 h$/gm)).toHaveLength(8);
    expect(text).toContain("sleeps 2026-11-28 18:00");
    expect(text).toContain("on 2027-03-28 the clock goes 60 min forward");
    expect(text).toMatch(/Nothing was changed\. .*$/);
  });

  it("says that nothing would differ, that it would be cheaper, and when nothing can be said", () => {
    const { replay, schedule } = previewAnswer();
    const same = { as_is: settings.as_is, as_set: settings.as_is };
    const swapped = { ...replay!, as_is: replay!.as_set, as_set: { ...replay!.as_is, asleep: [] }, unknown_seconds: 0 };
    const text = showPreview({ settings: same, replay: swapped, schedule: null }, now);
    expect(text).toContain("No setting would be another one.");
    expect(text).toContain("It would have cost US$ 1.50 less. Other signals");
    expect(text).not.toMatch(/Then asleep|By the clock/);
    const nothing = showPreview(
      { settings, replay: null, schedule: { ...schedule!, next: [], clock_changes: [] } },
      now,
    );
    expect(nothing).toContain("cannot be said: there is less than a day of samples");
    expect(nothing).toContain("nothing is in sight");
  });
});
