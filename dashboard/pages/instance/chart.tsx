/** What its GPUs did: the line, the threshold, the idle spans, the states above it, and the same as a table. */
import "uplot/dist/uPlot.min.css";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import type { SeriesAnswer, SeriesSpan } from "../../../core/protocol/live.ts";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { call } from "../../api/client.ts";
import { keysOfSpan } from "../../api/queries.ts";
import { useReader } from "../../i18n/context.tsx";
import { looks, type Tone } from "../../parts/status.tsx";
import { FailureNote } from "../../ui/failure.tsx";
import { Plot } from "./plot.tsx";
import { hasSamples, spans, spansOf, timesOf } from "./series.ts";

const freshMs: Record<SeriesSpan, number> = {
  "1h": 10_000,
  "6h": 60_000,
  "24h": 60_000,
  "7d": 300_000,
  "90d": 600_000,
};

export default function UseChart({ view }: { view: InstanceView }) {
  const { t, f } = useReader();
  const [span, setSpan] = useState<SeriesSpan>(() => spanFor(Date.now() - Date.parse(view.created_at)));
  const [isTable, setIsTable] = useState(false);
  const words = t.instance.chart;
  const { data, error, refetch, isPlaceholderData } = useQuery({
    queryKey: keysOfSpan(view.id, span),
    queryFn: () => call("getSeries", { params: { id: view.id }, query: { span } }),
    placeholderData: keepPreviousData,
    refetchInterval: () => (document.visibilityState === "hidden" ? 600_000 : freshMs[span]),
  });
  return (
    <section className="card chart-card">
      <header>
        <h2>{words.title}</h2>
        <Legend />
        <div className="end seg" role="group" aria-label={words.range}>
          {spans.map((one) => (
            <button key={one} type="button" aria-pressed={span === one} onClick={() => setSpan(one)}>
              {words.span[one]}
            </button>
          ))}
        </div>
      </header>
      <div className={`body${isPlaceholderData || (error && data) ? " dimmed" : ""}`}>
        {error && !data && <FailureNote error={error} onRetry={refetch} />}
        {!data && !error && <div className="plot-space" />}
        {data &&
          (isTable ? (
            <Table series={data} />
          ) : (
            <>
              <Ribbon series={data} />
              {hasSamples(data) || spansOf(data).length > 0 ? (
                <Plot series={data} span={words.span[span]} price={view.burn.micro_usd_per_hour || lastPrice(view)} />
              ) : (
                <p className="plot-space empty-plot">{words.empty}</p>
              )}
            </>
          ))}
        <div className="row between chart-foot">
          <span>{data && words.point(f.duration(data.step_seconds * 1000))}</span>
          <button type="button" className="plain link" aria-pressed={isTable} onClick={() => setIsTable(!isTable)}>
            {isTable ? t.common.chart : t.common.table}
          </button>
        </div>
      </div>
    </section>
  );
}

/** One that is young would be a sliver. */
function spanFor(ageMs: number): SeriesSpan {
  return ageMs < 3_600_000 ? "1h" : "6h";
}

/** Of the machine that went to sleep: what it would have gone on costing. */
function lastPrice(view: InstanceView): number | null {
  return view.machine?.micro_usd_per_hour ?? null;
}

function Legend() {
  const { t } = useReader();
  const words = t.instance.chart.legend;
  const rows: [keyof typeof words, Tone][] = [
    ["running", "run"],
    ["idle", "idle"],
    ["moving", "move"],
    ["asleep", "sleep"],
  ];
  return (
    <div className="legend hide-s" aria-hidden="true">
      {rows.map(([name, tone]) => (
        <span key={name} className={tone}>
          <i />
          {words[name]}
        </span>
      ))}
    </div>
  );
}

function Ribbon({ series }: { series: SeriesAnswer }) {
  const { t, f } = useReader();
  const [from, to] = [Date.parse(series.from) / 1000, Date.parse(series.to) / 1000];
  const share = (at: number) => (100 * (at - from)) / (to - from);
  const parts = spansOf(series);
  const said = parts
    .map((one) => `${t.common.status[one.status]} ${f.duration(1000 * (one.to - one.from))}`)
    .join(", ");
  const marks = farApart(series.marks.map((mark) => ({ ...mark, share: share(Date.parse(mark.at) / 1000) })));
  return (
    <div className="ribbon">
      <div className="marks" aria-hidden="true">
        {marks.map((mark) => (
          <span
            key={`${mark.at}${mark.event_type}`}
            style={{ left: `${mark.share}%` }}
            className={mark.share > 75 ? "left" : ""}
          >
            {f.clock(mark.at).slice(0, 5)}{" "}
            {t.events.types[mark.event_type as keyof typeof t.events.types] ?? mark.event_type}
          </span>
        ))}
      </div>
      <div className="band" role="img" aria-label={said}>
        {parts.map((one) => (
          <i
            key={one.from}
            className={looks[one.status].tone}
            style={{ left: `${share(one.from)}%`, width: `${share(one.to) - share(one.from)}%` }}
            title={`${t.common.status[one.status]}, ${f.duration(1000 * (one.to - one.from))}`}
          />
        ))}
      </div>
    </div>
  );
}

/** The newest have their words; those that would stand on each other have none. */
function farApart<T extends { share: number }>(marks: T[]): T[] {
  const kept: T[] = [];
  for (const mark of [...marks].reverse()) {
    if (mark.share < 0 || mark.share > 100) continue;
    if (kept.every((one) => Math.abs(one.share - mark.share) > 27)) kept.push(mark);
    if (kept.length === 3) break;
  }
  return kept;
}

function Table({ series }: { series: SeriesAnswer }) {
  const { t, f } = useReader();
  const words = t.instance.chart;
  const times = timesOf(series);
  const states = spansOf(series);
  const rows = times
    .map((at, i) => ({
      at,
      gpus: series.gpus.map((gpu) => gpu.max[i] ?? null),
      used: series.memory.used_mb[i] ?? null,
      state: states.find((one) => one.from <= at && at < one.to)?.status ?? null,
    }))
    .filter((row) => row.gpus.some((value) => value !== null) || row.state !== null)
    .reverse();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
    <div className="chart-table" tabIndex={0} role="group" aria-label={words.title}>
      <table className="tbl">
        <caption className="vh">{words.title}</caption>
        <thead>
          <tr>
            <th scope="col">{words.time}</th>
            <th scope="col">{words.state}</th>
            {series.gpus.map((gpu) => (
              <th key={gpu.index} scope="col" className="num">
                {words.gpu(gpu.index)}
              </th>
            ))}
            <th scope="col" className="num">
              {words.memory}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.at} className="r">
              <td className="nw">{f.moment(row.at * 1000, Date.now())}</td>
              <td>{row.state ? t.common.status[row.state] : "–"}</td>
              {row.gpus.map((value, i) => (
                <td key={series.gpus[i]!.index} className="num">
                  {value === null ? <span className="muted">{words.noSample}</span> : f.percent(value)}
                </td>
              ))}
              <td className="num">{row.used === null ? "–" : f.bytes(row.used * 1_048_576)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
