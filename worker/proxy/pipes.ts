/** Which pipe leads to a machine. */
import type { PipeKind } from "../../core/protocol/gate.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { Env } from "../env.ts";
import { tunnelSettings } from "../tunnel/settings.ts";
import { tunnelHostname } from "../tunnel/tunnels.ts";
import { directPipe } from "./direct-pipe.ts";
import type { Pipe } from "./pipe.ts";
import { relayPipe } from "./relay-pipe.ts";
import { tunnelPipe } from "./tunnel-pipe.ts";

/** How the gate of the machine that runs now is reached. Plain data: it travels between objects. */
export interface WayThere {
  instance: InstanceId;
  epoch: number;
  pipe: PipeKind;
  gatePort: number;
}

export function pipeOf(env: Env, { instance, epoch, pipe, gatePort }: WayThere): Pipe {
  switch (pipe) {
    case "direct":
      return directPipe(gatePort);
    case "relay":
      return relayPipe(env.RELAY.getByName(instance));
    case "tunnel": {
      const settings = tunnelSettings(env);
      if (!settings) return nowhere;
      const hostname = tunnelHostname({ instance, epoch }, settings.zone);
      return tunnelPipe({ hostname, edgeUrl: settings.edgeUrl, access: settings.access });
    }
  }
}

/** The deployment's settings were taken away. */
const nowhere: Pipe = {
  fetch: async () => ({ ok: false, code: "closed", message: "this deployment has no tunnels any more" }),
};

/** What this deployment uses: as it says, else what fits where it is. */
export function pipeKindOf(env: Env): PipeKind {
  if (env.PIPE === "direct" || env.PIPE === "relay" || env.PIPE === "tunnel") return env.PIPE;
  if (/^https?:\/\/(127\.|localhost|\[::1\])/.test(env.PUBLIC_URL)) return "direct";
  return tunnelSettings(env) ? "tunnel" : "relay";
}
