/** One window: the days on which it begins, from when to when, and what is done at its ends. */
import { X } from "lucide-react";
import { useId } from "react";
import type { ScheduleWindow } from "../../../core/protocol/schedule.ts";
import { useReader } from "../../i18n/context.tsx";
import { Button } from "../../ui/button.tsx";
import { Icon } from "../../ui/icon.tsx";
import { readClock } from "./units.ts";
import { type ScheduleProblem, weekdays } from "./windows.ts";

interface Props {
  /** Where it stands among the problems, such as `windows.0`. */
  place: string;
  window: ScheduleWindow;
  problems: Record<string, ScheduleProblem>;
  /** Of a single date: its weekday is known. */
  isOfDate?: boolean;
  onChange: (window: ScheduleWindow) => void;
  onRemove: () => void;
}

export function WindowRow({ place, window, problems, isOfDate, onChange, onRemove }: Props) {
  const { t } = useReader();
  const words = t.schedule;
  const id = useId();
  const wrong = (["days", "start", "end"] as const).find((part) => problems[`${place}.${part}`]);
  const problem = wrong && problems[`${place}.${wrong}`];
  const clock = (part: "start" | "end") => (
    <ClockInput
      label={part === "start" ? words.from : words.to}
      value={window[part]}
      problemId={wrong === part ? id : undefined}
      onChange={(value) => onChange({ ...window, [part]: value })}
    />
  );
  const isOvernight = problem === undefined && window.end < window.start && window.end !== "00:00";
  return (
    <div className="win" role="group" aria-label={words.windowName(window.start, window.end)}>
      {!isOfDate && <Days window={window} onChange={onChange} />}
      <span className="times">
        {clock("start")}
        <span className="muted">{words.toWord}</span>
        {clock("end")}
        {isOvernight && <span className="muted">{words.nextDay}</span>}
      </span>
      <Button tone="ghost" isIcon aria-label={words.removeWindow(window.start, window.end)} onClick={onRemove}>
        <Icon of={X} />
      </Button>
      <span className="ends">
        {(["wake", "sleep"] as const).map((end) => (
          <label key={end}>
            <input
              className="ck"
              type="checkbox"
              checked={window[end] !== false}
              onChange={(event) => onChange({ ...window, [end]: event.target.checked })}
            />
            {end === "wake" ? words.wakeAtStart : words.sleepAtEnd}
          </label>
        ))}
      </span>
      {problem && (
        <span className="problem" id={id} role="alert">
          {words.problem[problem]}
        </span>
      )}
    </div>
  );
}

function Days({ window, onChange }: { window: ScheduleWindow; onChange: (window: ScheduleWindow) => void }) {
  const { t } = useReader();
  const own = window.days ?? weekdays;
  return (
    <span className="days" role="group" aria-label={t.schedule.days}>
      {weekdays.map((day) => (
        <button
          key={day}
          type="button"
          aria-pressed={own.includes(day)}
          aria-label={t.schedule.day[day].long}
          onClick={() =>
            onChange({
              ...window,
              days: weekdays.filter((one) => (one === day ? !own.includes(day) : own.includes(one))),
            })
          }
        >
          {t.schedule.day[day].letter}
        </button>
      ))}
    </span>
  );
}

interface ClockProps {
  label: string;
  value: string;
  problemId?: string;
  onChange: (value: string) => void;
}

/** What is typed becomes HH:MM once the field is left. */
function ClockInput({ label, value, problemId, onChange }: ClockProps) {
  return (
    <span className="inp clock">
      <input
        aria-label={label}
        aria-invalid={problemId !== undefined || undefined}
        aria-describedby={problemId}
        autoComplete="off"
        maxLength={6}
        value={value}
        onChange={(event) => onChange(event.target.value)}
        onBlur={() => {
          const read = readClock(value);
          if (read !== null && read !== value) onChange(read);
        }}
      />
    </span>
  );
}
