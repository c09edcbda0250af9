/** When it should be ready: windows of the week, other days, single times; all edited as one value. */
import { CalendarOff, Clock, Plus } from "lucide-react";
import type { ScheduleWindow } from "../../../core/protocol/schedule.ts";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { ZoneField } from "../../parts/zone-field.tsx";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Field, Toggle } from "./fields.tsx";
import { usePreview } from "./preview.tsx";
import { Exceptions, Onces } from "./schedule-dates.tsx";
import { editorOf, leadOf, type ScheduleEditor } from "./schedule-editor.ts";
import { ScheduleSide } from "./schedule-side.tsx";
import { WindowRow } from "./schedule-window.tsx";
import { useForm } from "./use-form.ts";
import { WeekGrid } from "./week-grid.tsx";
import { weekdays } from "./windows.ts";

export function ScheduleTab({ view }: { view: InstanceView }) {
  const { t, zone } = useReader();
  const form = useForm();
  const words = t.schedule;
  const editor = editorOf(form, zone);
  const preview = usePreview(view.id);
  const { schedule, change } = editor;
  const windows = schedule.windows ?? [];
  const isOn = form.draft.wake_method === "scheduled";
  const setWindows = (next: ScheduleWindow[]) => change({ windows: next });
  const turn = (on: boolean) => {
    const before = form.loaded.wake_method;
    form.set("wake_method", on ? "scheduled" : before === "scheduled" ? "manual" : before);
    if (on && form.draft.schedule === null) change({});
  };
  return (
    <>
      <div>
        <Field names={["wake_method"]} label={words.enabled} hint={isOn ? words.enabledHint : words.disabledHint}>
          {(control) => <Toggle control={control} isOn={isOn} onChange={turn} />}
        </Field>
        <Field names={["schedule"]} label={words.windows} hint={words.windowsHint} isWide isGroup>
          {() => (
            <>
              <WeekGrid windows={windows} leadMinutes={leadOf(view)} isDimmed={!isOn} onChange={setWindows} />
              {windows.map((window, i) => (
                <WindowRow
                  // biome-ignore lint/suspicious/noArrayIndexKey: a row holds nothing of its own
                  key={i}
                  place={`windows.${i}`}
                  window={window}
                  problems={editor.problems}
                  onChange={(next) => setWindows(windows.map((one, j) => (j === i ? next : one)))}
                  onRemove={() => setWindows(windows.filter((_, j) => j !== i))}
                />
              ))}
              {windows.length === 0 && <p className="sub">{words.noWindows}</p>}
              <Exceptions editor={editor} />
              <Onces editor={editor} />
              <Adders editor={editor} />
            </>
          )}
        </Field>
        <ZoneField
          zone={schedule.timezone}
          hint={
            <>
              {words.zoneHint}
              {editor.problems.timezone !== undefined && <span className="problem">{words.problem.zone}</span>}
            </>
          }
          onChange={(timezone) => change({ timezone })}
        />
      </div>
      <ScheduleSide view={view} editor={editor} isOn={isOn} preview={preview} />
    </>
  );
}

function Adders({ editor: { schedule, change } }: { editor: ScheduleEditor }) {
  const { t } = useReader();
  const words = t.schedule;
  const { windows = [], exceptions = [], once = [] } = schedule;
  const add = () => {
    const next: ScheduleWindow = {
      days: [...weekdays.slice(0, 5)],
      start: "09:00",
      end: "18:00",
      wake: true,
      sleep: true,
    };
    change({ windows: [...windows, next] });
  };
  const day = tomorrowIn(schedule.timezone);
  return (
    <div className="row adders">
      <Button onClick={add}>
        <Icon of={Plus} />
        {words.addWindow}
      </Button>
      <Button onClick={() => change({ exceptions: [...exceptions, { date: day, windows: [] }] })}>
        <Icon of={CalendarOff} />
        {words.skipDate}
      </Button>
      <Button onClick={() => change({ once: [...once, { at: `${day}T09:00`, do: "wake" }] })}>
        <Icon of={Clock} />
        {words.addOnce}
      </Button>
    </div>
  );
}

function tomorrowIn(zone: string): string {
  try {
    const day = new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" });
    return day.format(Date.now() + 86_400_000);
  } catch {
    return new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  }
}
