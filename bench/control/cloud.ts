/** A local cloud with the counted worker, whose machines nobody rented. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { newInstanceId, newUserId } from "../../core/protocol/ids.ts";
import { LocalCloud } from "../../local-cloud/cloud.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import { signAgentToken } from "../../worker/tokens.ts";
import type { SimulatedAgent } from "./agents.ts";

export interface Usage {
  requests: number;
  objectRequests: number;
  alarms: number;
  rowsWritten: number;
  rowsRead: number;
  d1RowsWritten: number;
  d1RowsRead: number;
  rowsBy: Record<string, number>;
  beatMs: number[];
}

export class CountedCloud {
  readonly #cloud: LocalCloud;

  private constructor(cloud: LocalCloud) {
    this.#cloud = cloud;
  }

  static async start(dir: string): Promise<CountedCloud> {
    return new CountedCloud(
      await LocalCloud.start({
        stateDir: join(dir, "state"),
        port: await freePort(),
        workerEntry: "worker/testing/counted.ts",
        // The provider does not know the machines, and would say so.
        hasCron: false,
      }),
    );
  }

  get url(): string {
    return this.#cloud.url;
  }

  /** Instances whose machine runs from the agent's first word on. */
  async births(count: number, intervalSeconds: number): Promise<SimulatedAgent[]> {
    const random = (bytes: number) => crypto.getRandomValues(new Uint8Array(bytes));
    const owner = newUserId(random(10));
    const agents: SimulatedAgent[] = [];
    for (let i = 0; i < count; i += 20) {
      const ids = Array.from({ length: Math.min(20, count - i) }, () => newInstanceId(random(10)));
      await this.#call("POST", "/bench/births", { instances: ids, owner, intervalSeconds });
      for (const id of ids)
        agents.push({ instance: id, token: await signAgentToken(this.#cloud.agentJwtSecret, id, 1, Date.now()) });
    }
    return agents;
  }

  /** What was counted since the last time. */
  async takeCounts(): Promise<Usage> {
    return (await this.#call("DELETE", "/bench/counts")).json() as Promise<Usage>;
  }

  async #call(method: string, path: string, body?: unknown): Promise<Response> {
    const response = await fetch(this.#cloud.url + path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  /** CPU seconds of workerd so far. */
  cpuSeconds(): number {
    return this.#cloud.workerdPids().reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  }

  async stop(): Promise<void> {
    await this.#cloud.stop();
  }
}

/** The kernel counts in hundredths of a second. */
const ticksPerSecond = 100;

function cpuSecondsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}
