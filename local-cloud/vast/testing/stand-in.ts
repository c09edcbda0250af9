/** A stand-in for one test, asked over real HTTP. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BillRow } from "../bill.ts";
import { startVastStandIn, type VastStandIn, type VastStandInOptions } from "../server.ts";

export const KEY = "key-of-the-account";
export const LABEL = "soneca:i-k3v7q2m4xa:9";

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted field by field
export type Json = any;

export interface Answer {
  status: number;
  type: string | null;
  headers: Headers;
  text: string;
  json: Json;
}

/** The body that vast.ai's command line client 5567983 sends for `create instance`, recorded with --explain. */
export const recordedCreate = (change: object = {}) => ({
  client_id: "me",
  image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
  env: { A: "b", "-p 8080:8080": "1" },
  price: null,
  disk: 40.0,
  label: LABEL,
  extra: null,
  onstart: "# soneca-onstart\necho hello $A\n",
  image_login: null,
  python_utf8: false,
  lang_utf8: false,
  use_jupyter_lab: false,
  jupyter_dir: null,
  force: false,
  cancel_unavail: false,
  template_hash_id: null,
  user: null,
  runtype: "ssh_direc ssh_proxy",
  ...change,
});

export async function waitFor<T>(read: () => T | null | undefined | false | Promise<T | null | undefined | false>) {
  for (let i = 0; i < 400; i++) {
    const value = await read();
    if (value) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error("it does not come");
}

export class TestStandIn {
  readonly stateDir = mkdtempSync(join(tmpdir(), "soneca-stand-in-"));
  #running: VastStandIn | null = null;

  static async open(options: Partial<VastStandInOptions> = {}): Promise<TestStandIn> {
    const standIn = new TestStandIn();
    await standIn.reopen(options);
    return standIn;
  }

  /** Ends it in order, where it runs, and starts it on the same state. */
  async reopen(options: Partial<VastStandInOptions> = {}): Promise<void> {
    await this.#running?.close();
    this.#running = await startVastStandIn({ port: 0, stateDir: this.stateDir, apiKey: KEY, bootMs: 60, ...options });
  }

  async close(): Promise<void> {
    await this.#running?.close();
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  get url(): string {
    return this.#running!.url;
  }
  get port(): number {
    return this.#running!.port;
  }

  async ask(method: string, path: string, body?: unknown, key: string | null = KEY): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(key && { authorization: `Bearer ${key}` }), "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    const text = await response.text();
    let json: Json = null;
    try {
      json = JSON.parse(text);
    } catch {}
    const { status, headers } = response;
    return { status, type: headers.get("content-type"), headers, text, json };
  }

  async arm(rule: object): Promise<void> {
    const { status, text } = await this.ask("POST", "/local/faults", rule);
    if (status !== 200) throw new Error(text);
  }

  async counts(): Promise<Record<string, { struck: number; on: Record<string, number> }>> {
    return (await this.ask("GET", "/local/faults/counts")).json.counts;
  }

  async search(body: object = {}, key: string | null = KEY): Promise<Json[]> {
    return (await this.ask("POST", "/api/v0/bundles/", body, key)).json.offers;
  }

  async list(): Promise<Json[]> {
    return (await this.ask("GET", "/api/v1/instances/")).json.instances;
  }

  /** The cheapest offer for one GPU, rented; the answer as it comes. */
  async rent(change: object = {}): Promise<Answer & { offer: Json }> {
    const [offer] = await this.search({ num_gpus: { eq: 1 }, order: [["dph_total", "asc"]] });
    return { ...(await this.ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate(change))), offer };
  }

  async create(change: object = {}): Promise<{ id: number; key: string; offerId: number }> {
    const { json, offer } = await this.rent(change);
    return { id: json.new_contract, key: json.instance_api_key, offerId: offer.id };
  }

  running(id: number): Promise<Json> {
    return waitFor(async () => (await this.list()).find((row) => row.id === id && row.actual_status === "running"));
  }

  absent(id: number): Promise<boolean> {
    return waitFor(async () => !(await this.list()).some((row) => row.id === id));
  }

  async bill(): Promise<BillRow[]> {
    return (await this.ask("GET", "/local/bill")).json.bill;
  }
}
