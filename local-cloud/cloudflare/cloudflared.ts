/**
 * A cloudflared for the stand-in: it takes the real one's arguments, registers with its token at the edge that
 * SONECA_FAKE_EDGE names, and carries raw connections to the ingress' service, so that whatever HTTP/1.1 can do passes.
 *
 *   cloudflared tunnel --no-autoupdate --metrics ADDRESS --protocol quic|http2 run --token-file FILE
 *
 * SONECA_FAKE_CLOUDFLARED_FAULTS, separated by commas:
 *   drop_upgrade  over quic the Upgrade header is lost (cloudflared#1652)
 *   block_quic    over quic there is no connection, as on a host that lets no UDP out
 *   ignore_term   SIGTERM does not end it
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { Transform } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type FromConnector, type FromEdge, joinSockets, onLines, writeLine } from "./lines.ts";
import type { Rule } from "./state.ts";

const VERSION = "cloudflared version 2026.10.0 (stand-in)";
const GRACE_MS = 30_000;
const HEAD_BYTES = 64 * 1024;

const faults = (process.env.SONECA_FAKE_CLOUDFLARED_FAULTS ?? "").split(",");
const carrying = new Set<Socket>();
let ingress: Rule[] = [];
let control: Socket | null = null;
let isEnding = false;

function log(level: "INF" | "WRN" | "ERR", text: string): void {
  process.stderr.write(`${new Date().toISOString().slice(0, 19)}Z ${level} ${text}\n`);
}

function fail(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      "no-autoupdate": { type: "boolean" },
      metrics: { type: "string" },
      protocol: { type: "string", default: "quic" },
      "token-file": { type: "string" },
      version: { type: "boolean" },
    },
  });
  if (values.version) {
    console.log(VERSION);
    process.exit(0);
  }
  if (positionals.join(" ") !== "tunnel run") fail(`this stand-in knows "tunnel run" only`);
  if (!["quic", "http2"].includes(values.protocol)) fail(`protocol ${values.protocol} is unknown`);
  const edge = /^(.+):(\d+)$/.exec(process.env.SONECA_FAKE_EDGE ?? "");
  if (!edge) fail("SONECA_FAKE_EDGE must be HOST:PORT");
  if (!values["token-file"]) fail("Provided Tunnel token is not valid.");
  const token = readFileSync(values["token-file"], "utf8").trim();
  return { token, protocol: values.protocol, host: edge[1]!, port: Number(edge[2]) };
}

const { token, protocol, host, port } = readOptions();
const isQuic = protocol === "quic";

/** One control connection, from its begin to its end. */
async function serve(): Promise<void> {
  const socket = connect({ host, port, noDelay: true });
  control = socket;
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.on("error", (error) => log("ERR", `Failed to dial to edge error="${error.message}" connIndex=0 event=0`));
  socket.on("connect", () => writeLine(socket, { kind: "register", token, protocol }));
  onLines<FromEdge>(socket, (line) => {
    if (line.kind === "refused") {
      log("ERR", `Register tunnel error from server side error="${line.message}" connIndex=0 event=0 ip=${host}`);
      process.exit(1);
    }
    if (line.kind === "registered") {
      ingress = line.ingress;
      const { connection } = line;
      log(
        "INF",
        `Registered tunnel connection connIndex=0 connection=${connection} event=0 ip=${host} location=loc01 protocol=${protocol}`,
      );
    }
    if (line.kind === "configure") {
      ingress = line.ingress;
      log("INF", `Updated to new configuration config=${JSON.stringify(JSON.stringify({ ingress }))} version=1`);
    }
    if (line.kind === "open") open(socket, line);
  });
  await closed;
}

function open(edge: Socket, { id, hostname }: { id: string; hostname: string }): void {
  const rule = ingress.find((one) => one.hostname === undefined || one.hostname === hostname);
  const status = /^http_status:(\d+)$/.exec(rule?.service ?? "http_status:503")?.[1];
  if (status) {
    writeLine(edge, { kind: "failed", id, status: Number(status) });
    return;
  }
  const url = new URL(rule!.service);
  const service = connect({ host: url.hostname, port: Number(url.port), allowHalfOpen: true });
  service.once("error", (error) => {
    log(
      "ERR",
      `Request failed error="Unable to reach the origin service: ${error.message}" connIndex=0 originService=${rule!.service}`,
    );
    writeLine(edge, { kind: "failed", id, status: 502 });
  });
  service.once("connect", () => {
    const caller = connect({ host, port, allowHalfOpen: true });
    carrying.add(caller);
    caller.on("close", () => carrying.delete(caller));
    writeLine(caller, { kind: "carry", id } satisfies FromConnector);
    joinSockets(caller, service);
    if (isQuic && faults.includes("drop_upgrade")) {
      caller.unpipe(service);
      caller.pipe(dropUpgrade()).pipe(service);
    }
  });
}

/** Each connection carries one request, so its head is all that has to be looked at. */
function dropUpgrade(): Transform {
  let head: Buffer | null = Buffer.alloc(0);
  return new Transform({
    transform(chunk: Buffer, _, done) {
      if (head === null) return done(null, chunk);
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0 && head.length < HEAD_BYTES) return done();
      const text = head.subarray(0, Math.max(end, 0)).toString("latin1");
      const lines = text.split("\r\n").filter((line) => !/^upgrade:|^connection:\s*upgrade/i.test(line));
      const changed = Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), head.subarray(Math.max(end, 0))]);
      head = null;
      done(null, changed);
    },
  });
}

async function end(): Promise<void> {
  if (isEnding) process.exit(0);
  isEnding = true;
  log("INF", "Initiating graceful shutdown due to signal terminated ...");
  control?.end();
  const until = Date.now() + GRACE_MS;
  while (carrying.size > 0 && Date.now() < until) await sleep(20);
  log("INF", "Tunnel server stopped");
  process.exit(0);
}

process.on("SIGTERM", () => {
  if (!faults.includes("ignore_term")) void end();
});
process.on("SIGINT", () => void end());

log("INF", `Starting tunnel tunnelID=${JSON.parse(Buffer.from(token, "base64").toString("utf8")).t}`);
log("INF", `Initial protocol ${protocol}`);
while (!isEnding) {
  if (isQuic && faults.includes("block_quic")) {
    log(
      "ERR",
      `Failed to dial a quic connection error="timeout: no recent network activity" connIndex=0 event=0 ip=${host}`,
    );
    await sleep(200);
    continue;
  }
  await serve();
  if (isEnding) break;
  log("WRN", `Connection terminated error="connection with edge closed" connIndex=0`);
  log("INF", "Retrying connection in up to 1s connIndex=0 event=0");
  await sleep(50 + Math.random() * 150);
}
