/**
 * npm start -- [--port N] [--state DIR] [--fresh] [--no-sample] [--json] [--pipe PIPE] [--faults RULES] [--network] [--clock]
 *
 * The local cloud until Ctrl-C. Programs that die are started again; what happens to the instances is printed.
 */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type PipeKind, pipeKinds } from "../core/protocol/gate.ts";
import type { EventView, InstanceView } from "../core/protocol/views.ts";
import { LocalCloud } from "./cloud.ts";
import { sleep } from "./processes.ts";
import { writeSampleService, writeSampleWorkspace } from "./sample.ts";
import { CloudError, freePort } from "./secrets.ts";
import { eventText } from "./tell.ts";
import type { LocalMachine } from "./vast/control.ts";

const usage = `usage: npm start -- [--port N] [--state DIR] [--fresh] [--no-sample] [--json] [--pipe PIPE]
                    [--faults RULES] [--network] [--clock] [--disk-bytes N]

  --port N       port of the worker (8787, or a free one)
  --state DIR    where all state lies (.soneca)
  --fresh        begin with nothing: empties the state first
  --no-sample    no sample machine
  --json         one JSON object a line: first {"event":"ready",...} when all is up
  --pipe PIPE    how services of machines are reached: direct, relay or tunnel (direct); docs/PROXY.md

  The stand-in for vast.ai (docs/LOCAL-CLOUD.md):
  --faults RULES    what goes wrong from the beginning, as JSON: [{"name":"list_fails","probability":0.1}]
  --network         machines reach the worker through a wire that can be slowed and cut
  --clock           the clocks of machines can be set
  --disk-bytes N    machines have disks of their own, which can be full; root only`;

interface Options {
  port?: number;
  state: string;
  fresh: boolean;
  sample: boolean;
  json: boolean;
  pipe: PipeKind;
  vastOptions: string[];
}

function readOptions(): Options {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string" },
        state: { type: "string" },
        fresh: { type: "boolean", default: false },
        "no-sample": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        pipe: { type: "string", default: "direct" },
        faults: { type: "string" },
        network: { type: "boolean", default: false },
        clock: { type: "boolean", default: false },
        "disk-bytes": { type: "string" },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const port = values.port === undefined ? undefined : Number(values.port);
    if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536))
      throw new Error("--port wants a number from 1 to 65535");
    const pipe = pipeKinds.find((kind) => kind === values.pipe);
    if (!pipe) throw new Error(`--pipe wants one of ${pipeKinds.join(", ")}`);
    const state = values.state ?? join(import.meta.dirname, "..", ".soneca");
    const { fresh, json, faults, network, clock } = values;
    const vastOptions = [
      ...(faults === undefined ? [] : ["--faults", faults]),
      ...(network ? ["--network"] : []),
      ...(clock ? ["--clock"] : []),
      ...(values["disk-bytes"] === undefined ? [] : ["--disk-bytes", values["disk-bytes"]]),
    ];
    return { port, state, fresh, sample: !values["no-sample"], json, pipe, vastOptions };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

const options = readOptions();
const say = (event: Record<string, unknown>, text: string) => console.log(options.json ? JSON.stringify(event) : text);
const note = (text: string) => {
  if (!options.json) console.log(text);
};

const nameOf = { vast: "stand-in", cloudflare: "stand-in for Cloudflare", worker: "worker" };
let cloud: LocalCloud | null = null;
let ending: Promise<void> | null = null;
/** A signal may come twice, from the terminal and from npm: both wait for the one end. */
async function end(code: number): Promise<never> {
  ending ??= (async () => {
    note("\nending: the machines stop, their state is kept");
    await cloud?.stop();
  })();
  await ending;
  process.exit(code);
}
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void end(0));

try {
  note("soneca: local cloud");
  cloud = await LocalCloud.prepare({
    stateDir: options.state,
    port: options.port,
    fresh: options.fresh,
    pipe: options.pipe,
    vastOptions: options.vastOptions,
    onStep: (step) => note(`  ${step}`),
  });
  if (ending) await end(0);
  await cloud.start();
} catch (error) {
  if (ending) await end(0);
  console.error(error instanceof CloudError ? `soneca: ${error.message}` : error);
  process.exit(1);
}

const { url, apiToken, vastUrl, vastApiKey } = cloud;
say(
  { event: "ready", url, apiToken, vastUrl, vastApiKey, adminToken: cloud.adminToken, stateDir: cloud.stateDir },
  `
  dashboard      ${url}   (open it: you are signed in)
  control plane  ${url}
  user token     ${apiToken}
  vast.ai        ${vastUrl}   (stand-in; key in ${join(cloud.stateDir, "vast-api-key")})

  Try, in another terminal:
    npm run soneca -- instance list
    npm run local -- list                        the machines that are "rented"
    npm run local -- gpu MACHINE busy            keep one awake; idle lets it go
    npm run soneca -- instance wake ID
    npm run local -- bill                        what the provider charges
  Ctrl-C ends everything; the next start goes on from here.
`,
);

if (options.sample) void makeSample(cloud).catch((error) => note(`the sample machine could not be made: ${error}`));
void keepAlive(cloud);
await follow(cloud);

/** Programs that die are started again, as a platform would do; so are those that live and no longer answer. */
async function keepAlive(cloud: LocalCloud): Promise<void> {
  const missed = { vast: 0, cloudflare: 0, worker: 0 };
  while (!ending) {
    await sleep(1_000);
    for (const name of cloud.programs) {
      if (ending) return;
      // A refusal is plain; silence may be a busy machine and is given half a minute.
      const answer = cloud.isRunning(name) ? await cloud.answers(name, 5_000) : "dead";
      missed[name] = answer === "yes" ? 0 : missed[name] + (answer === "silent" ? 1 : 2);
      if (ending || (answer !== "dead" && missed[name] < 6)) continue;
      say(
        { event: "restart", program: name },
        `the ${nameOf[name]} died; it is started again (log: ${cloud.logOf(name)})`,
      );
      await cloud.killProgram(name);
      await cloud.startProgram(name).catch((error) => note(String(error)));
      missed[name] = 0;
    }
  }
}

/** Once per state: a machine with a small workspace that works for a while and then goes quiet. */
async function makeSample(cloud: LocalCloud): Promise<void> {
  const marker = join(cloud.stateDir, "sample");
  if (existsSync(marker)) return;
  const port = await freePort();
  const serve = `setsid "${process.execPath}" serve.mjs ${port} </dev/null >../serve.log 2>&1 &`;
  const made = await cloud.api<InstanceView>("POST", "/api/instances", {
    name: "sample",
    gpu_type: "RTX 4090",
    auto_hibernation: {
      pause_after_idle_minutes: 0.5,
      delete_after_pause_minutes: 2,
      check_interval_seconds: 2,
      grace_minutes: 0.5,
      wake_method: "auto",
      proxy: { port },
      hooks: { after_wake: serve },
    },
  });
  if (made.status !== 201) throw new Error(JSON.stringify(made.body));
  writeFileSync(marker, made.body.id);
  const machine = await machineOf(cloud, made.body.id);
  await cloud.vastLocal("PUT", `/local/machines/${machine.id}/gpu`, { load: ["92"] });
  const workspace = join(machine.path, "workspace");
  writeSampleWorkspace(workspace);
  writeSampleService(workspace);
  const argv = ["sh", "-c", `cd "${workspace}" && ${serve}`];
  await execOnceUp(cloud, machine.id, argv);
  const { proxy } = made.body;
  say(
    { event: "sample", instance: made.body.id, machine: machine.id, service: proxy.url },
    `sample: machine ${machine.id} trains for half a minute, then goes quiet; 30 s later it may sleep
sample: it serves ${proxy.url}, and a request wakes it again:
  curl --retry 20 -H "Authorization: Bearer ${cloud.apiToken}" ${proxy.url}`,
  );
  await sleep(30_000);
  await cloud.vastLocal("PUT", `/local/machines/${machine.id}/gpu`, { load: ["0"] }).catch(() => undefined);
}

/** A machine that still boots runs nothing yet. */
async function execOnceUp(cloud: LocalCloud, machine: number, argv: string[]): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await cloud.vastLocal("POST", `/local/machines/${machine}/exec`, { argv });
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(200);
    }
  }
}

async function machineOf(cloud: LocalCloud, instance: string): Promise<LocalMachine> {
  for (let tries = 0; tries < 300; tries++) {
    const { machines } = await cloud.vastLocal<{ machines: LocalMachine[] }>("GET", "/local/machines");
    const found = machines.find((one) => one.label?.startsWith(`soneca:${instance}:`));
    if (found) return found;
    await sleep(200);
  }
  throw new Error("no machine was rented for it");
}

/** Prints what happens, until the end. */
async function follow(cloud: LocalCloud): Promise<void> {
  const seen = new Map<string, number>();
  let isFirst = true;
  while (!ending) {
    try {
      const { body } = await cloud.api<{ instances: { id: string; name: string }[] }>("GET", "/api/instances");
      for (const { id, name } of body.instances) await tellNews(cloud, id, name, seen, isFirst);
      isFirst = false;
    } catch {
      // The worker is being started again; the next turn tells.
    }
    await sleep(1_000);
  }
}

async function tellNews(
  cloud: LocalCloud,
  id: string,
  name: string,
  seen: Map<string, number>,
  isHistory: boolean,
): Promise<void> {
  const after = seen.get(id) ?? 0;
  const { status, body } = await cloud.api<{ events: EventView[]; next_after: number }>(
    "GET",
    `/api/instances/${id}/events?after=${after}`,
  );
  if (status !== 200) return;
  for (const event of body.events) {
    const text = eventText(event);
    const isOld = isHistory && Date.now() - Date.parse(event.timestamp) > 60_000;
    if (text && !isOld)
      say({ event: "instance", ...event }, `${new Date(event.timestamp).toLocaleTimeString()}  ${name}: ${text}`);
  }
  seen.set(id, body.next_after);
}
