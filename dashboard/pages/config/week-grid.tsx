/**
 * The hours of the week. With a pointer an hour is pressed, or many are painted; with the keyboard arrows move and Space changes.
 * On a narrow page it only shows.
 */
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { ScheduleWindow } from "../../../core/protocol/schedule.ts";
import { useReader } from "../../i18n/context.tsx";
import { vars } from "./fields.tsx";
import { type Cell, gridOf, isWhole, minutesOf, runsOf, weekdays, withHour } from "./windows.ts";

interface Props {
  windows: readonly ScheduleWindow[];
  /** How long before a window its wake begins; null: not known. */
  leadMinutes: number | null;
  isDimmed: boolean;
  onChange: (windows: ScheduleWindow[]) => void;
}

const axis = ["00", "03", "06", "09", "12", "15", "18", "21"];

export function WeekGrid({ windows, leadMinutes, isDimmed, onChange }: Props) {
  const { t } = useReader();
  const words = t.schedule;
  const grid = gridOf(windows);
  const leads = leadMinutes === null ? null : leadsOf(windows);
  const isNarrow = useNarrow();
  const [at, setAt] = useState({ day: 0, hour: 9 });
  const box = useRef<HTMLDivElement>(null);
  const painting = useRef<boolean | null>(null);
  const set = (day: number, hour: number, isOn: boolean) => {
    if (isWhole(grid[day]![hour]) !== isOn || (!isOn && grid[day]![hour])) onChange(withHour(windows, day, hour, isOn));
  };
  const move = (event: KeyboardEvent) => {
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      set(at.day, at.hour, !isWhole(grid[at.day]![at.hour]));
      return;
    }
    const next = moved(at, event.key);
    if (!next) return;
    event.preventDefault();
    setAt(next);
    box.current?.querySelector<HTMLElement>(`[data-at="${next.day}-${next.hour}"]`)?.focus();
  };
  const summary = windows.map(({ days, start, end }) => {
    const runs = runsOf(days).map(([a, b]) =>
      a === b ? words.day[a].long : `${words.day[a].long}–${words.day[b].long}`,
    );
    return `${runs.join(", ")} ${start}–${end}`;
  });
  const role = isNarrow ? { role: "img", "aria-label": `${words.grid}: ${summary.join("; ") || words.noWindows}` } : {};
  return (
    <>
      <div
        ref={box}
        className={`week${isDimmed ? " off" : ""}${isNarrow ? "" : " edits"}`}
        {...role}
        {...(!isNarrow && { role: "grid", "aria-label": words.grid, "aria-describedby": "week-help" })}
      >
        {weekdays.map((day, d) => (
          <div key={day} role={isNarrow ? undefined : "row"} className="day">
            <span role={isNarrow ? undefined : "rowheader"}>{words.day[day].short}</span>
            {grid[d]!.map((cell, hour) => (
              <i
                // biome-ignore lint/suspicious/noArrayIndexKey: the hours of a day
                key={hour}
                className={classOf(cell, leads?.has(d * 24 + hour))}
                style={
                  cell && !isWhole(cell) ? vars({ "--a": percent(cell.from), "--b": percent(cell.to) }) : undefined
                }
                {...(!isNarrow && {
                  role: "gridcell",
                  "data-at": `${d}-${hour}`,
                  tabIndex: at.day === d && at.hour === hour ? 0 : -1,
                  "aria-selected": cell !== null,
                  "aria-label": words.hour(words.day[day].long, two(hour), two((hour + 1) % 24), stateOf(cell)),
                  onKeyDown: move,
                  onFocus: () => setAt({ day: d, hour }),
                  onPointerDown: (event) => {
                    if (event.button !== 0) return;
                    event.currentTarget.releasePointerCapture(event.pointerId);
                    painting.current = !isWhole(cell);
                    set(d, hour, painting.current);
                  },
                  onPointerEnter: ({ buttons }) => {
                    if (buttons === 1 && painting.current !== null) set(d, hour, painting.current);
                  },
                })}
              />
            ))}
          </div>
        ))}
        <div className="day" aria-hidden="true">
          <span />
          {axis.map((hour) => (
            <u key={hour}>{hour}</u>
          ))}
        </div>
      </div>
      <div className="legend">
        <span>
          <i style={vars({ "--c": "var(--lamp)" })} />
          {words.legend.ready}
        </span>
        {leads && (
          <span>
            <i style={vars({ "--c": "var(--move)" })} />
            {words.legend.early}
          </span>
        )}
        <span>
          <i style={vars({ "--c": "color-mix(in oklab, var(--sleep) 30%, var(--surface))" })} />
          {words.legend.free}
        </span>
        {!isNarrow && (
          <span id="week-help" className="help">
            {words.gridHelp}
          </span>
        )}
      </div>
    </>
  );

  function stateOf(cell: Cell | null): "ready" | "part" | "free" {
    return cell === null ? "free" : isWhole(cell) ? "ready" : "part";
  }
}

function moved({ day, hour }: { day: number; hour: number }, key: string): { day: number; hour: number } | null {
  switch (key) {
    case "ArrowRight":
      return { day, hour: Math.min(23, hour + 1) };
    case "ArrowLeft":
      return { day, hour: Math.max(0, hour - 1) };
    case "ArrowDown":
      return { day: Math.min(6, day + 1), hour };
    case "ArrowUp":
      return { day: Math.max(0, day - 1), hour };
    case "Home":
      return { day, hour: 0 };
    case "End":
      return { day, hour: 23 };
    default:
      return null;
  }
}

/** The hours before a window that wakes, as hours of the week. */
function leadsOf(windows: readonly ScheduleWindow[]): Set<number> {
  return new Set(
    windows
      .filter(({ wake, start }) => wake !== false && /^\d\d:\d\d$/.test(start))
      .flatMap(({ days, start }) =>
        (days ?? weekdays).map((day) => {
          const minute = weekdays.indexOf(day) * 1_440 + minutesOf(start) - 1;
          return Math.floor(((minute + 10_080) % 10_080) / 60);
        }),
      ),
  );
}

function classOf(cell: Cell | null, isLead: boolean | undefined): string | undefined {
  if (cell) return isWhole(cell) ? "on" : "part";
  return isLead ? "pre" : undefined;
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

function two(hour: number): string {
  return `${String(hour).padStart(2, "0")}:00`;
}

function useNarrow(): boolean {
  const [isNarrow, setIsNarrow] = useState(() => matchMedia("(max-width: 640px)").matches);
  useEffect(() => {
    const query = matchMedia("(max-width: 640px)");
    const look = () => setIsNarrow(query.matches);
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return isNarrow;
}
