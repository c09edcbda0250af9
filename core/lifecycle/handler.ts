/** The shape of the transition table's cells. */

import type { Context, EventType, LifecycleEvent, Outcome } from "./events.ts";
import type { Phase, State, Status } from "./types.ts";

export type PhaseOf<S extends Status> = Extract<Phase, { status: S }>;
export type EventOf<E extends EventType> = Extract<LifecycleEvent, { type: E }>;

export type Handler<S extends Status, E extends EventType> = (
  state: State,
  phase: PhaseOf<S>,
  event: EventOf<E>,
  ctx: Context,
) => Outcome;

/** What is decided around the table: in awake.ts, and what concerns the store alone, in snapshots.ts, salvage.ts and copying.ts, or a machine that is stopped, in parked.ts. */
export type BesideEvent =
  | "keepAwake"
  | "rename"
  | "letSleep"
  | "stopTried"
  | "started"
  | "startFailed"
  | "salvaged"
  | "hold"
  | "copied"
  | "copyFailed"
  | "collected"
  | "collectFailed";

/** One row of the table: total by its type. */
export type Row<S extends Status> = { [E in Exclude<EventType, BesideEvent>]: Handler<S, E> };

/** The event means nothing here and changes nothing. */
export const ignore = (state: State): Outcome => ({ state, effects: [] });

/** What the provider, or a call to it, says of one machine. */
export type MachineEvent = EventOf<
  | "rented"
  | "rentFailed"
  | "rentUnknown"
  | "notFound"
  | "seen"
  | "gone"
  | "endTried"
  | "lookFailed"
  | "stopTried"
  | "started"
  | "startFailed"
>;
