/** Requests that come to an instance's services: let through, made to wait, or turned away; one wake for however many. */
import { statusWord } from "../../core/lifecycle/abilities.ts";
import { msPerHour } from "../../core/lifecycle/amount.ts";
import type { Books } from "../../core/lifecycle/books.ts";
import type { Context, LifecycleEvent } from "../../core/lifecycle/events.ts";
import { judgeKnock, type Knock, type KnockVerdict, knockWake } from "../../core/lifecycle/knock.ts";
import type { State } from "../../core/lifecycle/types.ts";
import { type Wait, waitOf } from "../../core/lifecycle/wait.ts";
import type { UserId } from "../../core/protocol/ids.ts";
import {
  type Caller,
  callerText,
  isShown,
  kindOfRequest,
  mayCall,
  type ProxySettings,
  type RequestNature,
} from "../../core/protocol/proxy.ts";
import type { Progress } from "../../core/protocol/wire.ts";
import type { WayThere } from "../proxy/pipes.ts";
import type { InstanceGate } from "./gate.ts";
import { machineOf } from "./machine-of.ts";
import type { PastWakes } from "./past-wakes.ts";

export interface KnockRequest extends RequestNature {
  caller: Caller;
  /** Of the service; null: the instance's own. */
  port: number | null;
  /** How long it may wait for the machine; null: as the settings say. At most `mostWaitMs` in one call. */
  waitMs: number | null;
  /** The way that was found shut, by its epoch. */
  shut?: number;
  /** The way that broke more than once, by its epoch: it is tried before this is answered. */
  doubted?: number;
  /** Everything on the machine stood still when it was asked. */
  sealed?: true;
}

export type KnockAnswer =
  | { kind: "unknown" }
  | { kind: "forbidden" }
  | { kind: "not_shown" }
  | { kind: "open"; way: WayThere; name: string; owner: UserId; proxy: ProxySettings }
  | { kind: "closed"; code: ClosedCode; name: string; status: string; wait: Wait; proxy: ProxySettings };

export type ClosedCode =
  | "waking"
  | Extract<KnockVerdict, { kind: "asleep" }>["code"]
  | Exclude<Extract<KnockVerdict, { kind: "limited" }>["code"], "wake_rate_limited">;

export interface KnockHost {
  state(): State | null;
  apply(event: LifecycleEvent): void;
  wakeUp(): void;
  context(): Context;
  books(span: { fromAt: number; toAt: number }): Books;
  progress(): Progress | null;
  gate: InstanceGate;
  pastWakes: PastWakes;
}

/** How long one call waits at most: whoever waits longer asks again. */
export const mostWaitMs = 20_000;

export class Knocking {
  readonly #host: KnockHost;
  #waiting = new Set<() => void>();

  constructor(host: KnockHost) {
    this.#host = host;
  }

  /** Something changed that whoever waits may be waiting for. */
  notify(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  async knock(request: KnockRequest): Promise<KnockAnswer> {
    const { shut, doubted, sealed: _, ...later } = request;
    if (shut !== undefined) this.#host.gate.shut(shut);
    if (doubted !== undefined) await this.#host.gate.doubt(doubted);
    const first = await this.#answer(request);
    const holdMs = first.kind === "closed" ? (request.waitMs ?? first.proxy.hold_seconds * 1000) : 0;
    const untilAt = Date.now() + Math.min(holdMs, mostWaitMs);
    let answer = first;
    while (answer.kind === "closed" && answer.code === "waking" && Date.now() < untilAt) {
      await this.#change(untilAt - Date.now());
      // A sleep may have been called off meanwhile.
      answer = await this.#answer(later);
    }
    return answer;
  }

  async #answer(request: KnockRequest): Promise<KnockAnswer> {
    const { gate, context } = this.#host;
    const before = this.#host.state();
    if (!before) return { kind: "unknown" };
    const { caller } = request;
    const { proxy } = before.config;
    const isAllowed = request.isPreflight || mayCall(caller, before.owner, before.instance, proxy.access);
    if (!isAllowed) return { kind: "forbidden" };
    if (!isShown(proxy, request.port)) return { kind: "not_shown" };
    const wakesPerHour = caller.kind === "key" ? caller.wakesPerHour : null;
    const knock: Knock = { by: callerText(caller), ...kindOfRequest(proxy, request), wakesPerHour };
    const verdict = this.#judge(before, knock, request);
    if (verdict.kind === "wakes") {
      this.#host.apply({ type: "wake", wake: knockWake(knock, Date.now()) });
      this.#host.wakeUp();
    }
    const state = this.#host.state()!;
    const epoch = machineOf(state)?.epoch;
    const way = verdict.kind === "open" && epoch !== undefined ? gate.openWay(epoch) : null;
    if (verdict.kind === "open" && epoch !== undefined && !way) gate.tryAgain(epoch);
    if (way) return { kind: "open", way, name: state.name, owner: state.owner, proxy };
    await this.#host.pastWakes.learn(state);
    const usual = this.#host.pastWakes.of(state)?.usual ?? null;
    const wait = waitOf(state, usual, this.#host.progress(), context().now);
    const said = { kind: "closed", name: state.name, status: statusWord(state), wait, proxy } as const;
    if (verdict.kind === "asleep") return { ...said, code: verdict.code };
    if (verdict.kind !== "limited") return { ...said, code: "waking" };
    // It comes once the minute is over, if it is asked for again.
    const code = verdict.code === "wake_rate_limited" ? "waking" : verdict.code;
    return { ...said, code, wait: { ...wait, retryAfterMs: verdict.retryAfterMs } };
  }

  #judge(state: State, knock: Knock, { sealed }: KnockRequest): KnockVerdict {
    const ctx = this.#host.context();
    const books = () => this.#host.books({ fromAt: ctx.now - 24 * msPerHour, toAt: ctx.now });
    const verdict = judgeKnock(state, knock, books, ctx);
    // The state does not tell yet what the machine said.
    return sealed && verdict.kind === "open" ? { kind: "waits" } : verdict;
  }

  #change(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        resolve();
      };
      this.#waiting.add(done);
      // What is left and the restore's progress change without a word.
      void scheduler.wait(Math.min(withinMs, 5_000)).then(done);
    });
  }
}
