/** A destroy or a stop without effect, refused or accepted and not carried out: when a line is written of it. */
import type { Context, Effect } from "./events.ts";
import { log, providerActor } from "./machines.ts";
import type { Machine } from "./types.ts";

/** Before this try. */
interface Tried {
  machine: Machine;
  tries: number;
  acceptedAt: number | null;
  isTold?: true;
}

/** What is accepted takes some seconds, and now and then a minute or two. */
const patientTries = 6;

/** The first time, and then at each tenth try, which says that it is told `again`. */
export function noteStuck(
  type: "destroy_failed" | "stop_failed",
  one: Tried,
  { accepted, message }: { accepted: boolean; message: string | null },
  ctx: Context,
): Effect[] {
  const tries = one.tries + 1;
  const isOverdue =
    one.acceptedAt !== null && tries >= patientTries && ctx.now - one.acceptedAt >= 2 * ctx.timings.endMaxEveryMs;
  if (accepted && !isOverdue) return [];
  if (one.isTold && tries % 10 !== 0) return [];
  const said = accepted ? "accepted, and still there" : message;
  const params = { epoch: one.machine.epoch, message: said, tries, ...(one.isTold && { again: true }) };
  return [log(type, providerActor, params)];
}
