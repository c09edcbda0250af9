/** Days that are unlike their weekday, and single times. */
import { X } from "lucide-react";
import { useId } from "react";
import type { Schedule } from "../../../core/protocol/schedule.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import type { ScheduleEditor } from "./schedule-editor.ts";
import { WindowRow } from "./schedule-window.tsx";

type Exception = NonNullable<Schedule["exceptions"]>[number];
type Once = NonNullable<Schedule["once"]>[number];

export function Exceptions({ editor: { schedule, problems, change } }: { editor: ScheduleEditor }) {
  const { t } = useReader();
  const words = t.schedule;
  const all = schedule.exceptions ?? [];
  if (all.length === 0) return null;
  const put = (i: number, next: Exception | null) =>
    change({ exceptions: all.flatMap((one, j) => (j !== i ? [one] : next ? [next] : [])) });
  return (
    <section className="dates" aria-label={words.exceptions}>
      <h3 className="h3">{words.exceptions}</h3>
      {all.map((exception, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row holds nothing of its own
        <ExceptionRow key={i} place={i} of={exception} problems={problems} onChange={(next) => put(i, next)} />
      ))}
    </section>
  );
}

interface RowProps {
  place: number;
  of: Exception;
  problems: ScheduleEditor["problems"];
  onChange: (next: Exception | null) => void;
}

function ExceptionRow({ place, of: exception, problems, onChange }: RowProps) {
  const { t } = useReader();
  const words = t.schedule;
  const { date, windows = [] } = exception;
  const at = `exceptions.${place}`;
  const put = (next: typeof windows) => onChange({ ...exception, windows: next });
  return (
    <div className="date" role="group" aria-label={words.exceptionName(date)}>
      <DateInput
        type="date"
        label={words.date}
        value={date}
        problem={problems[`${at}.date`]}
        onChange={(value) => onChange({ ...exception, date: value })}
      />
      <select
        className="pick"
        aria-label={words.exceptionWhat}
        value={windows.length === 0 ? "none" : "other"}
        onChange={(event) => put(event.target.value === "none" ? [] : [{ start: "09:00", end: "12:00" }])}
      >
        <option value="none">{words.skipped}</option>
        <option value="other">{words.otherWindows}</option>
      </select>
      <Button tone="ghost" isIcon aria-label={words.removeException(date)} onClick={() => onChange(null)}>
        <Icon of={X} />
      </Button>
      {windows.map((window, i) => (
        <WindowRow
          // biome-ignore lint/suspicious/noArrayIndexKey: a row holds nothing of its own
          key={i}
          isOfDate
          place={`${at}.windows.${i}`}
          window={window}
          problems={problems}
          onChange={(next) => put(windows.map((one, j) => (j === i ? next : one)))}
          onRemove={() => put(windows.filter((_, j) => j !== i))}
        />
      ))}
      {windows.length > 0 && windows.length < 20 && (
        <Button tone="ghost" onClick={() => put([...windows, { start: "14:00", end: "18:00" }])}>
          {words.addWindow}
        </Button>
      )}
    </div>
  );
}

export function Onces({ editor: { schedule, problems, change } }: { editor: ScheduleEditor }) {
  const { t } = useReader();
  const words = t.schedule;
  const all = schedule.once ?? [];
  if (all.length === 0) return null;
  const put = (i: number, next: Once | null) =>
    change({ once: all.flatMap((one, j) => (j !== i ? [one] : next ? [next] : [])) });
  return (
    <section className="dates" aria-label={words.onces}>
      <h3 className="h3">{words.onces}</h3>
      {all.map((once, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a row holds nothing of its own
        <div className="date" role="group" aria-label={words.onceName(once.at)} key={i}>
          <select
            className="pick"
            aria-label={words.onceWhat}
            value={once.do}
            onChange={(event) => put(i, { ...once, do: event.target.value as Once["do"] })}
          >
            <option value="wake">{words.once.wake}</option>
            <option value="hibernate">{words.once.hibernate}</option>
          </select>
          <DateInput
            type="datetime-local"
            label={words.onceAt}
            value={once.at}
            problem={problems[`once.${i}.at`]}
            onChange={(value) => put(i, { ...once, at: value })}
          />
          <Button tone="ghost" isIcon aria-label={words.removeOnce(once.at)} onClick={() => put(i, null)}>
            <Icon of={X} />
          </Button>
        </div>
      ))}
    </section>
  );
}

interface DateProps {
  type: "date" | "datetime-local";
  label: string;
  value: string;
  problem: ScheduleEditor["problems"][string] | undefined;
  onChange: (value: string) => void;
}

function DateInput({ type, label, value, problem, onChange }: DateProps) {
  const { t } = useReader();
  const id = useId();
  return (
    <>
      <span className="inp">
        <input
          type={type}
          aria-label={label}
          aria-invalid={problem !== undefined || undefined}
          aria-describedby={problem && id}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      </span>
      {problem && (
        <span className="problem" id={id} role="alert">
          {t.schedule.problem[problem]}
        </span>
      )}
    </>
  );
}
