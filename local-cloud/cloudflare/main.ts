/**
 * node local-cloud/cloudflare/main.ts --port N --connector-port N --token-file F --zone DOMAIN [--state FILE]
 *   [--account ID] [--zone-id ID]
 *
 * Prints one JSON line on stdout when it answers. With --state tunnels and records outlive it, also after a SIGKILL.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { createTunnelServer } from "./server.ts";

const USAGE =
  "usage: node local-cloud/cloudflare/main.ts --port N --connector-port N --token-file FILE --zone DOMAIN [--state FILE] [--account ID] [--zone-id ID]";

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string", default: "0" },
        "connector-port": { type: "string", default: "0" },
        "token-file": { type: "string" },
        zone: { type: "string" },
        "zone-id": { type: "string" },
        account: { type: "string" },
        state: { type: "string" },
      },
    });
    const [port, connectorPort] = [Number(values.port), Number(values["connector-port"])];
    const isPort = (number: number) => Number.isInteger(number) && number >= 0 && number <= 65_535;
    if (!isPort(port) || !isPort(connectorPort) || !values["token-file"] || !values.zone) fail(USAGE);
    return {
      port,
      connectorPort,
      apiToken: readFileSync(values["token-file"], "utf8").trim(),
      zone: values.zone,
      zoneId: values["zone-id"],
      accountId: values.account,
      stateFile: values.state === undefined ? null : resolve(values.state),
    };
  } catch (error) {
    fail(`${(error as Error).message}\n${USAGE}`);
  }
}

const server = await createTunnelServer(readOptions()).catch((error: Error) => fail(error.message));
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => void server.close().then(() => process.exit(0)));
}
const { apiUrl, edgeUrl, connectorAddress, accountId, zoneId, zone } = server;
console.log(
  JSON.stringify({ event: "ready", apiUrl, edgeUrl, connectorAddress, accountId, zoneId, zone, pid: process.pid }),
);
