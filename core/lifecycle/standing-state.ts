import type { Actor } from "./types.ts";

/** A sleep that a person asked for and that did not come off: it stands, and is tried again. See standing.ts. */
export interface StandingSleep {
  actor: Actor;
  force?: boolean;
  ends?: true;
  /** When it was asked for. */
  since: number;
  tries: number;
  /** When it is tried again. */
  at: number;
  /** Why the last try ended. */
  code: string;
  message: string;
}
