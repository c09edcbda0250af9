/** The agent's socket on its way to the relay's object. */

import type { InstanceId } from "../../core/protocol/ids.ts";
import { relayEpochHeader } from "../../core/protocol/relay.ts";
import type { AppContext } from "../http/context.ts";

/** `agent`: whose token and epoch were checked. */
export function relayUpgrade(c: AppContext, agent: { instance: InstanceId; epoch: number }): Promise<Response> {
  const request = new Request(c.req.raw);
  request.headers.set(relayEpochHeader, String(agent.epoch));
  // The object has no use for it.
  request.headers.delete("authorization");
  return c.env.RELAY.getByName(agent.instance).fetch(request);
}
