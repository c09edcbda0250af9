/** The programs of a campaign, its counts, and the ways to reach them while they are being killed. */
import { join } from "node:path";
import type { LocalCloud } from "../../local-cloud/cloud.ts";
import { sleep } from "../../local-cloud/processes.ts";
import type { ProgramName } from "../../local-cloud/programs.ts";
import type { BillRow } from "../../local-cloud/vast/bill.ts";
import type { LocalMachine } from "../../local-cloud/vast/control.ts";
import type { FaultOrder } from "../../local-cloud/vast/fault-rules.ts";
import { billOf, listMachines, readAgentLog } from "../testing/cloud.ts";

/** Something that must never be: it ends the cycle, and the campaign with status 1. */
export class Breach extends Error {
  override name = "Breach";
}

export class World {
  readonly cloud: LocalCloud;
  readonly base: string;
  /** What was done, by its name; rules of the stand-in count when they struck. */
  readonly counts = new Map<string, number>();
  #turns: Partial<Record<ProgramName, Promise<void>>> = {};
  #cron: Promise<void> | null = null;
  isOver = false;
  readonly #stop: AbortSignal;

  constructor(cloud: LocalCloud, base: string, stop: AbortSignal) {
    this.cloud = cloud;
    this.#stop = stop;
    this.base = base;
  }

  /** In every loop that waits. Errors: the reason of the stop. */
  mayGoOn(): void {
    this.#stop.throwIfAborted();
  }

  count(name: string, by = 1): void {
    if (by > 0) this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  /** SIGKILL, `downMs` of nothing, and a new start. One after another for each program. */
  kill(name: ProgramName, downMs: number, isStillWanted: () => Promise<boolean>): Promise<boolean> {
    const turn = (this.#turns[name] ?? Promise.resolve()).then(async () => {
      if (this.isOver || !(await isStillWanted())) return false;
      await this.cloud.killProgram(name);
      await sleep(downMs);
      await this.cloud.startProgram(name);
      return true;
    });
    this.#turns[name] = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  /** Both programs stand, and no kill of another is under way. */
  async stand(): Promise<void> {
    for (const name of ["vast", "worker"] as const) {
      await this.#turns[name];
      if (!this.cloud.isRunning(name)) await this.cloud.startProgram(name);
    }
  }

  /** Each minute's and each five minutes' work, at the pace of the campaign. Says nothing while the worker is dead. */
  cron(): Promise<void> {
    this.#cron ??= this.cloud
      .runCron(["* * * * *", "*/5 * * * *"])
      .catch(() => undefined)
      .finally(() => {
        this.#cron = null;
      });
    return this.#cron;
  }

  /** Asks until it is answered: the program may just be dead. Errors: Breach after `withinMs`. */
  async patiently<T>(what: string, ask: () => Promise<T>, withinMs = 60_000): Promise<T> {
    const end = Date.now() + withinMs;
    for (;;) {
      this.mayGoOn();
      try {
        return await ask();
      } catch (error) {
        if (Date.now() > end) throw new Breach(`${what}: no answer in ${withinMs / 1000} s: ${error}`);
        await sleep(150);
      }
    }
  }

  machines(): Promise<LocalMachine[]> {
    return this.patiently("the stand-in's machines", () => listMachines(this.cloud));
  }

  bill(): Promise<BillRow[]> {
    return this.patiently("the stand-in's bill", () => billOf(this.cloud));
  }

  /** The rule's number. */
  async arm(order: FaultOrder): Promise<number> {
    const answer = await this.patiently("a rule", () =>
      this.cloud.vastLocal<{ rule: number }>("POST", "/local/faults", order),
    );
    return answer.rule;
  }

  /** Takes the rule away; says how often it struck. */
  async disarm(rule: number): Promise<number> {
    const path = "/local/faults";
    const { armed } = await this.patiently("the rules", () =>
      this.cloud.vastLocal<{ armed: { rule: number; struck: number }[] }>("GET", path),
    );
    await this.patiently("a rule's end", () => this.cloud.vastLocal("DELETE", `${path}/${rule}`));
    return armed.find((one) => one.rule === rule)?.struck ?? 0;
  }

  /** What the agent of a machine wrote in its log. The list of machines says where, but looks at every process of this host. */
  agentLogOf(id: number | null): Record<string, unknown>[] {
    return id === null ? [] : readAgentLog({ path: join(this.cloud.stateDir, "vast", "machines", String(id)) });
  }

  onMachine(id: number, action: string, method: "PUT" | "POST", body?: object): Promise<unknown> {
    return this.cloud.vastLocal(method, `/local/machines/${id}/${action}`, body);
  }
}
