/** A control plane of canned answers over real HTTP, and views to answer with. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { AnswerOf } from "../../core/protocol/api.ts";
import { defaultAutoHibernation } from "../../core/protocol/config.ts";
import { AppError, type ErrorCode, type ErrorContext } from "../../core/protocol/errors.ts";
import { defaultRentRules } from "../../core/protocol/rent.ts";
import type { EventView, InstanceSummary, InstanceView } from "../../core/protocol/views.ts";

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: unknown;
  authorization: string | undefined;
}

export interface Canned {
  status?: number;
  headers?: Record<string, string>;
  json?: unknown;
  text?: string;
  bytes?: Uint8Array;
  /** Closes the connection after so many of `bytes`. */
  cutAfter?: number;
  /** `hang`: no answer at all. `cut`: the connection is closed without one. */
  fault?: "hang" | "cut";
}

export type Handler = (asked: Asked) => Canned;

export interface TestServer {
  url: string;
  asked: Asked[];
  /** `GET /api/me`; the last element of a list stays. */
  on(what: string, ...answers: (Canned | Handler)[]): void;
  close(): Promise<void>;
}

export async function startTestServer(): Promise<TestServer> {
  const answers = new Map<string, (Canned | Handler)[]>();
  const asked: Asked[] = [];
  const server = createServer(async (request, response) => {
    const one = await readRequest(request);
    asked.push(one);
    const queue = answers.get(`${one.method} ${one.path}`);
    const next = queue && queue.length > 1 ? queue.shift() : queue?.[0];
    const canned = typeof next === "function" ? next(one) : (next ?? errorAnswer("route_not_found"));
    if (canned.fault === "hang") return;
    if (canned.fault === "cut") return void request.socket.destroy();
    if (canned.bytes) return void sendBytes(response, canned.bytes, canned);
    response.writeHead(canned.status ?? 200, {
      "content-type": "application/json",
      "x-request-id": "req-1",
      ...canned.headers,
    });
    response.end(canned.text ?? (canned.json === undefined ? "" : JSON.stringify(canned.json)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    on: (what, ...list) => void answers.set(what, list),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function sendBytes(response: ServerResponse, bytes: Uint8Array, { headers, cutAfter }: Canned): void {
  const own = { "content-type": "application/octet-stream", "content-length": String(bytes.length) };
  response.writeHead(200, { ...own, ...headers });
  if (cutAfter === undefined) return void response.end(bytes);
  response.write(bytes.subarray(0, cutAfter), () => setTimeout(() => response.destroy(), 50));
}

async function readRequest(request: IncomingMessage): Promise<Asked> {
  let text = "";
  for await (const chunk of request) text += chunk;
  const url = new URL(request.url ?? "/", "http://test");
  return {
    method: request.method ?? "",
    path: url.pathname,
    query: url.searchParams,
    body: text === "" ? undefined : JSON.parse(text),
    authorization: request.headers.authorization,
  };
}

export function errorAnswer(code: ErrorCode, context: ErrorContext = {}, headers: Record<string, string> = {}): Canned {
  const error = new AppError(code, context);
  return { status: error.status, headers, json: error.toBody("req-9") };
}

export const testId = "i-aaaaaaaaaa";
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

export function instanceView(changes: Partial<InstanceView> = {}): InstanceView {
  return {
    id: testId,
    name: "train",
    user_id: "u-aaaaaaaaaa",
    status: "running",
    state: "running",
    state_since: ago(3_600_000),
    actions: ["hibernate", "configure", "discard"],
    epoch: 1,
    gpu_type: "RTX 4090",
    gpu_count: 1,
    region: "BR",
    machine: {
      vast_instance_id: 4711,
      label: `soneca:${testId}:1`,
      epoch: 1,
      gpu_type: "RTX 4090",
      gpu_count: 1,
      region: "BR",
      micro_usd_per_hour: 420_000,
      rented_at: ago(3_600_000),
      ssh: "ssh -p 4022 root@192.0.2.7",
      adopted: false,
    },
    rival_machines: [],
    proxy: { url: `https://soneca.example/p/${testId}/`, pipe: "relay", is_open: true, trouble: null },
    schedule: null,
    stopped_machine: null,
    retiring_machines: [],
    burn: { micro_usd_per_hour: 420_000, unpriced: 0 },
    storage: null,
    wake: null,
    copying: null,
    keep_trying: null,
    recovery_point: null,
    checkpoints: { next_at: null, running_since: null, progress: null, failure: null },
    sleep_request: null,
    rent: { ...defaultRentRules, max_micro_usd_per_hour: null },
    gpu_utilization: 37,
    last_activity: ago(120_000),
    last_report_at: ago(5_000),
    idle_since: null,
    hibernated_at: null,
    snapshot_id: null,
    snapshot: null,
    awake_because: [{ signal: "gpu", code: "gpu_busy", value: 37, threshold: 5, detail: "GPU 0" }],
    signals: [],
    leases: [],
    next: null,
    sleep_rule: {
      pause_after_idle_minutes: 3,
      tau_seconds: null,
      reason: null,
      reason_code: null,
      floor_seconds: 180,
      break_even_seconds: null,
      cycle_micro_usd: null,
      credit_micro_usd: null,
      unknown: [],
      gaps_known: 0,
      uploaded_at: null,
      sleeps: 0,
      false_sleeps: 0,
      saved_micro_usd: 0,
      last_sleep: null,
    },
    forecast: null,
    progress: null,
    trouble: null,
    cost: { paid_micro_usd: 1_260_000, paid_seconds: 10_800, unknown_price_seconds: 0 },
    auto_hibernation: defaultAutoHibernation,
    created_at: ago(86_400_000),
    ...changes,
  };
}

export function hibernatedView(changes: Partial<InstanceView> = {}): InstanceView {
  return instanceView({
    status: "hibernated",
    state: "hibernated",
    machine: null,
    awake_because: [],
    actions: ["wake", "configure"],
    hibernated_at: ago(60_000),
    snapshot_id: `${testId}@3`,
    snapshot: {
      snapshot_id: `${testId}@3`,
      seq: 3,
      epoch: 1,
      digest: "ab".repeat(32),
      created_at: ago(360_000),
      plain_bytes: 7_400_000_000,
      stored_bytes: 3_100_000_000,
      entries: 12_345,
      parts: 50,
      proved_at: ago(350_000),
      kind: "sleep",
      torn: 0,
    },
    ...changes,
  });
}

export function summary(changes: Partial<InstanceSummary> = {}): InstanceSummary {
  return {
    id: testId,
    name: "train",
    user_id: "u-aaaaaaaaaa",
    status: "running",
    state: "running",
    gpu_type: "RTX 4090",
    region: "BR",
    gpu_utilization: 37,
    last_activity: ago(120_000),
    idle_since: null,
    hibernated_at: null,
    snapshot_id: null,
    created_at: ago(86_400_000),
    vast_instance_id: 4711,
    micro_usd_per_hour: 420_000,
    recovery_point_at: ago(720_000),
    glance: null,
    updated_at: ago(1_000),
    ...changes,
  };
}

export function eventOf(seq: number, changes: Partial<EventView> = {}): EventView {
  return {
    seq,
    instance_id: testId,
    event_type: "idle_detected",
    timestamp: ago(1_000_000 - seq * 1000),
    actor: "rule",
    actor_name: null,
    gpu_utilization: 1,
    snapshot_id: null,
    reason: null,
    params: {},
    ...changes,
  };
}

/** Of an owner in a team of their own. */
export function meAnswer(name: string): AnswerOf<"me"> {
  const id = "u-aaaaaaaaaa";
  return { id, name, team: { id, name, role: "owner" }, instances: null, may: ["me"] };
}
