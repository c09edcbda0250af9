/**
 * A bar a day: lamp is what machines cost, a thin line what the store cost, the hatch up to the dashed line what sleep kept. It is
 * drawn to the pixel, so it has as much room as the page gives, and is read by pointer or by the arrow keys.
 */
import { type KeyboardEvent, type PointerEvent, useId, useState } from "react";
import { useReader } from "../../i18n/context.tsx";
import { useWidth } from "../../ui/width.ts";
import { digitsFor, plain } from "./amounts.ts";
import type { Bar } from "./bars.ts";
import { type Box, type Drawing, decimalsOf, draw, labelEvery, niceScale, type Scale } from "./scale.ts";

interface Props {
  bars: readonly Bar[];
  slots: number;
  isPerWeek: boolean;
  isOpen: boolean;
}

export function Chart({ bars, slots, isPerWeek, isOpen }: Props) {
  const { t, f } = useReader();
  const words = t.savings.chart;
  const [ref, width] = useWidth<HTMLDivElement>();
  const [chosen, setChosen] = useState<number | null>(null);
  const at = chosen === null ? null : Math.min(chosen, bars.length - 1);
  const most = Math.max(0, ...bars.map((bar) => Math.max(bar.alwaysOn, bar.machine + bar.storage)));
  const scale = niceScale(most / 1_000_000);
  const digits = decimalsOf(scale.step);
  const widest = Math.max(...scale.ticks.map((tick) => f.number(tick, digits).length));
  const box: Box = { width, height: width < 480 ? 220 : 292, left: 14 + widest * 6.5, top: 12, bottom: 26 };
  const drawing = draw(bars, slots, scale, box);
  const sentence = useSentence(isPerWeek);
  const shown = bars[at ?? bars.length - 1]!;
  return (
    <div className="body">
      <Readout bar={at === null ? null : shown} isPerWeek={isPerWeek} />
      <div
        ref={ref}
        className="chart-box"
        role="slider"
        tabIndex={0}
        aria-label={isPerWeek ? words.sliderWeek : words.slider}
        aria-valuemin={1}
        aria-valuemax={bars.length}
        aria-valuenow={(at ?? bars.length - 1) + 1}
        aria-valuetext={sentence(shown)}
        style={{ height: box.height }}
        onKeyDown={(event) => {
          const next = afterKey(event, at ?? bars.length, bars.length);
          if (next !== null) setChosen(next);
        }}
        onFocus={(event) => event.currentTarget.matches(":focus-visible") && setChosen(at ?? bars.length - 1)}
        onBlur={() => setChosen(null)}
        onPointerDown={(event) => setChosen(barAt(event, box, drawing.slot, bars.length))}
        onPointerMove={(event) =>
          event.pointerType === "mouse" && setChosen(barAt(event, box, drawing.slot, bars.length))
        }
        onPointerLeave={(event) => event.pointerType === "mouse" && setChosen(null)}
      >
        {width > 0 && (
          <svg
            className="chart"
            viewBox={`0 0 ${width} ${box.height}`}
            width={width}
            height={box.height}
            aria-hidden="true"
          >
            <Grid scale={scale} box={box} drawing={drawing} digits={digits} />
            <Bars drawing={drawing} box={box} slots={slots} at={at} />
            <Dates bars={bars} box={box} slot={drawing.slot} isPerWeek={isPerWeek} isOpen={isOpen} />
          </svg>
        )}
      </div>
    </div>
  );
}

/** One step, a week, or the whole way; null where the key is another's. */
function afterKey(event: KeyboardEvent, at: number, count: number): number | null {
  const moves: Record<string, number> = {
    ArrowLeft: at - 1,
    ArrowDown: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at + 1,
    PageDown: at - 7,
    PageUp: at + 7,
    Home: 0,
    End: count - 1,
  };
  const next = moves[event.key];
  if (next === undefined) return null;
  event.preventDefault();
  return Math.min(count - 1, Math.max(0, next));
}

function barAt(event: PointerEvent, { left }: Box, slot: number, count: number): number | null {
  const x = event.clientX - event.currentTarget.getBoundingClientRect().left - left;
  const index = Math.floor(x / slot);
  return index >= 0 && index < count ? index : null;
}

function useSentence(isPerWeek: boolean) {
  const { t, f } = useReader();
  const words = t.savings.chart;
  return (bar: Bar) =>
    words.value(
      isPerWeek ? words.weekOf(f.dayMonth(bar.from)) : f.day(bar.from),
      f.money(bar.machine, true),
      f.money(bar.storage, true),
      (bar.saved < 0 ? words.lostWord : words.savedWord)(f.money(Math.abs(bar.saved), true)),
      f.money(bar.alwaysOn, true),
    );
}

/** The numbers of one day. It has its place when there is none, so that nothing moves. */
function Readout({ bar, isPerWeek }: { bar: Bar | null; isPerWeek: boolean }) {
  const { t, f } = useReader();
  const words = t.savings.chart;
  if (!bar) return <p className="readout muted">{isPerWeek ? words.hintWeek : words.hint}</p>;
  const digits = digitsFor([bar.alwaysOn, bar.machine]);
  const amount = (microUsd: number) => plain(f, microUsd / 1_000_000, digits);
  return (
    <p className="readout" aria-hidden="true">
      <b>{isPerWeek ? words.weekOf(f.dayMonth(bar.from)) : f.day(bar.from)}</b>
      <span>
        {words.machines} <b>{amount(bar.machine)}</b>
      </span>
      <span>
        {words.storage} <b>{amount(bar.storage)}</b>
      </span>
      <span>
        {bar.saved < 0 ? words.lost : words.saved}{" "}
        <b className={bar.saved < 0 ? "bad-t" : "night-t"}>{amount(Math.abs(bar.saved))}</b>
      </span>
      <span>
        {words.alwaysOn} <b>{amount(bar.alwaysOn)}</b>
      </span>
    </p>
  );
}

function Grid({ scale, box, drawing, digits }: { scale: Scale; box: Box; drawing: Drawing; digits: number }) {
  const { f } = useReader();
  return scale.ticks.map((tick) => {
    const y = Math.round(drawing.yOf(tick * 1_000_000)) + 0.5;
    return (
      <g key={tick}>
        <path d={`M${box.left} ${y}H${box.width}`} stroke="var(--line-soft)" />
        <text x={box.left - 8} y={y + 4} textAnchor="end">
          {f.number(tick, digits)}
        </text>
      </g>
    );
  });
}

function Bars({ drawing, box, slots, at }: { drawing: Drawing; box: Box; slots: number; at: number | null }) {
  const id = useId();
  const { shapes, slot, line } = drawing;
  const base = box.height - box.bottom;
  return (
    <>
      <defs>
        <pattern id={id} width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect width="5" height="5" fill="var(--night)" opacity=".16" />
          <rect width="1.2" height="5" fill="var(--night)" opacity=".3" />
        </pattern>
      </defs>
      {at !== null && (
        <rect
          x={box.left + at * slot}
          y={box.top}
          width={slot}
          height={base - box.top}
          fill="var(--night)"
          opacity=".1"
        />
      )}
      {shapes.map(({ x, width, lamp, store, hatch }) => {
        const rx = Math.min(3, width / 4);
        return (
          <g key={x}>
            {hatch && <rect x={x} y={hatch.y} width={width} height={hatch.height} rx={rx} fill={`url(#${id})`} />}
            {lamp.height > 0 && <rect x={x} y={lamp.y} width={width} height={lamp.height} rx={rx} fill="var(--lamp)" />}
            {store && <rect x={x} y={store.y} width={width} height={store.height} fill="var(--sleep)" />}
            {!hatch && !store && lamp.height === 0 && (
              <rect x={x} y={base - 2} width={width} height={2} fill="var(--line)" />
            )}
          </g>
        );
      })}
      {Array.from({ length: Math.max(0, slots - shapes.length) }, (_, i) => {
        const x = box.left + (shapes.length + i) * slot + slot * 0.12;
        return <rect key={x} x={x} y={base - 2} width={slot * 0.76} height={2} fill="var(--line)" />;
      })}
      <path d={line} fill="none" stroke="var(--ink)" strokeWidth="1.6" strokeDasharray="6 4" />
    </>
  );
}

interface DatesProps {
  bars: readonly Bar[];
  box: Box;
  slot: number;
  isPerWeek: boolean;
  isOpen: boolean;
}

/** As many as have room; within one month the day alone. */
function Dates({ bars, box, slot, isPerWeek, isOpen }: DatesProps) {
  const { t, f } = useReader();
  const isOneMonth = bars.length > 10 && bars.every((bar) => bar.date.slice(0, 7) === bars[0]!.date.slice(0, 7));
  const room = isOneMonth ? 26 : 58;
  const every = labelEvery(slot, room);
  const last = bars.length - 1;
  const hasToday = isOpen && !isPerWeek;
  const xOf = (i: number) => box.left + (i + 0.5) * slot;
  // Words at the right edge would leave the picture.
  const fits = (i: number) => (hasToday && i === last ? true : xOf(i) + room / 2 - 6 <= box.width);
  return bars.map((bar, i) => {
    const isToday = hasToday && i === last;
    const isShown = isToday || (i % every === 0 && fits(i) && !(hasToday && (last - i) * slot < room));
    if (!isShown) return null;
    const isAtEdge = isToday && xOf(i) + 20 > box.width;
    return (
      <text
        key={bar.date}
        className={isToday ? "today" : undefined}
        x={isAtEdge ? box.width : xOf(i)}
        y={box.height - 8}
        textAnchor={isAtEdge ? "end" : "middle"}
      >
        {isToday ? t.savings.chart.today : isOneMonth ? f.number(Number(bar.date.slice(8))) : f.dayMonth(bar.from)}
      </text>
    );
  });
}
