/** What the API shows of an instance's services: their address, and how they are reached now. */
import type { State } from "../../core/lifecycle/types.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { Env } from "../env.ts";
import type { InstanceGate } from "./gate.ts";
import { machineOf } from "./machine-of.ts";

export function proxyView(env: Env, state: State, gate: InstanceGate): InstanceView["proxy"] {
  const epoch = machineOf(state)?.epoch ?? null;
  const way = epoch === null ? null : gate.way(epoch);
  const isServing = state.now.status === "running" || state.now.status === "snapshotting";
  return {
    url: serviceUrl(env, state.instance),
    pipe: way?.pipe ?? null,
    is_open: isServing && epoch !== null && gate.openWay(epoch) !== null,
    trouble: way && gate.trouble(),
  };
}

function serviceUrl({ PROXY_ZONE, PUBLIC_URL }: Env, instance: InstanceId): string {
  return PROXY_ZONE ? `https://${instance}.${PROXY_ZONE}/` : `${PUBLIC_URL}/p/${instance}/`;
}
