import type { Machine, State } from "../../core/lifecycle/types.ts";

/** The machine that the state stands on, one on its way out included while the sleep waits for its end. */
export function machineOf(state: State): Machine | null {
  const phase = state.now;
  if (phase.status === "destroying")
    return state.retiring.find((one) => one.machine.epoch === phase.epoch)?.machine ?? null;
  return "machine" in phase ? phase.machine : null;
}
