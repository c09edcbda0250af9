import type { SnapshotRef } from "../protocol/wire.ts";
import type { Machine } from "./types.ts";

/** A machine that is stopped and kept while its instance sleeps (pause mode `stop`); see parked.ts. */
export interface Parked {
  machine: Machine;
  /** When the provider accepted the stop; null while it did not. */
  acceptedAt: number | null;
  /** When the provider first said that it stands still; null until then. */
  stoppedAt: number | null;
  /** Seen to run although it stood still: a second look decides. */
  runsAt?: number;
  tries: number;
  /** That it does not stop stands in the log. */
  isTold?: true;
  /** When it is stopped again, or, once it stands still, looked at. */
  nextAt: number;
}

/** On the machine itself from the stop until an agent on it is let in again. */
export interface Rest {
  since: number;
  /** With what its workspace was sealed when it was stopped; null where it may hold what no snapshot has. */
  proof: SnapshotRef | null;
  /** Its host was away when it was last seen: it may run by itself once the host is back. */
  isLost?: true;
  /** Not Soneca stopped it: it is not started, and not ended, by the clock. */
  isOthers?: true;
}
