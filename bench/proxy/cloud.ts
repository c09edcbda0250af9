/** A local cloud with one instance that is awake, whose port is the service's: machines share this host's network. */
import { join } from "node:path";
import type { PipeKind } from "../../core/protocol/gate.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import { LocalCloud } from "../../local-cloud/cloud.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import { createWay, type Way } from "./client.ts";

export interface ServingCloud {
  way: Way;
  /** The same worker's runtime, and in it one that only fetches. */
  bare: Way;
  stop(): Promise<void>;
}

/** Of the way. */
export const bare = "bare worker";
const openLimitMs = 120_000;

export async function startServingCloud(
  dir: string,
  { pipe, port, signal }: { pipe: PipeKind; port: number; signal: AbortSignal },
): Promise<ServingCloud> {
  const cloud = await LocalCloud.start({
    stateDir: join(dir, pipe),
    port: await freePort(),
    bootMs: 500,
    pipe,
    workerEntry: "worker/testing/bare.ts",
  });
  try {
    const { id } = await ask<InstanceView>(cloud, "POST", "/api/instances", {
      name: "bench",
      auto_hibernation: { enabled: false, proxy: { port } },
    });
    const { proxy } = await untilOpen(cloud, id, signal);
    const { key } = await ask<{ key: string }>(cloud, "POST", `/api/instances/${id}/proxy-keys`, { name: "bench" });
    return {
      way: createWay(pipe, proxy.url, { authorization: `Bearer ${key}` }),
      bare: createWay(bare, `${cloud.url}/bare/${port}/`),
      stop: () => cloud.stop(),
    };
  } catch (error) {
    await cloud.stop();
    throw error;
  }
}

async function untilOpen(cloud: LocalCloud, id: string, signal: AbortSignal): Promise<InstanceView> {
  const end = Date.now() + openLimitMs;
  for (;;) {
    signal.throwIfAborted();
    const view = await ask<InstanceView>(cloud, "GET", `/api/instances/${id}`);
    if (view.proxy.is_open) return view;
    if (Date.now() > end) throw new Error(`never open: ${view.state} ${JSON.stringify(view.proxy)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function ask<T>(cloud: LocalCloud, method: string, path: string, body?: unknown): Promise<T> {
  const answer = await cloud.api<T>(method, path, body);
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}
