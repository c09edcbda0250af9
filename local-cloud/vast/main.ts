/**
 * node local-cloud/vast/main.ts --port N --state DIR --api-key-file F [--boot-ms MS]
 *
 * Prints one JSON line on stdout when it answers. SIGTERM and SIGINT end every machine process and keep the contracts;
 * after a SIGKILL machines go on running and the next start with the same state finds them again.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readStat } from "./machines.ts";
import { startVastStandIn } from "./server.ts";

const USAGE = "usage: node local-cloud/vast/main.ts --port N --state DIR --api-key-file FILE [--boot-ms MS]";

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
      },
    });
    const [port, bootMs] = [Number(values.port), Number(values["boot-ms"])];
    const { state, "api-key-file": keyFile } = values;
    if (!Number.isInteger(port) || port < 0 || port > 65_535 || !(bootMs >= 0) || !state || !keyFile) fail(USAGE);
    return { port, bootMs, stateDir: resolve(state), apiKey: readFileSync(keyFile, "utf8").trim() };
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

const { port, bootMs, stateDir, apiKey } = readOptions();
lockState(stateDir);
const standIn = await startVastStandIn({ port, stateDir, apiKey, bootMs }).catch((error: Error) => fail(error.message));

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
