/**
 * The stand-in's own routes under /local/, for the person at the keyboard and for tests. Reading needs no key (it is
 * loopback, and no page of another origin can read the answer); whatever changes or runs something needs the API key.
 *
 *   GET    /local/bill                     nothing can write it
 *   GET    /local/faults                   POST one rule; PUT {"rules": [...], "seed"?} replaces all
 *   DELETE /local/faults[/NAME-or-RULE]
 *   GET    /local/faults/counts            how often each fault struck, by operation; DELETE begins anew
 *   GET    /local/machines                 and what control-machine.ts does to one
 */
import type { Cloud } from "./cloud.ts";
import { answerMachine } from "./control-machine.ts";
import type { Faults } from "./fault-rules.ts";
import { FAULTS } from "./faults.ts";
import { type ApiRequest, asObject } from "./route.ts";
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
      return answerBill(request, cloud);
    case "faults":
      return name === "counts" ? answerCounts(request, faults) : answerFaults(request, name, faults);
    case "machines":
      return name === undefined
        ? ok({ machines: listLocal(cloud) })
        : answerMachine(request, Number(name), action, cloud);
    default:
      return refuse(404, `no such route: ${request.path}; there are /local/machines, /local/bill, /local/faults`);
  }
}

async function answerBill({ method }: ApiRequest, cloud: Cloud): Promise<Reply> {
  if (method !== "GET") return refuse(405, "the bill can only be read: it follows from what the machines did");
  const bill = await cloud.bill();
  const microUsd = bill.reduce((sum, row) => sum + row.microUsd, 0);
  return ok({ bill, usd: microUsd / 1e6, microUsd });
}

function answerFaults(request: ApiRequest, name: string | undefined, faults: Faults): Reply {
  const { method, body } = request;
  const given = asObject(body);
  const done =
    method === "POST"
      ? faults.arm(body)
      : method === "PUT"
        ? faults.replace(Array.isArray(body) ? body : given?.rules, given?.seed as number | undefined)
        : { ok: true as const };
  if (!done.ok) return { status: 400, body: { ok: false, message: done.message, names: Object.keys(FAULTS) } };
  if (method === "DELETE") faults.clear(name ?? request.query.get("name") ?? undefined);
  return ok({ ...done, armed: faults.list(), known: FAULTS });
}

function answerCounts({ method }: ApiRequest, faults: Faults): Reply {
  if (method === "DELETE") faults.clearCounts();
  const counts = faults.counts();
  return ok({ total: Object.values(counts).reduce((sum, { struck }) => sum + struck, 0), counts });
}

const STAGES: Partial<Record<Contract["stage"], string>> = { booting: "loading" };

function listLocal(cloud: Cloud): LocalMachine[] {
  return cloud.contracts().map((contract) => {
    const { gpu, gpuCount, country } = cloud.offerOf(contract);
    const isAlive = cloud.machines.isAlive(contract.process);
    const { gpuMicroUsdPerHour, diskMicroUsdPerHour } = contract.meter;
    return {
      id: contract.id,
      label: contract.label,
      status: contract.stage === "running" && !isAlive ? "exited" : (STAGES[contract.stage] ?? contract.stage),
      gpu: `${gpuCount}x ${gpu.name}`,
      gpuLoad: contract.stage === "destroying" ? [] : cloud.machines.readGpuLoad(contract.id),
      region: country,
      dph: (gpuMicroUsdPerHour + diskMicroUsdPerHour) / 1e6,
      image: contract.image,
      pid: isAlive ? contract.process!.pid : null,
      processes: cloud.machines.processes(contract.id).length,
      createdAt: contract.createdAt,
      path: cloud.machines.folderOf(contract.id),
    };
  });
}
