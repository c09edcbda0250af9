/** uPlot, told of our colours, spans and words. A gap where no machine or sample is: never a line. */
import { useEffect, useMemo, useRef } from "react";
import UPlot from "uplot";
import type { SeriesAnswer } from "../../../core/protocol/live.ts";
import { useReader } from "../../i18n/context.tsx";
import type { Formats } from "../../i18n/format.ts";
import { type Colours, useColours } from "../../parts/colours.ts";
import { type Span, spansOf, timesOf } from "./series.ts";

interface Props {
  series: SeriesAnswer;
  /** In words. */
  span: string;
  /** Of an hour awake: what sleep did not spend. Null: not known. */
  price: number | null;
}

/** As the ribbon above begins, too: look/instance.css. */
const valueAxisPx = 52;
const heights = { use: 214, memory: 96 };
const sync = "soneca-instance";

export function Plot({ series: told, span, price }: Props) {
  const { t, f } = useReader();
  const colours = useColours();
  const words = t.instance.chart;
  const series = useMemo(() => withLine(told), [told]);
  const use = useRef<HTMLDivElement>(null);
  const memory = useRef<HTMLDivElement>(null);
  const hasMemory = series.memory.used_mb.some((value) => value !== null);
  useEffect(() => {
    const spans = spansOf(series);
    const said = {
      threshold: words.threshold(f.percent(series.threshold)),
      asleep: (ms: number) => words.asleep(f.duration(ms)),
      notSpent: (ms: number) => (price === null ? null : words.notSpent(f.money((price * ms) / 3_600_000, true))),
    };
    const box = use.current!;
    const width = () => Math.max(240, box.clientWidth);
    const plots = [
      new UPlot(
        optionsOfUse({ series, spans, colours, f, said, width: width(), label: words.gpu, time: words.time }),
        dataOfUse(series),
        box,
      ),
    ];
    if (hasMemory && memory.current)
      plots.push(
        new UPlot(
          optionsOfMemory({ series, colours, f, width: width(), label: words.used }),
          dataOfMemory(series),
          memory.current,
        ),
      );
    const resize = new ResizeObserver(() => {
      for (const plot of plots) plot.setSize({ width: width(), height: plot.height });
    });
    resize.observe(box);
    return () => {
      resize.disconnect();
      for (const plot of plots) plot.destroy();
    };
  }, [series, price, colours, f, words, hasMemory]);
  return (
    <>
      <div ref={use} className="plot" role="img" aria-label={words.label(span, f.percent(series.threshold))} />
      {hasMemory && (
        <>
          <h3 className="plot-title">{words.memory}</h3>
          <div ref={memory} className="plot low" role="img" aria-label={words.memory} />
        </>
      )}
    </>
  );
}

/** Where nothing was measured there are states all the same. */
function withLine(series: SeriesAnswer): SeriesAnswer {
  if (series.gpus.length > 0) return series;
  const count = Math.round((Date.parse(series.to) - Date.parse(series.from)) / 1000 / series.step_seconds);
  const nothing = new Array<null>(count).fill(null);
  return { ...series, gpus: [{ index: 0, name: null, max: nothing, mean: nothing }] };
}

function dataOfUse(series: SeriesAnswer): UPlot.AlignedData {
  return [timesOf(series), ...series.gpus.map((gpu) => gpu.max)] as UPlot.AlignedData;
}

function dataOfMemory(series: SeriesAnswer): UPlot.AlignedData {
  return [
    timesOf(series),
    series.memory.used_mb.map((mb) => (mb === null ? null : mb * 1_048_576)),
  ] as UPlot.AlignedData;
}

interface Drawn {
  series: SeriesAnswer;
  spans: Span[];
  colours: Colours;
  f: Formats;
  width: number;
  label: (index: number) => string;
  /** The word for it. */
  time: string;
  said: { threshold: string; asleep: (ms: number) => string; notSpent: (ms: number) => string | null };
}

function optionsOfUse({ series, spans, colours, f, width, said, label, time }: Drawn): UPlot.Options {
  const isMany = series.gpus.length > 1;
  return {
    width,
    height: heights.use,
    tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), f.zone),
    padding: [10, 0, 0, 0],
    cursor: { sync: { key: sync }, points: { size: 6 }, drag: { x: false, y: false } },
    legend: { live: true },
    scales: {
      x: { time: true, range: () => [Date.parse(series.from) / 1000, Date.parse(series.to) / 1000] },
      y: { range: [0, 100] },
    },
    axes: [timeAxis(colours, f, series), valueAxis(colours, (value) => f.number(value), [0, 25, 50, 75, 100])],
    series: [
      { label: time, value: (_, seconds) => (seconds === null ? "–" : f.full(seconds * 1000)) },
      ...series.gpus.map((gpu, i) => ({
        label: `${label(gpu.index)}${gpu.name && isMany ? ` ${gpu.name}` : ""}`,
        stroke: colours.run,
        width: isMany ? 1.2 : 1.6,
        alpha: isMany ? 1 - (0.65 * i) / series.gpus.length : 1,
        ...(!isMany && { fill: translucent(colours.run, 0.1) }),
        points: {
          show: (plot: UPlot, at: number, first: number, last: number) =>
            at > 0 && last - first < 2 && plot.data[0].length > 0,
          size: 3,
        },
        spanGaps: false,
        value: (_: UPlot, value: number | null) => (value === null ? "–" : f.percent(value)),
      })),
    ],
    hooks: {
      drawClear: [(plot) => drawSpans(plot, spans, colours, said)],
      draw: [(plot) => drawThreshold(plot, series.threshold, colours, said.threshold)],
    },
  };
}

function optionsOfMemory({
  series,
  colours,
  f,
  width,
  label,
}: Pick<Drawn, "series" | "colours" | "f" | "width"> & { label: string }): UPlot.Options {
  const total = series.memory.total_mb === null ? null : series.memory.total_mb * 1_048_576;
  return {
    width,
    height: heights.memory,
    tzDate: (seconds) => UPlot.tzDate(new Date(seconds * 1000), f.zone),
    padding: [10, 0, 8, 0],
    cursor: { sync: { key: sync }, points: { size: 6 }, drag: { x: false, y: false } },
    legend: { show: false },
    scales: {
      x: { time: true, range: () => [Date.parse(series.from) / 1000, Date.parse(series.to) / 1000] },
      y: { range: (_, __, most) => [0, total ?? Math.max(1, most * 1.1)] },
    },
    axes: [
      { ...timeAxis(colours, f, series), show: false },
      valueAxis(colours, (value) => f.bytes(value), total ? [0, total / 2, total] : undefined),
    ],
    series: [
      { value: (_, seconds) => (seconds === null ? "–" : f.full(seconds * 1000)) },
      {
        label,
        stroke: colours.night,
        width: 1.6,
        fill: translucent(colours.night, 0.1),
        points: { show: false },
        spanGaps: false,
        value: (_: UPlot, value: number | null) => (value === null ? "–" : f.bytes(value)),
      },
    ],
  };
}

function timeAxis(colours: Colours, f: Formats, series: SeriesAnswer): UPlot.Axis {
  const [from, to] = [Date.parse(series.from) / 1000, Date.parse(series.to) / 1000];
  return {
    stroke: colours["ink-3"],
    font: "450 11px Figtree Variable, sans-serif",
    grid: { show: false },
    ticks: { show: false },
    space: 64,
    size: 26,
    // A word that the edge would cut is left out.
    values: (plot, seconds, __, ___, step) =>
      seconds.map((at) => {
        const x = ((at - from) / (to - from)) * (plot.width - valueAxisPx);
        if (x < 14 || x > plot.width - valueAxisPx - 16) return "";
        return step >= 86_400 ? f.moment(at * 1000, 0) : f.clock(at * 1000).slice(0, 5);
      }),
  };
}

function valueAxis(colours: Colours, text: (value: number) => string, splits?: number[]): UPlot.Axis {
  return {
    stroke: colours["ink-3"],
    font: "450 11px Figtree Variable, sans-serif",
    grid: { stroke: colours["line-soft"], width: 1 },
    ticks: { show: false },
    size: valueAxisPx,
    ...(splits && { splits: () => splits }),
    values: (_, values) => values.map(text),
  };
}

/** Browsers answer in `rgb()`, `lab()` or `oklch()`: the alpha goes where it does in all of them. */
function translucent(colour: string, alpha: number): string {
  return colour.includes(",")
    ? colour.replace(/^rgba?\(([^,]+),([^,]+),([^,)]+).*$/, `rgba($1,$2,$3,${alpha})`)
    : colour.replace(/\s*(\/[^)]*)?\)$/, ` / ${alpha})`);
}

function drawSpans(plot: UPlot, spans: Span[], colours: Colours, said: Drawn["said"]): void {
  const { ctx, bbox } = plot;
  ctx.save();
  for (const span of spans) {
    const [left, right] = [plot.valToPos(span.from, "x", true), plot.valToPos(span.to, "x", true)];
    const width = Math.max(1, right - left);
    if (span.status === "idle") ctx.fillStyle = translucent(colours.idle, 0.22);
    else if (span.status === "waking" || span.status === "hibernating") ctx.fillStyle = translucent(colours.move, 0.16);
    else if (span.status === "hibernated" || span.status === "deleted") ctx.fillStyle = hatch(ctx, colours.sleep);
    else continue;
    ctx.fillRect(left, bbox.top, width, bbox.height);
    if (span.status === "hibernated") drawAsleep(plot, left, width, (span.to - span.from) * 1000, colours, said);
  }
  ctx.restore();
}

function drawAsleep(plot: UPlot, left: number, width: number, ms: number, colours: Colours, said: Drawn["said"]): void {
  const { ctx, bbox } = plot;
  const size = 11 * devicePixelRatio;
  ctx.font = `560 ${size}px Figtree Variable, sans-serif`;
  ctx.fillStyle = colours["sleep-fg"];
  ctx.textAlign = "center";
  const lines = [said.asleep(ms), said.notSpent(ms)].filter((line) => line !== null);
  const widest = Math.max(...lines.map((line) => ctx.measureText(line).width));
  if (widest > width - 12 * devicePixelRatio) return;
  lines.forEach((line, i) => {
    ctx.font = `${i === 0 ? 560 : 450} ${size}px Figtree Variable, sans-serif`;
    ctx.fillText(line, left + width / 2, bbox.top + bbox.height / 2 + i * 1.5 * size);
  });
}

/** Not spent. */
function hatch(ctx: CanvasRenderingContext2D, colour: string): CanvasPattern | string {
  const size = Math.round(6 * devicePixelRatio);
  const tile = document.createElement("canvas");
  tile.width = size;
  tile.height = size;
  const pen = tile.getContext("2d")!;
  pen.fillStyle = translucent(colour, 0.1);
  pen.fillRect(0, 0, size, size);
  pen.strokeStyle = translucent(colour, 0.3);
  pen.lineWidth = 1.2 * devicePixelRatio;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return ctx.createPattern(tile, "repeat") ?? translucent(colour, 0.16);
}

function drawThreshold(plot: UPlot, threshold: number, colours: Colours, words: string): void {
  const { ctx, bbox } = plot;
  const y = plot.valToPos(threshold, "y", true);
  const px = devicePixelRatio;
  ctx.save();
  ctx.strokeStyle = colours["ink-2"];
  ctx.lineWidth = px;
  ctx.setLineDash([4 * px, 3 * px]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.font = `450 ${11 * px}px Figtree Variable, sans-serif`;
  ctx.textAlign = "right";
  const x = bbox.left + bbox.width - 4 * px;
  const wide = ctx.measureText(words).width;
  ctx.fillStyle = translucent(colours.surface, 0.8);
  ctx.fillRect(x - wide - 3 * px, y - 16 * px, wide + 6 * px, 14 * px);
  ctx.fillStyle = colours["ink-2"];
  ctx.fillText(words, x, y - 5 * px);
  ctx.restore();
}
