/** What a wake of an instance would look for, told before anybody asks for one. */
import { avoidedHosts } from "./avoid.ts";
import type { Usual } from "./ladder.ts";
import type { MachineSpec, State } from "./types.ts";

export interface RentPlan {
  spec: MachineSpec;
  usual: Usual | null;
  /** Hosts that it would not take. */
  avoid: number[];
}

export function rentPlanOf(state: State, now: number): RentPlan {
  return { spec: state.spec, usual: state.usual ?? null, avoid: avoidedHosts(state, now) };
}
