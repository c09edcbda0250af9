/**
 * The series of an instance in its object. New samples wait as they came until the next save of the state, which writes
 * them and their number in one transaction: what an eviction takes along the agent repeats, and nothing is counted twice.
 * So a heartbeat neither reads nor writes the series.
 */
import { type StatusWord, statusWord } from "../../core/lifecycle/abilities.ts";
import type { Sample } from "../../core/lifecycle/idle.ts";
import { dayMs, type Peak, Series } from "../../core/lifecycle/series.ts";
import type { State } from "../../core/lifecycle/types.ts";
import type { SeriesAnswer, SeriesSpan } from "../../core/protocol/live.ts";
import type { PhaseRow, SeriesEntries, SeriesRows } from "./series-rows.ts";

/** From here on what waits is added at once: a flood must not fill the memory. */
const mostWaiting = 4_000;
const mostMarks = 200;
const mostPhases = 400;

/** At most 360 steps each. */
const spans: Record<SeriesSpan, { stepMs: number; count: number }> = {
  "1h": { stepMs: 10_000, count: 360 },
  "6h": { stepMs: 60_000, count: 360 },
  "24h": { stepMs: 300_000, count: 288 },
  "7d": { stepMs: 1_800_000, count: 336 },
  "90d": { stepMs: 21_600_000, count: 360 },
};

/** What a reader of a chart looks for. What repeats itself in ordinary use, as checkpoints do, is not among it. */
const marked: ReadonlySet<string> = new Set([
  "created",
  "adopted",
  "hibernate_requested",
  "hibernate_cancelled",
  "sleep_vetoed",
  "snapshot_proved",
  "snapshot_failed",
  "snapshot_damaged",
  "snapshot_replaced",
  "hibernated",
  "wake_requested",
  "wake_cancelled",
  "wake_failed",
  "woke_up",
  "rolled_back",
  "restore_failed",
  "keep_awake",
  "sleep_postponed",
  "schedule_due",
  "config_changed",
  "hook_failed",
  "machine_lost",
  "unreachable",
  "reachable",
  "discarded",
  "deleted",
  "failed",
]);

export class InstanceSeries {
  readonly #rows: SeriesRows;
  #waiting: Sample[] = [];
  #readings = 0;
  /** Once it was needed. */
  #series: Series | null = null;
  #isChanged = false;

  constructor(rows: SeriesRows) {
    this.#rows = rows;
  }

  /** What the ring has now and had not before. */
  note(before: readonly Sample[], after: readonly Sample[], now: number): void {
    if (after === before) return;
    const known = new Set(before);
    for (const sample of after) {
      if (known.has(sample)) continue;
      this.#waiting.push(sample);
      this.#readings += 1 + sample.gpus.length;
    }
    if (this.#readings > mostWaiting) this.#whole(now);
  }

  /** What the save that goes from one state to the other takes along; nothing where there is nothing. */
  take(before: State | undefined, after: State, now: number): { series?: SeriesEntries } {
    const phases = this.#phasesOf(before, after, now);
    if (this.#waiting.length === 0 && !this.#isChanged) {
      return phases.length > 0 ? { series: { bytes: null, days: [], phases } } : {};
    }
    const whole = this.#whole(now);
    return { series: { bytes: whole.toBytes(), days: whole.done(), phases } };
  }

  /** What was taken is written. Until then it is taken again: a save may fail. */
  written(): void {
    this.#isChanged = false;
    this.#series?.forgetDone();
  }

  #phasesOf(before: State | undefined, after: State, now: number): PhaseRow[] {
    const is = { at: now, status: statusWord(after) };
    if (!before) return [is];
    const was = { at: before.now.since, status: statusWord(before) };
    if (was.status === is.status) return [];
    // In an object of before nobody noted it: what it was until now began when that phase did.
    return was.at < now && !this.#rows.hasPhases() ? [was, is] : [is];
  }

  #whole(now: number): Series {
    this.#series ??= Series.fromBytes(this.#rows.newest());
    for (const sample of this.#waiting) this.#series.add(sample, now);
    if (this.#waiting.length > 0) this.#isChanged = true;
    this.#waiting = [];
    this.#readings = 0;
    return this.#series;
  }

  answer(state: State, span: SeriesSpan, now: number): SeriesAnswer {
    const { stepMs, count } = spans[span];
    const days = stepMs < 600_000 ? [] : this.#rows.days(now - count * stepMs - dayMs);
    const steps = this.#whole(now).read(now, stepMs, count, days);
    return {
      from: iso(steps.fromAt),
      to: iso(steps.toAt),
      step_seconds: stepMs / 1000,
      gpus: steps.gpus,
      memory: { used_mb: steps.usedMb, total_mb: steps.totalMb },
      phases: this.#phases(state, steps.fromAt, stepMs).map(({ at, status }) => ({ at: iso(at), status })),
      marks: this.#rows
        .marks(steps.fromAt, marked, mostMarks)
        .map(({ at, type, actor }) => ({ at: iso(at), event_type: type, actor })),
      threshold: state.config.gpu_usage_threshold,
    };
  }

  /** Of an object of before, the one that goes on is all that is known. */
  #phases(state: State, fromAt: number, stepMs: number): PhaseRow[] {
    const rows = this.#rows.phases(fromAt);
    if (rows.length === 0) return [{ at: state.now.since, status: statusWord(state) }];
    return withoutShort(rows, stepMs);
  }

  /** Percent: the highest of each of the last so many minutes, oldest first; null where nothing was measured. */
  lastMinutes(count: number, now: number): (number | null)[] {
    const { gpus } = this.#whole(now).read(now, 60_000, count, []);
    return Array.from({ length: count }, (_, i) => {
      const known = gpus.map((gpu) => gpu.max[i] ?? null).filter((value) => value !== null);
      return known.length === 0 ? null : Math.max(...known);
    });
  }

  /** The use of the busiest GPU between two moments. */
  peaks(fromAt: number, toAt: number): Peak[] {
    return this.#whole(toAt).peaks(fromAt, toAt, this.#rows.days(fromAt));
  }
}

/** Where there are too many, those go first that a chart of such steps would not show. */
function withoutShort(rows: PhaseRow[], stepMs: number): PhaseRow[] {
  let kept = rows;
  for (let leastMs = stepMs / 8; kept.length > mostPhases; leastMs *= 2) {
    const long = rows.filter((one, i) => i === rows.length - 1 || rows[i + 1]!.at - one.at >= leastMs);
    let last: StatusWord | null = null;
    kept = long.filter(({ status }) => {
      const isNew = status !== last;
      last = status;
      return isNew;
    });
  }
  return kept;
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
