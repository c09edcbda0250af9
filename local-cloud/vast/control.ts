/**
 * The stand-in's own routes under /local/, for the person at the keyboard and for tests. Reading needs no key (it is
 * loopback, and no page of another origin can read the answer); whatever changes or runs something needs the API key.
 *
 *   GET    /local/machines                 GET  /local/machines/{id}/log?tail=N
 *   PUT    /local/machines/{id}/gpu        {"load": ["95", "idle"]}; one line stands for all GPUs
 *   POST   /local/machines/{id}/kill       SIGKILL to the agent
 *   POST   /local/machines/{id}/exec       {"argv": [...], "stdin"?, "timeoutMs"?}
 *   GET    /local/bill
 *   GET    /local/faults                   POST {name, times?, probability?, seed?, on?, label?, id?, variant?, ms?}
 *   DELETE /local/faults[/{name}]
 */
import type { ApiRequest } from "./api.ts";
import type { Cloud } from "./cloud.ts";
import { FAULTS, type Faults } from "./faults.ts";
import { GPU_LOAD_PATTERN } from "./nvidia-smi.ts";
import type { Contract } from "./state.ts";
import type { Reply } from "./wire.ts";

export interface LocalMachine {
  id: number;
  label: string | null;
  status: string;
  gpu: string;
  gpuLoad: string[];
  region: string;
  dph: number;
  image: string;
  pid: number | null;
  processes: number;
  createdAt: number;
  path: string;
}

const ok = (body: object): Reply => ({ status: 200, body });
const refuse = (status: number, message: string): Reply => ({ status, body: { ok: false, message } });

export async function answerLocal(request: ApiRequest, isOwner: boolean, cloud: Cloud, faults: Faults): Promise<Reply> {
  const [, , kind, name, action] = request.path.split("/");
  if (request.method !== "GET" && !isOwner)
    return refuse(403, "the API key of this stand-in is needed: Authorization: Bearer KEY");
  switch (kind) {
    case "bill":
      return ok({
        bill: cloud.bill(),
        usd: Number(
          cloud
            .bill()
            .reduce((sum, row) => sum + row.usd, 0)
            .toFixed(6),
        ),
      });
    case "faults":
      return answerFaults(request, name, faults);
    case "machines":
      return name === undefined
        ? ok({ machines: listLocal(cloud) })
        : answerMachine(request, Number(name), action, cloud);
    default:
      return refuse(404, `no such route: ${request.path}; there are /local/machines, /local/bill, /local/faults`);
  }
}

function answerFaults(request: ApiRequest, name: string | undefined, faults: Faults): Reply {
  if (request.method === "POST") {
    const armed = faults.arm(request.body);
    if (!armed.ok) return { status: 400, body: { ok: false, message: armed.message, names: Object.keys(FAULTS) } };
  }
  if (request.method === "DELETE") faults.clear(name ?? request.query.get("name") ?? undefined);
  return ok({ ok: true, armed: faults.list(), known: FAULTS });
}

const STAGES: Partial<Record<Contract["stage"], string>> = { booting: "loading" };

function listLocal(cloud: Cloud): LocalMachine[] {
  return cloud.contracts().map((contract) => {
    const { gpu, gpuCount } = cloud.specOf(contract);
    const isAlive = cloud.machines.isAlive(contract.process);
    return {
      id: contract.id,
      label: contract.label,
      status: contract.stage === "running" && !isAlive ? "exited" : (STAGES[contract.stage] ?? contract.stage),
      gpu: `${gpuCount}x ${gpu.name}`,
      gpuLoad: contract.stage === "destroying" ? [] : cloud.machines.readGpuLoad(contract.id),
      region: cloud.regionOf(contract),
      dph: Number((contract.meter.dph + contract.meter.diskDph).toFixed(6)),
      image: contract.image,
      pid: isAlive ? contract.process!.pid : null,
      processes: cloud.machines.processes(contract.id).length,
      createdAt: contract.createdAt,
      path: cloud.machines.folderOf(contract.id),
    };
  });
}

async function answerMachine(
  request: ApiRequest,
  id: number,
  action: string | undefined,
  cloud: Cloud,
): Promise<Reply> {
  const contract = cloud.find(id);
  if (!contract || contract.stage === "destroying") return refuse(404, `no machine ${id}`);
  const body = (request.body ?? {}) as Record<string, unknown>;
  const call = `${request.method} ${action ?? ""}`;
  if (call === "GET log") {
    return ok({ log: cloud.machines.readLog(id, Number(request.query.get("tail")) || undefined) });
  }
  if (call === "PUT gpu") return setGpu(contract, body.load, cloud);
  if (call === "POST kill") return ok({ ok: true, killed: cloud.machines.killAgent(id) });
  if (call === "POST exec") {
    const { argv, stdin, timeoutMs } = body;
    if (!Array.isArray(argv) || argv.length === 0 || !argv.every((word) => typeof word === "string")) {
      return refuse(400, "argv must be a list of strings");
    }
    if (contract.stage !== "running") return refuse(409, `machine ${id} is ${contract.stage}`);
    const options = { stdin: stdin as string | undefined, timeoutMs: timeoutMs as number | undefined };
    return ok(await cloud.machines.exec(cloud.specOf(contract), argv, options));
  }
  return refuse(404, `no such route: ${request.method} ${request.path}`);
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
