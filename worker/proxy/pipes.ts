/** Which pipe leads to a machine. */
import type { PipeKind } from "../../core/protocol/gate.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { Env } from "../env.ts";
import { directPipe } from "./direct-pipe.ts";
import type { Pipe } from "./pipe.ts";

/** How the gate of the machine that runs now is reached. Plain data: it travels between objects. */
export interface WayThere {
  instance: InstanceId;
  epoch: number;
  pipe: PipeKind;
  gatePort: number;
}

export function pipeOf(_env: Env, way: WayThere): Pipe {
  return directPipe(way.gatePort);
}

/** What this deployment uses: as it says, else what fits where it is. */
export function pipeKindOf(env: Pick<Env, "PIPE" | "PUBLIC_URL">): PipeKind {
  if (env.PIPE === "direct" || env.PIPE === "relay" || env.PIPE === "tunnel") return env.PIPE;
  return /^https?:\/\/(127\.|localhost|\[::1\])/.test(env.PUBLIC_URL) ? "direct" : "relay";
}
