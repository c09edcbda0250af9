/** Follows one instance through the API and tells what happens; for the demo and the end-to-end tests. */
import type { EventView, InstanceView } from "../core/protocol/views.ts";
import type { LocalCloud } from "./cloud.ts";
import { sleep } from "./processes.ts";
import { bytesText, eventText, moneyText } from "./tell.ts";
import type { BillRow } from "./vast/bill.ts";
import type { LocalMachine } from "./vast/control.ts";

export type Report = (event: Record<string, unknown>, text: string) => void;

export class Story {
  readonly #cloud: LocalCloud;
  readonly #id: string;
  readonly #report: Report;
  readonly #told = new Set<string>();
  #after = 0;
  #progressAt = 0;

  constructor(cloud: LocalCloud, id: string, report: Report = () => undefined) {
    this.#cloud = cloud;
    this.#id = id;
    this.#report = report;
  }

  async machine(): Promise<LocalMachine> {
    for (;;) {
      await this.tellNews();
      const { machines } = await this.#cloud.vastLocal<{ machines: LocalMachine[] }>("GET", "/local/machines");
      const found = machines.find((one) => one.label?.startsWith(`soneca:${this.#id}:`));
      if (found) return found;
      await sleep(100);
    }
  }

  /** Follows the instance until it has this state; throws when it ends up somewhere else or takes too long. */
  async until(state: string): Promise<InstanceView> {
    const deadline = Date.now() + 45 * 60_000;
    let lastPart = "";
    while (Date.now() < deadline) {
      await this.tellNews();
      const view = await ask(this.#cloud, "GET", `/api/instances/${this.#id}`);
      if (view.state === state) return view;
      if (view.trouble) throw new Error(`${view.trouble.code}: ${view.trouble.message}`);
      const progress = view.progress;
      if (progress && progress.parts_done > 0) {
        const text = `${progress.phase}: ${bytesText(progress.done_bytes)} of ${bytesText(progress.plain_bytes)}, ${progress.parts_done} parts`;
        if (text !== lastPart && Date.now() - this.#progressAt > 5_000) {
          this.#report({ event: "progress", ...progress }, `  ${text}`);
          this.#progressAt = Date.now();
          lastPart = text;
        }
      }
      await sleep(250);
    }
    throw new Error(`it did not become ${state} in time`);
  }

  /** Events are read from D1, which follows the instance by moments: the state may be known before its event is. */
  async untilTold(type: EventView["event_type"]): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!this.#told.has(type)) {
      if (Date.now() > deadline) throw new Error(`no event ${type} was shown within a minute`);
      await sleep(100);
      await this.tellNews();
    }
  }

  async tellNews(): Promise<void> {
    const answer = await this.#cloud.api<{ events: EventView[]; next_after: number }>(
      "GET",
      `/api/instances/${this.#id}/events?after=${this.#after}`,
    );
    if (answer.status !== 200) return;
    for (const event of answer.body.events) {
      this.#told.add(event.event_type);
      const text = eventText(event);
      if (text) this.#report({ event: "instance", ...event }, text);
    }
    this.#after = answer.body.next_after;
  }

  async tellMoney(view: InstanceView): Promise<void> {
    const { bill } = await this.#cloud.vastLocal<{ bill: BillRow[] }>("GET", "/local/bill");
    const running = bill.filter((row) => row.endedAt === null).length;
    const paid = view.cost.paid_micro_usd;
    this.#report(
      { event: "cost", paidMicroUsd: paid, paidSeconds: view.cost.paid_seconds, machinesRented: running },
      `cost so far ${moneyText(paid, 6)} for ${view.cost.paid_seconds.toFixed(0)} s; machines on the provider's bill now: ${running}`,
    );
  }
}

/** `retryForMs`: how long a refusal that asks for patience (429, 503) is obeyed. */
export async function ask(
  cloud: LocalCloud,
  method: string,
  path: string,
  body?: unknown,
  retryForMs = 0,
): Promise<InstanceView> {
  const until = Date.now() + retryForMs;
  for (;;) {
    const answer = await cloud.api<InstanceView>(method, path, body);
    if (answer.status < 300) return answer.body;
    const isTemporary = answer.status === 429 || answer.status === 503;
    if (!isTemporary || Date.now() > until)
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    await sleep(500);
  }
}
