/** Where everything of the chart stands, from its numbers and its width alone. */
import type { Bar } from "./bars.ts";

export interface Scale {
  /** The highest tick. */
  top: number;
  ticks: number[];
  step: number;
}

/** Three to five steps that are round; of all such scales the one that leaves the least room above the most. */
export function niceScale(most: number): Scale {
  if (!(most > 0)) return { top: 1, ticks: [0, 1], step: 1 };
  const power = 10 ** Math.floor(Math.log10(most / 3));
  const [best] = [0.1, 0.2, 0.25, 0.3, 0.5, 1, 2, 2.5, 3, 5, 10]
    .map((round) => ({ step: round * power, count: Math.ceil(most / (round * power) - 1e-9) }))
    .filter(({ count }) => count >= 3 && count <= 5)
    .sort((a, b) => a.step * a.count - b.step * b.count || a.count - b.count);
  const { step, count } = best!;
  return { top: count * step, ticks: Array.from({ length: count + 1 }, (_, i) => i * step), step };
}

/** Decimals that a tick needs: of 0.25 two, of 20 none. */
export function decimalsOf(step: number): number {
  for (let digits = 0; digits < 6; digits++) if (Math.abs(step - Number(step.toFixed(digits))) < 1e-9) return digits;
  return 6;
}

export interface Box {
  width: number;
  height: number;
  left: number;
  top: number;
  bottom: number;
}

export interface Shape {
  x: number;
  width: number;
  lamp: { y: number; height: number };
  store: { y: number; height: number } | null;
  hatch: { y: number; height: number } | null;
}

export interface Drawing {
  /** Of one day with the gap around it. */
  slot: number;
  shapes: Shape[];
  /** The dashed line of what 24/7 would cost. */
  line: string;
  yOf: (microUsd: number) => number;
}

const storeHeight = 2;

export function draw(bars: readonly Bar[], slots: number, { top: most }: Scale, box: Box): Drawing {
  const plot = box.width - box.left;
  const slot = plot / Math.max(1, slots);
  const gap = slot > 12 ? Math.min(8, slot * 0.22) : slot > 5 ? 1.5 : slot * 0.2;
  const base = box.height - box.bottom;
  const yOf = (microUsd: number) => base - (microUsd / 1_000_000 / most) * (base - box.top);
  const shapes = bars.map((bar, i): Shape => {
    const lampY = yOf(bar.machine);
    // A line that is thinner than two pixels would not be seen.
    const storeY = bar.storage > 0 ? Math.min(yOf(bar.machine + bar.storage), lampY - storeHeight) : lampY;
    const hatchY = yOf(bar.alwaysOn);
    return {
      x: box.left + i * slot + gap / 2,
      width: Math.max(0.5, slot - gap),
      lamp: { y: lampY, height: base - lampY },
      store: bar.storage > 0 ? { y: storeY, height: lampY - storeY } : null,
      hatch: bar.saved > 0 && hatchY < storeY ? { y: hatchY, height: storeY - hatchY } : null,
    };
  });
  const line = bars
    .map((bar, i) => {
      const [x, y] = [box.left + i * slot, yOf(bar.alwaysOn)].map((value) => Number(value.toFixed(1)));
      return `${i === 0 ? `M${x} ${y}` : `V${y}`}H${Number((box.left + (i + 1) * slot).toFixed(1))}`;
    })
    .join("");
  return { slot, shapes, line, yOf };
}

/** Every so many slots have a label, so that none touches the next. */
export function labelEvery(slot: number, labelWidth: number): number {
  const least = Math.ceil(labelWidth / Math.max(0.1, slot));
  return [1, 2, 3, 5, 7, 10, 14, 15, 30].find((every) => every >= least) ?? least;
}
