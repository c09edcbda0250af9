/** What happened so far, one line each: it is thrown with the invariant that broke. */
import type { LifecycleEvent, Outcome } from "../events.ts";
import type { Clock } from "./clock.ts";

export class Story {
  readonly #clock: Clock;
  readonly #from: number;
  readonly #lines: string[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#from = clock.now;
  }

  tell(text: string): void {
    this.#lines.push(`${((this.#clock.now - this.#from) / 1000).toFixed(1).padStart(8)} s  ${text}`);
  }

  last(count: number): string {
    return this.#lines.slice(-count).join("\n");
  }

  check(broken: string | null): void {
    if (broken) throw new Error(`${broken}\n${this.last(60)}`);
  }
}

export function eventLine(event: LifecycleEvent): string {
  const { type } = event;
  if (type === "beat")
    return `beat ${event.epoch} ${event.verdict.kind}${event.seal ? ` seal=${event.seal.snapshot.seq}` : ""}`;
  return "epoch" in event ? `${type} ${event.epoch}${type === "endTried" ? ` ${event.accepted}` : ""}` : type;
}

export function outcomeLine(outcome: Outcome): string {
  const phase = outcome.state.now;
  const step = "step" in phase ? `/${phase.step}` : "";
  return [
    `${phase.status}${step}`,
    ...outcome.effects.map((one) => (one.kind === "log" ? one.type : `<${one.kind}>`)),
  ].join(" ");
}
