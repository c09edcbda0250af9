/**
 * What can be done to one machine, under /local/machines/{id}/:
 *
 *   GET  log?tail=N
 *   PUT  gpu      {"load": ["95", "idle"]}; one line stands for all GPUs
 *   POST exec     {"argv": [...], "stdin"?, "timeoutMs"?}
 *   POST kill     SIGKILL to the agent
 *   POST signal   {"signal": "SIGSTOP", "whom": "agent" | "all" | {"pid": N} | {"match": "text of the command line"}}
 *   POST host     {"how": "offline" | "gone" | "back"}
 *   PUT  network  {"mode"?: "up" | "stalled" | "down", "bytesPerSecond"?: N | null}; GET reads it
 *   PUT  disk     {"freeBytes": N | null}
 *   PUT  clock    {"offsetMs": N}
 */
import { constants } from "node:os";
import type { Cloud } from "./cloud.ts";
import type { Whom } from "./machines.ts";
import { GPU_LOAD_PATTERN } from "./nvidia-smi.ts";
import type { ApiRequest } from "./route.ts";
import type { Contract } from "./state.ts";
import type { Wire, WireMode } from "./switch.ts";
import type { Reply } from "./wire.ts";

type Body = Record<string, unknown>;

const ok = (body: object): Reply => ({ status: 200, body });
const refuse = (status: number, message: string): Reply => ({ status, body: { ok: false, message } });

export async function answerMachine(
  request: ApiRequest,
  id: number,
  action: string | undefined,
  cloud: Cloud,
): Promise<Reply> {
  const contract = cloud.find(id);
  if (!contract || contract.stage === "destroying") return refuse(404, `no machine ${id}`);
  const body = (request.body ?? {}) as Body;
  switch (`${request.method} ${action ?? ""}`) {
    case "GET log":
      return ok({ log: cloud.machines.readLog(id, Number(request.query.get("tail")) || undefined) });
    case "PUT gpu":
      return setGpu(contract, body.load, cloud);
    case "POST kill":
      return ok({ ok: true, killed: cloud.machines.signal(id, "SIGKILL", "agent") });
    case "POST signal":
      return sendSignal(id, body, cloud);
    case "POST exec":
      return execute(contract, body, cloud);
    case "POST host":
      return changeHost(contract, body.how, cloud);
    case "GET network":
    case "PUT network":
      return changeNetwork(id, request.method === "PUT" ? body : null, cloud);
    case "PUT disk":
      return fillDisk(id, body.freeBytes, cloud);
    case "PUT clock":
      return setClock(id, body.offsetMs, cloud);
    default:
      return refuse(404, `no such route: ${request.method} ${request.path}`);
  }
}

function setGpu(contract: Contract, load: unknown, cloud: Cloud): Reply {
  const { gpuCount } = cloud.specOf(contract);
  const lines = Array.isArray(load) ? load.map(String) : [];
  const odd = lines.find((line) => !GPU_LOAD_PATTERN.test(line));
  if (lines.length === 0 || odd !== undefined) {
    return refuse(
      400,
      `not a GPU load: ${odd}; use busy, idle, 0-100, "40 8000" (with MiB used), [N/A], lost, missing, "fail 9", hang`,
    );
  }
  if (lines.length > gpuCount)
    return refuse(400, `machine ${contract.id} has ${gpuCount} GPU(s), ${lines.length} loads were given`);
  const whole = lines.length === 1 ? Array.from({ length: gpuCount }, () => lines[0]!) : lines;
  cloud.machines.writeGpuLoad(contract.id, whole);
  return ok({ ok: true, load: whole });
}

async function execute(contract: Contract, { argv, stdin, timeoutMs }: Body, cloud: Cloud): Promise<Reply> {
  if (!Array.isArray(argv) || argv.length === 0 || !argv.every((word) => typeof word === "string")) {
    return refuse(400, "argv must be a list of strings");
  }
  if (contract.stage !== "running") return refuse(409, `machine ${contract.id} is ${contract.stage}`);
  const options = { stdin: stdin as string | undefined, timeoutMs: timeoutMs as number | undefined };
  return ok(await cloud.machines.exec(cloud.specOf(contract), argv, options));
}

function readWhom(whom: unknown): Whom | null {
  if (whom === "agent" || whom === "all") return whom;
  const { pid, match } = (whom ?? {}) as Body;
  if (Number.isSafeInteger(pid) && (pid as number) > 1) return { pid: pid as number };
  return typeof match === "string" && match !== "" ? { match } : null;
}

function sendSignal(id: number, body: Body, cloud: Cloud): Reply {
  const name = String(body.signal);
  const whom = readWhom(body.whom);
  if (!Object.hasOwn(constants.signals, name)) return refuse(400, `no such signal: ${name}; SIGKILL, SIGSTOP, SIGCONT`);
  if (!whom) return refuse(400, `whom must be "agent", "all", {"pid": N} or {"match": "text of the command line"}`);
  return ok({ ok: true, pids: cloud.machines.signal(id, name as NodeJS.Signals, whom) });
}

async function changeHost(contract: Contract, how: unknown, cloud: Cloud): Promise<Reply> {
  if (how === "offline" || how === "gone") await cloud.loseHost(contract, how);
  else if (how === "back") cloud.returnHost(contract);
  else return refuse(400, `how must be offline, gone or back`);
  return ok({ ok: true });
}

async function changeNetwork(id: number, body: Body | null, cloud: Cloud): Promise<Reply> {
  if (!cloud.network) return refuse(409, "this stand-in was started without --network");
  const { mode, bytesPerSecond: pace } = body ?? {};
  if (mode !== undefined && !["up", "stalled", "down"].includes(mode as string)) {
    return refuse(400, "mode must be up, stalled or down");
  }
  if (pace !== undefined && pace !== null && !(Number.isSafeInteger(pace) && (pace as number) > 0)) {
    return refuse(400, "bytesPerSecond must be a whole number above 0, or null for no limit");
  }
  const change: Partial<Wire> = {
    ...(mode !== undefined && { mode: mode as WireMode }),
    ...(pace !== undefined && { bytesPerSecond: pace as number | null }),
  };
  const wire = body ? await cloud.network.set(id, change) : await cloud.network.read(id);
  return wire ? ok({ ok: true, ...wire }) : refuse(409, `machine ${id} was told of no address of this host yet`);
}

function fillDisk(id: number, freeBytes: unknown, cloud: Cloud): Reply {
  if (freeBytes !== null && !(Number.isSafeInteger(freeBytes) && (freeBytes as number) >= 0)) {
    return refuse(400, "freeBytes must be a whole number, 0 or more, or null to empty the disk again");
  }
  return cloud.machines.fillDisk(id, freeBytes as number | null)
    ? ok({ ok: true })
    : refuse(409, "machines of this stand-in have no disk of their own: start it with --disk-bytes N, as root");
}

function setClock(id: number, offsetMs: unknown, cloud: Cloud): Reply {
  if (!Number.isSafeInteger(offsetMs)) return refuse(400, "offsetMs must be a whole number");
  if (cloud.machines.readClock(id) === null) return refuse(409, "this stand-in was started without --clock");
  cloud.machines.setClock(id, offsetMs as number);
  return ok({ ok: true, offsetMs });
}
