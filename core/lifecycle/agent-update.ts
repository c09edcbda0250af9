/** A new agent on the machine, and one that did not stay: told in the event log, and nothing else depends on it. */
import type { LifecycleEvent, Outcome } from "./events.ts";
import { agentActor, log, out } from "./machines.ts";
import type { State } from "./types.ts";

/** Null where the beat says nothing new of it. */
export function tellUpdate(state: State, { epoch, update }: Extract<LifecycleEvent, { type: "beat" }>): Outcome | null {
  if (!update || state.agentUpdate === update.id) return null;
  const { build, version, reason } = update;
  const params = { epoch, version, build: build.slice(0, 12), ...(reason !== null && { message: reason }) };
  const type = update.outcome === "updated" ? "agent_updated" : "agent_rolled_back";
  return out({ ...state, agentUpdate: update.id }, log(type, agentActor, params));
}
