/** What happens to an instance over time: its samples for charts, and what other settings would have done with them. */
import * as z from "zod";
import { autoHibernationPatchSchema } from "./config.ts";
import { route } from "./route.ts";
import { microUsd, statusSchema, time } from "./views.ts";

export const seriesSpans = ["1h", "6h", "24h", "7d", "90d"] as const;
export type SeriesSpan = (typeof seriesSpans)[number];

const seriesQuery = z.strictObject({ span: z.enum(seriesSpans).default("6h") });

/** One value for each step; null where no machine ran, or nothing was measured. */
const values = z.array(z.number().nullable());

export const seriesAnswer = z.object({
  from: time,
  /** The end of the last step. */
  to: time,
  step_seconds: z.number(),
  /** Percent: the highest of a step. */
  gpus: z.array(z.object({ index: z.number().int(), name: z.string().nullable(), max: values, mean: values })),
  /** MB of all GPUs together: the most of a step. */
  memory: z.object({ used_mb: values, total_mb: z.number().nullable() }),
  /** Ascending; each lasts until the next. The first may have begun before `from`. */
  phases: z.array(z.object({ at: time, status: statusSchema })),
  /** Turning points within the span, oldest first. */
  marks: z.array(z.object({ at: time, event_type: z.string(), actor: z.string() })),
  /** Percent, as set now. */
  threshold: z.number(),
});
export type SeriesAnswer = z.infer<typeof seriesAnswer>;

const previewBody = z.strictObject({
  auto_hibernation: autoHibernationPatchSchema.optional(),
});

const replaySchema = z.object({
  sleeps: z.number().int(),
  paid_micro_usd: microUsd,
  /** Against leaving the machine on through the same time; below zero: lost. */
  saved_micro_usd: z.number().int(),
  asleep_seconds: z.number(),
  /** Waited for wakes. */
  waited_seconds: z.number(),
  /** When the machine would have been gone, ascending. */
  asleep: z.array(z.object({ from: time, to: time })),
});

export const previewAnswer = z.object({
  /**
   * How the samples of the last days would have been slept through; null with less than a day of them, or where a price, a
   * size or a time is not known yet. Of GPUs alone: what other signals said is not kept, so they are not replayed.
   */
  replay: z
    .object({
      from: time,
      to: time,
      /** Without samples within the span: nothing was running. */
      unknown_seconds: z.number(),
      micro_usd_per_hour: microUsd,
      as_is: replaySchema,
      as_set: replaySchema,
      /** When a GPU was in use, ascending. */
      busy: z.array(z.object({ from: time, to: time })),
    })
    .nullable(),
  /** What the clock would do; null without a schedule that acts. */
  schedule: z
    .object({
      next: z.array(z.object({ what: z.enum(["wake", "sleep"]), at: time, local: z.string() })),
      /** Days within the next year on which the zone's clock is set while a window is open. */
      clock_changes: z.array(z.object({ date: z.iso.date(), shift_minutes: z.number().int() })),
    })
    .nullable(),
});
export type PreviewAnswer = z.infer<typeof previewAnswer>;

export const liveRoutes = {
  getSeries: route({
    method: "GET",
    path: "/api/instances/:id/series",
    principal: "user",
    role: "viewer",
    summary: "Use of its GPUs over time, with its states and turning points",
    query: seriesQuery,
    status: 200,
    answer: seriesAnswer,
  }),
  previewConfig: route({
    method: "POST",
    path: "/api/instances/:id/preview",
    principal: "user",
    role: "viewer",
    summary: "What other settings would have done in the last days, and what the clock would do next; changes nothing",
    body: previewBody,
    isRead: true,
    status: 200,
    answer: previewAnswer,
  }),
} as const;

/** A WebSocket that tells of each change of one instance: `{ type: "instance", instance }`. Outside the table: no JSON answer. */
export const watchPath = "/api/instances/:id/watch";
