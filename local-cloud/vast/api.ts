/** vast.ai's own routes: what a request means, and the answer in vast.ai's words. */
import { randomBytes } from "node:crypto";
import { deadList, listInstances } from "./api-list.ts";
import { createInstance, searchOffers } from "./api-market.ts";
import { asObject, type Context, type Route } from "./route.ts";
import { showMachine, showMachines, writeNumbersAsText } from "./show.ts";
import { invalid, noSuchInstance, type Reply, serverError, success, successFalse } from "./wire.ts";

async function changeInstance(context: Context): Promise<Reply> {
  const { cloud, contract, id, request } = context;
  const body = asObject(request.body) ?? {};
  if (!contract) return noSuchInstance(id);
  if (typeof body.label === "string" || body.label === null) {
    if (typeof body.label === "string" && body.label.length > 1024) return invalid("label is longer than 1024");
    cloud.setLabel(contract, body.label || null);
  }
  if (body.state === "stopped") await cloud.stop(contract);
  else if (body.state === "running") {
    if (cloud.start(contract).queued) {
      return success({ msg: "Required resources are currently unavailable, state change queued" });
    }
  } else if (body.state !== undefined) return invalid(`state ${body.state}`);
  else if (body.label === undefined) return invalid("nothing to change");
  return success();
}

async function changeInstances({ cloud, request }: Context): Promise<Reply> {
  const body = asObject(request.body) ?? {};
  if (!Array.isArray(body.ids)) return invalid("ids");
  for (const id of body.ids) {
    const contract = cloud.find(Number(id));
    if (!contract) return noSuchInstance(Number(id));
    if (body.state === "stopped") await cloud.stop(contract);
    else if (body.state === "running") cloud.start(contract);
    else return invalid(`state ${body.state}`);
  }
  return success();
}

function destroyInstance({ cloud, faults, contract, id }: Context): Reply {
  if (!contract) return noSuchInstance(id);
  const fault = faults.strike("destroy_fails", { on: "destroy", label: contract.label, id });
  if (fault?.variant === "success_false") return successFalse();
  if (fault) return serverError(fault.variant === "html_502" ? 502 : 500);
  cloud.destroy(contract);
  return success();
}

function destroyInstances({ cloud, request }: Context): Reply {
  const ids = asObject(request.body)?.instance_ids;
  if (!Array.isArray(ids)) return invalid("instance_ids");
  for (const id of ids) {
    const contract = cloud.find(Number(id));
    if (contract) cloud.destroy(contract);
  }
  return success();
}

function requestLogs({ cloud, contract, id, request, logs, baseUrl, now }: Context): Reply {
  if (!contract) return noSuchInstance(id);
  const body = asObject(request.body) ?? {};
  const filter = typeof body.filter === "string" ? body.filter : null;
  const text = cloud.machines.readLog(id, body.tail ? Number(body.tail) || undefined : undefined);
  const kept = filter
    ? text
        .split("\n")
        .filter((line) => line.includes(filter))
        .join("\n")
    : text;
  const name = `${randomBytes(16).toString("hex")}.log`;
  // The real one uploads it first: it is not there at once.
  logs.set(name, { text: kept, readyAt: now() + 250 });
  if (logs.size > 100) logs.delete(logs.keys().next().value!);
  return success({ result_url: `${baseUrl()}/instance_logs/${name}` });
}

async function rebootInstance({ cloud, contract, id }: Context): Promise<Reply> {
  if (!contract) return noSuchInstance(id);
  await cloud.reboot(contract);
  return success();
}

function getInstance(context: Context): Reply {
  const { contract, now, faults } = context;
  const isKnown = contract && contract.listedAt <= now();
  const row = isKnown ? showMachine(context, contract, "get") : null;
  const isText = row && faults.strike("numbers_as_text", { on: "get", label: contract!.label, id: contract!.id });
  return { status: 200, body: { instances: isText ? writeNumbersAsText(row) : row } };
}

async function readFilterValues(context: Context): Promise<Reply> {
  const filters = (await showMachines(context, "filters")).map(({ actual_status, verification, gpu_name }) => ({
    actual_status,
    verification,
    gpu_name,
  }));
  return { status: 200, body: { filters } };
}

function readGpuNames({ cloud }: Context): Reply {
  return { status: 200, body: { gpu_names: [...new Set(cloud.offers().map(({ gpu }) => gpu.name))] } };
}

const ACCOUNT = {
  id: 1001,
  key_id: 1,
  username: "local",
  email: "local@example.org",
  balance: 0,
  credit: 100,
  ssh_key: null,
  sid: "local",
};
const ONE = String.raw`^/api/v0/instances/(\d+)$`;

const ROUTES: Route[] = [
  { method: "GET", path: /^\/api\/v0\/gpu_names\/unique$/, name: "gpu_names", open: true, handle: readGpuNames },
  { method: "POST", path: /^\/api\/v0\/bundles$/, name: "search", interval: 6, open: true, handle: searchOffers },
  { method: "GET", path: /^\/api\/v0\/bundles$/, name: "search", interval: 6, open: true, handle: searchOffers },
  { method: "PUT", path: /^\/api\/v0\/search\/asks$/, name: "search", interval: 6, open: true, handle: searchOffers },
  { method: "PUT", path: /^\/api\/v0\/asks\/(\d+)$/, name: "create", interval: 4.5, handle: createInstance },
  { method: "GET", path: /^\/api\/v1\/instances$/, name: "list", interval: 1, handle: listInstances },
  { method: "GET", path: /^\/api\/v0\/instances$/, name: "list_v0", handle: deadList },
  { method: "PUT", path: /^\/api\/v0\/instances$/, name: "change", interval: 2, handle: changeInstances },
  { method: "DELETE", path: /^\/api\/v0\/instances$/, name: "destroy", interval: 3, handle: destroyInstances },
  { method: "GET", path: /^\/api\/v0\/instances\/filters$/, name: "filters", handle: readFilterValues },
  { method: "GET", path: new RegExp(ONE), name: "get", interval: 2, ownKey: true, handle: getInstance },
  { method: "PUT", path: new RegExp(ONE), name: "change", interval: 1, ownKey: true, handle: changeInstance },
  { method: "DELETE", path: new RegExp(ONE), name: "destroy", interval: 3, ownKey: true, handle: destroyInstance },
  {
    method: "PUT",
    path: /^\/api\/v0\/instances\/re(?:boot|cycle)\/(\d+)$/,
    name: "reboot",
    interval: 1,
    handle: rebootInstance,
  },
  { method: "PUT", path: /^\/api\/v0\/instances\/request_logs\/(\d+)$/, name: "logs", handle: requestLogs },
  { method: "GET", path: /^\/api\/v0\/users\/current$/, name: "user", handle: () => ({ status: 200, body: ACCOUNT }) },
  { method: "GET", path: /^\/api\/v0\/ssh$/, name: "ssh", handle: () => ({ status: 200, body: [] }) },
  { method: "POST", path: /^\/api\/v0\/instances\/(\d+)\/ssh$/, name: "ssh", interval: 1, handle: () => success() },
];

export function findRoute(method: string, path: string): { route: Route; id: number } | null {
  for (const route of ROUTES) {
    const match = route.method === method ? route.path.exec(path) : null;
    if (match) return { route, id: Number(match[1] ?? 0) };
  }
  return null;
}

/** A finer name for faults: a change is a label, a stop or a start. */
export function nameOperation(route: Route, body: unknown): string {
  if (route.name !== "change") return route.name;
  const given = asObject(body);
  return given?.state === "stopped" ? "stop" : given?.state === "running" ? "start" : "label";
}
