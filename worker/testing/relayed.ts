/**
 * The worker as it is deployed, and a way through the pipe of the relay without a proxy before it. For tests alone: it also
 * lets instances be born whose machines nobody rented.
 */
import { applyPatch, defaultAutoHibernation } from "../../core/protocol/config.ts";
import type { InstanceId, UserId } from "../../core/protocol/ids.ts";
import type { Env } from "../env.ts";
import worker from "../index.ts";
import { relayPipe } from "../proxy/relay-pipe.ts";

export { AccountObject, InstanceObject, NoticesObject, RelayObject, SelfTestObject } from "../index.ts";

/** `/through/INSTANCE/PATH` goes to the gate as `/PATH`; `/born/INSTANCE` makes one with a machine of epoch 1. */
export default {
  async fetch(request, env, ctx) {
    const url = new URL(request.url);
    const [, verb, instance = "", ...path] = url.pathname.split("/");
    if (verb === "born") return giveBirth(instance, env);
    if (verb !== "through") return worker.fetch!(request, env, ctx);
    const inner = new Request(new URL(`/${path.join("/")}${url.search}`, "http://machine"), request);
    const reached = await relayPipe(env.RELAY.getByName(instance)).fetch(inner);
    if (reached.ok) return reached.response;
    return new Response(reached.message, { status: 502, headers: { "x-pipe": reached.code } });
  },
} satisfies ExportedHandler<Env>;

async function giveBirth(instance: string, env: Env): Promise<Response> {
  const config = applyPatch(defaultAutoHibernation, { enabled: false });
  const spec = { gpuType: "RTX 4090", gpuCount: 1, region: "BR", diskGb: 50, image: "-", maxMicroUsdPerHour: null };
  const facts = {
    providerId: 1,
    machineId: 1,
    gpuType: spec.gpuType,
    gpuCount: 1,
    region: spec.region,
    microUsdPerHour: 400_000,
    sshHost: null,
    sshPort: null,
  };
  const owner = "u-aaaaaaaaaa" as UserId;
  const birth = { instance: instance as InstanceId, owner, name: instance, spec, config };
  const born = await env.INSTANCE.getByName(instance).adopt(birth, facts, Date.now());
  return Response.json(born);
}
