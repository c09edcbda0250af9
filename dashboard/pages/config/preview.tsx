/** What the rules in the form would have done in the last days, replayed from the instance's own samples. */
import { keepPreviousData, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { AutoHibernationPatch } from "../../../core/protocol/config.ts";
import type { PreviewAnswer } from "../../../core/protocol/live.ts";
import { call } from "../../api/client.ts";
import { isPassing } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { Rich, vars } from "./fields.tsx";
import { previewOf } from "./form.ts";
import { type Day, daysOf, type PieceKind, type Replay } from "./ribbons.ts";
import { useForm } from "./use-form.ts";

export interface PreviewState {
  data: PreviewAnswer | undefined;
  /** What is shown is of settings that the form no longer has. */
  isOld: boolean;
  query: UseQueryResult<PreviewAnswer>;
}

const quietMs = 500;

export function usePreview(id: string): PreviewState {
  const form = useForm();
  const wanted = JSON.stringify(previewOf(form.edits, form.draft));
  const [asked, setAsked] = useState(wanted);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(wanted), quietMs);
    return () => clearTimeout(timer);
  }, [wanted]);
  const query = useQuery({
    queryKey: ["instance", id, "preview", asked],
    queryFn: () => {
      const patch = JSON.parse(asked) as AutoHibernationPatch;
      const body = Object.keys(patch).length > 0 ? { auto_hibernation: patch } : {};
      return call("previewConfig", { params: { id }, body });
    },
    placeholderData: keepPreviousData,
    staleTime: 60_000,
    refetchOnWindowFocus: false,
    retry: (count, error) => count < 1 && isPassing(error),
  });
  return { data: query.data, isOld: wanted !== asked || query.isPlaceholderData, query };
}

export function Preview({ state: { data, isOld, query } }: { state: PreviewState }) {
  const { t } = useReader();
  const words = t.config.preview;
  if (!data) return <p className="sub quiet">{query.isError ? words.failed : words.loading}</p>;
  if (data.replay === null) return <p className="sub quiet">{words.none}</p>;
  return (
    <section className={isOld ? "dimmed" : undefined} aria-busy={isOld} aria-label={words.label}>
      <Headline replay={data.replay} />
      <Ribbons replay={data.replay} />
    </section>
  );
}

function Headline({ replay }: { replay: Replay }) {
  const { t, f } = useReader();
  const words = t.config.preview;
  const { as_is, as_set } = replay;
  const days = Math.round((Date.parse(replay.to) - Date.parse(replay.from)) / 86_400_000);
  const more = as_set.saved_micro_usd - as_is.saved_micro_usd;
  const isSame = more === 0 && as_set.sleeps === as_is.sleeps;
  const naps = { before: as_is.sleeps, after: as_set.sleeps };
  const big = isSame
    ? words.same(f.money(Math.abs(as_set.saved_micro_usd)), as_set.sleeps, as_set.saved_micro_usd < 0)
    : words.change(f.money(Math.abs(more)), more < 0, naps);
  const waited = as_set.waited_seconds - (isSame ? 0 : as_is.waited_seconds);
  return (
    <>
      <h3>{words.title(days)}</h3>
      <p className="big money">
        <Rich words={big} />
      </p>
      <p className="sub">
        {words.replayed} {waited !== 0 && words.waited(f.duration(Math.abs(waited) * 1000), isSame ? 0 : waited)}
        {replay.unknown_seconds > 3_600 && ` ${words.unknown(f.duration(replay.unknown_seconds * 1000))}`}
      </p>
    </>
  );
}

const tones: Record<PieceKind, string> = {
  awake: "var(--run)",
  slept: "var(--sleep)",
  more: "var(--sleep)",
  less: "var(--lamp)",
};

function Ribbons({ replay }: { replay: Replay }) {
  const { t, f, zone } = useReader();
  const words = t.config.preview;
  const days = daysOf(replay, zone);
  const changes = (["more", "less"] as const).filter((kind) => days.some((day) => day.sums[kind] > 0));
  const kinds: PieceKind[] = ["awake", "slept", ...changes];
  return (
    <>
      <div aria-hidden="true" className={`ribs${changes.length === 0 ? " same" : ""}`}>
        {days.map((day, i) => (
          <div className="rib" key={day.at}>
            <span>{i === days.length - 1 ? words.today : f.weekday(day.at)}</span>
            <span className="z">
              {day.pieces.map(({ kind, from, to }) => (
                <i
                  key={from}
                  className={classOf(kind)}
                  style={vars({ left: `${from * 100}%`, width: `${(to - from) * 100}%`, "--c": tones[kind] })}
                />
              ))}
            </span>
            <b>{changeOf(day)}</b>
          </div>
        ))}
        <div className="rib axis">
          <span />
          <span>
            {["00", "06", "12", "18", "24"].map((hour) => (
              <u key={hour}>{hour}</u>
            ))}
          </span>
          <b>{words.hours}</b>
        </div>
        <div className="legend">
          {kinds.map((kind) => (
            <span key={kind}>
              <i className={classOf(kind)} style={vars({ "--c": tones[kind] })} />
              {words.kind[kind]}
            </span>
          ))}
        </div>
      </div>
      <DaysTable days={days} kinds={kinds} />
    </>
  );

  /** Hours asleep, against now. */
  function changeOf({ sums }: Day): string {
    const hours = (sums.more - sums.less) / 3_600_000;
    if (Math.abs(hours) < 0.05) return "–";
    return `${hours > 0 ? "+" : "−"}${f.number(Math.abs(hours), 1)}`;
  }
}

function classOf(kind: PieceKind): string | undefined {
  return kind === "more" ? "hatch" : kind === "less" ? "dots" : undefined;
}

function DaysTable({ days, kinds }: { days: readonly Day[]; kinds: readonly PieceKind[] }) {
  const { t, f } = useReader();
  const words = t.config.preview;
  return (
    <table className="vh">
      <caption>{words.table}</caption>
      <thead>
        <tr>
          <th scope="col">{words.day}</th>
          {kinds.map((kind) => (
            <th scope="col" key={kind}>
              {words.kind[kind]}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {days.map((day) => (
          <tr key={day.at}>
            <th scope="row">{f.date(day.at)}</th>
            {kinds.map((kind) => (
              <td key={kind}>{f.duration(day.sums[kind])}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
