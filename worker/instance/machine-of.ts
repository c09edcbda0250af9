import { machineWith } from "../../core/lifecycle/attempts.ts";
import { currentMachine } from "../../core/lifecycle/machines.ts";
import type { Machine, State } from "../../core/lifecycle/types.ts";

/** The machine that the state stands on, one on its way out included while the sleep waits for its end. */
export function machineOf(state: State): Machine | null {
  return state.now.status === "destroying" ? machineWith(state, state.now.epoch) : currentMachine(state);
}
