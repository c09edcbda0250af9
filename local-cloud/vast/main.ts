/**
 * node local-cloud/vast/main.ts --port N --state DIR --api-key-file F [--boot-ms MS] [--faults RULES] [--network]
 *   [--clock] [--disk-bytes N] [--tunnel-edge HOST:PORT]
 *
 * Prints one JSON line on stdout when it answers. SIGTERM and SIGINT end every machine process and keep the contracts;
 * after a SIGKILL machines go on running and the next start with the same state finds them again.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readStat } from "./machines.ts";
import { startVastStandIn } from "./server.ts";

const USAGE = `usage: node local-cloud/vast/main.ts --port N --state DIR --api-key-file FILE [--boot-ms MS]
  --faults RULES    what goes wrong from the beginning, as JSON (else SONECA_VAST_FAULTS): [{"name": ...}, ...] or
                    {"seed": N, "rules": [...]}
  --network         machines reach this host through a switch that can be slowed and cut, and counts their traffic
  --clock           the clocks of machines can be set
  --disk-bytes N    machines have disks of their own, which can be filled; root only
  --tunnel-edge HOST:PORT   machines have a cloudflared that connects to the stand-in for Cloudflare there`;

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string" },
        state: { type: "string" },
        "api-key-file": { type: "string" },
        "boot-ms": { type: "string", default: "1500" },
        faults: { type: "string", default: process.env.SONECA_VAST_FAULTS },
        network: { type: "boolean", default: false },
        clock: { type: "boolean", default: false },
        "disk-bytes": { type: "string" },
        "tunnel-edge": { type: "string" },
      },
    });
    const [port, bootMs] = [Number(values.port), Number(values["boot-ms"])];
    const { state, "api-key-file": keyFile, faults, network, clock } = values;
    const diskBytes = values["disk-bytes"] === undefined ? undefined : Number(values["disk-bytes"]);
    if (!Number.isInteger(port) || port < 0 || port > 65_535 || !(bootMs >= 0) || !state || !keyFile) fail(USAGE);
    if (diskBytes !== undefined && !(Number.isSafeInteger(diskBytes) && diskBytes > 0)) fail(USAGE);
    const tunnelEdge = values["tunnel-edge"];
    const machines = { clock, ...(diskBytes !== undefined && { diskBytes }), ...(tunnelEdge && { tunnelEdge }) };
    const apiKey = readFileSync(keyFile, "utf8").trim();
    return { port, bootMs, stateDir: resolve(state), apiKey, faults, network, machines };
  } catch (error) {
    fail(`${(error as Error).message}\n${USAGE}`);
  }
}

/** Two stand-ins on one state would rent over each other. */
function lockState(stateDir: string): void {
  mkdirSync(stateDir, { recursive: true });
  const file = join(stateDir, "vast.pid");
  try {
    const [pid, startTime] = readFileSync(file, "utf8").split(" ").map(Number);
    const other = readStat(pid!);
    if (pid !== process.pid && other && other.state !== "Z" && other.startTime === startTime) {
      fail(`another stand-in (pid ${pid}) works on ${stateDir}`);
    }
  } catch {
    // No lock yet.
  }
  writeFileSync(file, `${process.pid} ${readStat(process.pid)?.startTime ?? 0}`);
}

const options = readOptions();
const { stateDir } = options;
lockState(stateDir);
const standIn = await startVastStandIn(options).catch((error: Error) => fail(error.message));

let ending = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, async () => {
    if (ending) return;
    ending = true;
    await standIn.close();
    process.exit(0);
  });
}
console.log(JSON.stringify({ event: "ready", url: standIn.url, port: standIn.port, pid: process.pid, stateDir }));
