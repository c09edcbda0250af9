/** What the schedule in the form says in words, what holds its sleeps, and what the clock does next. */
import { Info, Moon, Sun, TriangleAlert } from "lucide-react";
import type { PreviewAnswer } from "../../../core/protocol/live.ts";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useReader } from "../../i18n/context.tsx";
import { createFormats, zoneWords } from "../../i18n/format.ts";
import { Icon } from "../../ui/icon.tsx";
import { useNow } from "../../ui/now.ts";
import { Rich, Side, Toggle } from "./fields.tsx";
import type { PreviewState } from "./preview.tsx";
import { leadOf, type ScheduleEditor } from "./schedule-editor.ts";
import { runsOf } from "./windows.ts";

interface Props {
  view: InstanceView;
  editor: ScheduleEditor;
  isOn: boolean;
  preview: PreviewState;
}

export function ScheduleSide({ view, editor, isOn, preview }: Props) {
  const { t } = useReader();
  return (
    <Side>
      <p className="words">
        <Rich words={useSentence(editor, isOn)} />
      </p>
      <Holds editor={editor} lead={leadOf(view)} />
      {isOn && <Next preview={preview} zone={editor.schedule.timezone} lead={leadOf(view)} />}
      {!isOn && <p className="sub quiet">{t.schedule.nothingNext}</p>}
    </Side>
  );
}

function useSentence({ schedule, problems }: ScheduleEditor, isOn: boolean): string {
  const { t, language } = useReader();
  const words = t.schedule;
  if (!isOn) return words.sentenceOff;
  const { windows = [] } = schedule;
  if (Object.keys(problems).length > 0) return words.sentenceBad;
  if (windows.length === 0) return words.sentenceNone;
  const list = new Intl.ListFormat(language);
  const each = windows.map(({ days, start, end }) => {
    if (days?.length === 7) return `**${words.everyDay} ${start}–${end}**`;
    const runs = runsOf(days).map(([first, last]) => {
      const [from, to] = [words.day[first].short, words.day[last].short];
      return first === last ? from : `${from}–${to}`;
    });
    return `**${runs.join(", ")} ${start}–${end}**`;
  });
  const sleeps = windows.every(({ sleep }) => sleep !== false);
  const never = windows.every(({ sleep }) => sleep === false);
  return words.sentence(list.format(each), sleeps ? "all" : never ? "none" : "some");
}

function Holds({ editor: { schedule, change }, lead }: { editor: ScheduleEditor; lead: number | null }) {
  const { t, f } = useReader();
  const words = t.schedule;
  const { hold = {} } = schedule;
  const row = (part: "leases" | "activity", label: string, hint: string, isOn: boolean) => (
    <div className="fld">
      <label htmlFor={`hold-${part}`}>{label}</label>
      <p id={`hold-${part}-hint`}>{hint}</p>
      <Toggle
        control={{ id: `hold-${part}`, "aria-describedby": `hold-${part}-hint` }}
        isOn={isOn}
        onChange={(on) => change({ hold: { ...hold, [part]: on } })}
      />
    </div>
  );
  return (
    <div className="holds">
      {row("leases", words.holdLeases, words.holdLeasesHint, hold.leases !== false)}
      {row("activity", words.holdActivity, words.holdActivityHint, hold.activity === true)}
      <p className="sub">{lead === null ? words.leadUnknown : words.lead(f.duration(lead * 60_000))}</p>
    </div>
  );
}

function Next({ preview, zone, lead }: { preview: PreviewState; zone: string; lead: number | null }) {
  const { t } = useReader();
  const words = t.schedule;
  const { data, isOld, query } = preview;
  if (!data) return <p className="sub quiet">{query.isError ? words.nextFailed : t.config.preview.loading}</p>;
  return (
    <section className={isOld ? "dimmed" : undefined} aria-busy={isOld} aria-label={words.next}>
      <h3 className="h3">{words.next}</h3>
      <Times next={data.schedule?.next ?? []} zone={zone} lead={lead} />
      {data.schedule && <ClockChanges of={data.schedule.clock_changes} zone={zone} />}
    </section>
  );
}

/** From so far away a moment is told by its day. */
const farMs = 30 * 86_400_000;

type ClockView = NonNullable<PreviewAnswer["schedule"]>;

/** In the schedule's zone; in the reader's as well, where that is another. */
function Times({ next, zone, lead }: { next: ClockView["next"]; zone: string; lead: number | null }) {
  const { t, f, language, zone: own } = useReader();
  const words = t.schedule;
  const now = useNow(30_000);
  const there = createFormats(language, zone);
  const dayOf = (time: number) =>
    there.date(time) === there.date(now) ? words.today : `${there.weekday(time)} ${there.moment(time, time - farMs)}`;
  if (next.length === 0) return <p className="sub">{words.noneNext}</p>;
  return (
    <ul className="nexts">
      {next.slice(0, 3).map(({ what, at }) => {
        const time = Date.parse(at);
        const more =
          zone !== own
            ? words.here(f.moment(time, now))
            : what === "wake" && lead !== null
              ? words.begins(f.moment(time - lead * 60_000, time))
              : words.in(f.duration(time - now));
        return (
          <li key={`${what}${at}`}>
            <Icon of={what === "wake" ? Sun : Moon} />
            <span>
              {words.what[what]}, {dayOf(time)} {there.moment(time, time)}
            </span>
            <span className="muted">{more}</span>
          </li>
        );
      })}
    </ul>
  );
}

function ClockChanges({ of: changes, zone }: { of: ClockView["clock_changes"]; zone: string }) {
  const { t, language } = useReader();
  const words = t.schedule;
  // A day of the calendar, in no zone.
  const f = createFormats(language, "UTC");
  const city = zoneWords(zone, language, Date.now()).replace(/ \(.*/, "");
  if (changes.length === 0)
    return (
      <div className="note">
        <Icon of={Info} />
        <span>{words.noClockChange(city)}</span>
      </div>
    );
  return changes.slice(0, 3).map(({ date, shift_minutes }) => (
    <div className="note warn" key={date}>
      <Icon of={TriangleAlert} />
      <span>
        {words.clockChange(
          f.date(`${date}T12:00:00Z`),
          f.duration(Math.abs(shift_minutes) * 60_000),
          shift_minutes > 0,
        )}
      </span>
    </div>
  ));
}
