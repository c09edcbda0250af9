/** The sensors of this machine. */
import { realpathSync } from "node:fs";
import type { Env } from "../identity.ts";
import { withoutSecrets } from "../monitor.ts";
import type { Sealer } from "../seal.ts";
import { createGpuMemorySensor } from "./gpu-memory.ts";
import { createJupyterSensor } from "./jupyter.ts";
import { createNetworkSensor } from "./network.ts";
import type { OwnTraffic } from "./own-traffic.ts";
import { createProcessSensor } from "./processes.ts";
import type { Sensor } from "./sensor.ts";
import { createTerminalSensor } from "./terminals.ts";

export interface SensorsOptions {
  workspace: string;
  env: Env;
  traffic: OwnTraffic;
  sealer: Pick<Sealer, "held">;
}

export function createSensors({ workspace, env, traffic, sealer }: SensorsOptions): Sensor[] {
  return [
    createProcessSensor({ workspace: realpathSync(workspace) }),
    createTerminalSensor(),
    createJupyterSensor({ env, isStill: () => sealer.held() > 0 }),
    createNetworkSensor({ ownBytes: traffic.bytes }),
    createGpuMemorySensor({ command: "nvidia-smi", env: withoutSecrets(env), timeoutMs: 6_000 }),
  ];
}
