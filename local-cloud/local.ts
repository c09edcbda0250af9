/**
 * npm run local -- COMMAND: the hands of the person who plays with the local cloud. It talks to the stand-in of vast.ai
 * that `npm start` runs, and finds it by the file local.json in the state folder (or by VAST_URL and VAST_API_KEY).
 */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { BillRow } from "./vast/bill.ts";
import type { LocalMachine } from "./vast/control.ts";
import type { FaultCounts } from "./vast/fault-rules.ts";

const USAGE = `usage: npm run local -- COMMAND [--json] [--state DIR]

  list                                  the machines
  gpu MACHINE busy|idle|PERCENT[,...]   what its GPUs say, one value for all or one each;
                                        also: "40 8000" (MiB used), [N/A], lost, missing, fail 9, hang
  kill MACHINE                          SIGKILL to the agent; its onstart starts it again
  pause MACHINE [TEXT]                  SIGSTOP to all its processes, or those whose command line holds TEXT
  resume MACHINE [TEXT]                 SIGCONT
  host MACHINE offline|gone|back        its host dies, or comes back
  network MACHINE up|stalled|down|N     its wire to the worker, or so many bytes a second (start with --network)
  disk MACHINE full|empty|N             so many bytes are left on its disk (start with --disk-bytes)
  clock MACHINE SECONDS                 how far its clock is ahead (start with --clock)
  exec MACHINE -- COMMAND...            run a command in the machine
  log MACHINE [--tail N]                what its onstart and agent wrote
  path MACHINE                          its folder
  bill                                  what the provider charges, by machine
  fault                                 the faults there are, and which are armed
  fault NAME [--times N] [--after N] [--probability P] [--seed N] [--on OPERATION] [--label PREFIX] [--variant V]
             [--ms N] [--amount N]
  fault counts                          how often each struck
  fault clear [NAME or RULE]

MACHINE is the contract's number, its label, or the beginning of the instance's id within soneca:INSTANCE:EPOCH.`;

/** What the person did wrong, in words; everything else is a bug and shows its stack. */
class UsageError extends Error {}

interface Connection {
  url: string;
  apiKey: string;
}

interface Flags {
  json: boolean;
  [name: string]: string | boolean | undefined;
}

interface Output {
  value: unknown;
  text: string;
  code?: number;
}

const OPTIONS = {
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
  state: { type: "string" },
  tail: { type: "string" },
  times: { type: "string" },
  after: { type: "string" },
  probability: { type: "string" },
  seed: { type: "string" },
  on: { type: "string" },
  label: { type: "string" },
  variant: { type: "string" },
  ms: { type: "string" },
  amount: { type: "string" },
} as const;

function findConnection(state: string | undefined, env: NodeJS.ProcessEnv): Connection {
  if (state === undefined && env.VAST_URL)
    return { url: env.VAST_URL.replace(/\/+$/, ""), apiKey: env.VAST_API_KEY ?? "" };
  const file = join(resolve(state ?? join(import.meta.dirname, "..", ".soneca")), "local.json");
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    throw new UsageError(
      `no local cloud is running here (${file} is not there): start it with npm start, or say --state DIR`,
    );
  }
  const { vastUrl, vastApiKey } = JSON.parse(text);
  if (typeof vastUrl !== "string" || typeof vastApiKey !== "string")
    throw new UsageError(`${file} names no vastUrl and vastApiKey`);
  return { url: vastUrl.replace(/\/+$/, ""), apiKey: vastApiKey };
}

async function ask<T>({ url, apiKey }: Connection, method: string, path: string, body?: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
  } catch {
    throw new UsageError(`no answer from ${url}: is the local cloud still running?`);
  }
  const answer = (await response.json()) as T & { message?: string };
  if (!response.ok) throw new UsageError(answer.message ?? `HTTP ${response.status}`);
  return answer;
}

/** The one machine that the text names; an error that lists the choice otherwise. */
export function resolveMachine<M extends Pick<LocalMachine, "id" | "label">>(machines: readonly M[], name: string): M {
  const instanceOf = ({ label }: M) => /^soneca:(.+):\d+$/.exec(label ?? "")?.[1] ?? null;
  const exact = machines.filter(
    (machine) => String(machine.id) === name || machine.label === name || instanceOf(machine) === name,
  );
  const byPrefix = machines.filter((machine) => {
    const instance = instanceOf(machine);
    return name !== "" && instance !== null && (instance.startsWith(name) || instance.startsWith(`i-${name}`));
  });
  const found = exact.length > 0 ? exact : byPrefix;
  if (found.length === 1) return found[0]!;
  const choice = (found.length > 1 ? found : machines).map(({ id, label }) => `  ${id}  ${label ?? ""}`).join("\n");
  if (found.length > 1) throw new UsageError(`${name} names ${found.length} machines:\n${choice}`);
  throw new UsageError(
    machines.length === 0 ? `no machine ${name}: none is rented` : `no machine ${name}; there are:\n${choice}`,
  );
}

export function formatTable(head: string[], rows: (string | number | null)[][]): string {
  const cells = [head, ...rows.map((row) => row.map((cell) => String(cell ?? "-")))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

const formatAge = (ms: number) =>
  ms < 60_000
    ? `${Math.floor(ms / 1000)}s`
    : ms < 3_600_000
      ? `${Math.floor(ms / 60_000)}m`
      : `${(ms / 3_600_000).toFixed(1)}h`;

async function listMachines(to: Connection): Promise<LocalMachine[]> {
  return (await ask<{ machines: LocalMachine[] }>(to, "GET", "/local/machines")).machines;
}

async function runList(to: Connection): Promise<Output> {
  const machines = await listMachines(to);
  const rows = machines.map((one) => [
    one.id,
    one.label,
    one.status,
    one.gpu,
    [...new Set(one.gpuLoad)].length === 1 ? one.gpuLoad[0]! : one.gpuLoad.join(","),
    one.region,
    one.dph.toFixed(4),
    one.processes,
    formatAge(Date.now() - one.createdAt),
  ]);
  const head = ["MACHINE", "LABEL", "STATUS", "GPU", "LOAD", "REGION", "$/H", "PROCS", "AGE"];
  return { value: { machines }, text: rows.length === 0 ? "no machine is rented" : formatTable(head, rows) };
}

async function runBill(to: Connection): Promise<Output> {
  const value = await ask<{ bill: BillRow[]; usd: number }>(to, "GET", "/local/bill");
  const time = (at: number | null) =>
    at === null ? "running" : new Date(at).toISOString().slice(0, 19).replace("T", " ");
  const rows = value.bill.map((row) => [
    row.id,
    row.label,
    row.gpu,
    time(row.startedAt),
    time(row.endedAt),
    row.gpuSeconds,
    row.diskSeconds,
    row.dph.toFixed(4),
    row.diskDph.toFixed(4),
    row.usd.toFixed(6),
  ]);
  const head = ["MACHINE", "LABEL", "GPU", "FROM", "TO", "GPU S", "DISK S", "GPU $/H", "DISK $/H", "USD"];
  return { value, text: `${formatTable(head, rows)}\ntotal $${value.usd.toFixed(6)}` };
}

interface FaultsAnswer {
  armed: { rule: number; name: string; struck: number; on?: string; times?: number; probability?: number }[];
  known: Record<string, { does: string; variants?: string[] }>;
}

async function runFault(to: Connection, [name, target]: string[], flags: Flags): Promise<Output> {
  if (name === "clear") {
    const value = await ask<FaultsAnswer>(to, "DELETE", target ? `/local/faults/${target}` : "/local/faults");
    return { value, text: `cleared; ${value.armed.length} still armed` };
  }
  if (name === "counts") {
    const value = await ask<{ total: number; counts: FaultCounts }>(to, "GET", "/local/faults/counts");
    const rows = Object.entries(value.counts).map(([key, { struck, on }]) => [
      key,
      struck,
      Object.entries(on)
        .map(([operation, times]) => `${operation} ${times}`)
        .join(", "),
    ]);
    return { value, text: rows.length === 0 ? "no fault has struck" : formatTable(["FAULT", "STRUCK", "ON"], rows) };
  }
  if (name !== undefined) {
    const numbers = ["times", "after", "probability", "seed", "ms", "amount"].filter((key) => flags[key] !== undefined);
    const order = {
      name,
      ...Object.fromEntries(numbers.map((key) => [key, Number(flags[key])])),
      ...Object.fromEntries(["on", "label", "variant"].filter((key) => flags[key]).map((key) => [key, flags[key]])),
    };
    const value = await ask<FaultsAnswer>(to, "POST", "/local/faults", order);
    const until = flags.times ? `${flags.times} time(s)` : "until it is cleared";
    return {
      value,
      text: `${name} strikes ${flags.probability ? `with probability ${flags.probability}, ` : ""}${until}`,
    };
  }
  const value = await ask<FaultsAnswer>(to, "GET", "/local/faults");
  const armed = value.armed.map((one) => [
    one.rule,
    one.name,
    one.on ?? "-",
    one.times ?? "-",
    one.probability ?? "-",
    one.struck,
  ]);
  const known = Object.entries(value.known).map(([key, { does, variants }]) => [key, does, (variants ?? []).join(" ")]);
  const text = `${armed.length === 0 ? "no fault is armed" : formatTable(["RULE", "ARMED", "ON", "TIMES", "PROBABILITY", "STRUCK"], armed)}\n\n${formatTable(["FAULT", "WHAT IT DOES", "VARIANTS"], known)}`;
  return { value, text };
}

/** `busy`, `95,idle`, `fail 9`, `40 8000`: commas part GPUs, blanks belong to one. */
export function readLoads(words: readonly string[]): string[] {
  const loads = words
    .join(" ")
    .split(",")
    .map((load) => load.trim().replace(/%$/, ""));
  if (loads.some((load) => load === ""))
    throw new UsageError("a load for the GPU is missing: busy, idle or a percentage");
  return loads;
}

/** What the words of a command mean in the stand-in's terms; it says itself what is wrong with them. */
function readAct(command: "host" | "network" | "disk" | "clock", word = ""): object {
  const number = word === "" ? Number.NaN : Number(word);
  switch (command) {
    case "host":
      return { how: word };
    case "network":
      if (word === "up") return { mode: "up", bytesPerSecond: null };
      return Number.isNaN(number) ? { mode: word } : { mode: "up", bytesPerSecond: number };
    case "disk":
      return { freeBytes: word === "full" ? 0 : word === "empty" ? null : number };
    case "clock":
      return { offsetMs: number * 1000 };
  }
}

async function runOnMachine(
  to: Connection,
  command: string,
  words: string[],
  after: string[],
  flags: Flags,
): Promise<Output> {
  const [name, ...rest] = words;
  if (name === undefined) throw new UsageError(`${command} needs a MACHINE\n\n${USAGE}`);
  const machine = resolveMachine(await listMachines(to), name);
  const path = `/local/machines/${machine.id}`;
  switch (command) {
    case "path":
      return { value: { id: machine.id, path: machine.path }, text: machine.path };
    case "log": {
      const value = await ask<{ log: string }>(
        to,
        "GET",
        `${path}/log${flags.tail ? `?tail=${Number(flags.tail)}` : ""}`,
      );
      return { value, text: value.log.replace(/\n$/, "") };
    }
    case "kill": {
      const value = await ask<{ killed: number[] }>(to, "POST", `${path}/kill`);
      const text = value.killed.length === 0 ? "no agent runs in it" : `killed ${value.killed.join(" ")}`;
      return { value, text, code: value.killed.length === 0 ? 1 : 0 };
    }
    case "pause":
    case "resume": {
      const signal = command === "pause" ? "SIGSTOP" : "SIGCONT";
      const whom = rest.length > 0 ? { match: rest.join(" ") } : "all";
      const value = await ask<{ pids: number[] }>(to, "POST", `${path}/signal`, { signal, whom });
      const text = value.pids.length === 0 ? "no such process runs in it" : `${signal} to ${value.pids.join(" ")}`;
      return { value, text, code: value.pids.length === 0 ? 1 : 0 };
    }
    case "host":
    case "network":
    case "disk":
    case "clock": {
      const value = await ask<object>(
        to,
        command === "host" ? "POST" : "PUT",
        `${path}/${command}`,
        readAct(command, rest[0]),
      );
      return { value, text: `${machine.id}: ${command} ${rest[0]}` };
    }
    case "gpu": {
      const value = await ask<{ load: string[] }>(to, "PUT", `${path}/gpu`, { load: readLoads(rest) });
      return { value, text: `${machine.id}: ${value.load.join(", ")}` };
    }
    default: {
      const argv = after.length > 0 ? after : rest;
      if (argv.length === 0) throw new UsageError("exec needs a command: exec MACHINE -- nvidia-smi");
      const value = await ask<{ code: number | null; stdout: string; stderr: string }>(to, "POST", `${path}/exec`, {
        argv,
      });
      if (!flags.json) process.stderr.write(value.stderr);
      return { value, text: value.stdout.replace(/\n$/, ""), code: value.code ?? 1 };
    }
  }
}

const ON_MACHINE = ["gpu", "kill", "pause", "resume", "host", "network", "disk", "clock", "exec", "log", "path"];

async function runCommand(args: string[], env: NodeJS.ProcessEnv): Promise<Output & { json: boolean }> {
  const cut = args.indexOf("--");
  const [own, after] = cut < 0 ? [args, []] : [args.slice(0, cut), args.slice(cut + 1)];
  let parsed: { values: Flags & { help: boolean; state?: string }; positionals: string[] };
  try {
    parsed = parseArgs({ args: own, options: OPTIONS, allowPositionals: true }) as typeof parsed;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n\n${USAGE}`);
  }
  const { values: flags, positionals } = parsed;
  const [command, ...words] = positionals;
  if (flags.help || command === undefined)
    return { value: { usage: USAGE }, text: USAGE, code: flags.help ? 0 : 2, json: flags.json };
  if (!["list", "bill", "fault", ...ON_MACHINE].includes(command))
    throw new UsageError(`no command ${command}\n\n${USAGE}`);
  const to = findConnection(flags.state, env);
  const output = await (command === "list"
    ? runList(to)
    : command === "bill"
      ? runBill(to)
      : command === "fault"
        ? runFault(to, words, flags)
        : runOnMachine(to, command, words, after, flags));
  return { ...output, json: flags.json };
}

export async function main(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const { value, text, code = 0, json } = await runCommand(args, env);
    if (json) console.log(JSON.stringify(value));
    else if (text !== "") console.log(text);
    return code;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    if (args.includes("--json")) console.log(JSON.stringify({ ok: false, message: error.message }));
    console.error(error.message);
    return 2;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  process.exitCode = await main(process.argv.slice(2), process.env);
}
