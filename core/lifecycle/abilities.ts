/** Status -> word, and what may be asked of an instance. One table: the API enforces it, the clients show it. */
import type { Timings } from "./timings.ts";
import type { State } from "./types.ts";

/** The plan's words, and three of our own for what the plan leaves open. */
export type StatusWord =
  | "running"
  | "idle"
  | "hibernating"
  | "hibernated"
  | "waking"
  | "deleted"
  | "unreachable"
  | "failed";

export const statusWords = [
  "running",
  "idle",
  "hibernating",
  "hibernated",
  "waking",
  "deleted",
  "unreachable",
  "failed",
] as const satisfies readonly StatusWord[];

export type Action = "wake" | "hibernate" | "keep_awake" | "not_now" | "configure" | "discard";

export function statusWord(state: State): StatusWord {
  const phase = state.now;
  switch (phase.status) {
    case "running":
      return phase.idleSince === null ? "running" : "idle";
    case "snapshotting":
    case "destroying":
      return "hibernating";
    case "provisioning":
    case "restoring":
      return "waking";
    default:
      return phase.status;
  }
}

/** I9: no state is without at least one action. */
export function actionsFor(state: State): Action[] {
  const phase = state.now;
  switch (phase.status) {
    case "running":
      // A sleep that was asked for and is tried again can be called off.
      return [
        ...(state.standing ? (["wake"] as const) : []),
        "hibernate",
        "keep_awake",
        "not_now",
        "configure",
        "discard",
      ];
    case "snapshotting":
      return ["wake", "keep_awake", "not_now", "configure", "discard"];
    case "destroying":
      return ["wake", "configure"];
    case "hibernated":
    case "deleted":
      return [
        "wake",
        // A wake that is tried again later, or waits for a copy, can be called off.
        ...(state.retry || state.copying?.wake ? (["hibernate"] as const) : []),
        "configure",
        // The machine that stands still.
        ...(state.parked ? (["discard"] as const) : []),
      ];
    case "provisioning":
      // An adopted machine that waits for its agent cannot be put to sleep yet: there is nobody to take the snapshot.
      return phase.machine.holdsWork && !phase.machine.rest
        ? ["keep_awake", "configure", "discard"]
        : ["hibernate", "keep_awake", "configure", "discard"];
    case "restoring":
      return ["hibernate", "keep_awake", "configure"];
    case "unreachable":
      return ["wake", "keep_awake", "configure", "discard"];
    case "failed":
      return ["wake", "configure", "discard"];
  }
}

export type WakeVerdict =
  /** Awake already. */
  | { kind: "awake" }
  /** Joins the wake that is under way, or calls a sleep off. */
  | { kind: "join" }
  | { kind: "start" }
  /** At most one new wake per minute and instance. */
  | { kind: "limited"; retryAfterMs: number };

export function judgeWake(state: State, now: number, timings: Timings): WakeVerdict {
  switch (state.now.status) {
    case "running":
      return { kind: "awake" };
    case "hibernated":
      // It waits for what there is to wake: nothing is rented by asking.
      if (state.copying || state.now.damaged) return { kind: "join" };
      return limited(state, now, timings);
    case "deleted":
    case "failed":
      return limited(state, now, timings);
    default:
      return { kind: "join" };
  }
}

function limited(state: State, now: number, timings: Timings): WakeVerdict {
  const waitMs = state.lastWakeAt === null ? 0 : state.lastWakeAt + timings.wakeEveryMs - now;
  return waitMs > 0 ? { kind: "limited", retryAfterMs: waitMs } : { kind: "start" };
}
