/**
 * What wakes usually take: of this instance, from its own state; while it has too few, of its owner's instances, from the
 * read model. That copy is only ever shown: nothing waits for it but the one who looks, and not for long.
 */
import type { State, WakeTimes } from "../../core/lifecycle/types.ts";
import { minWakeTimes, type UsualWake, usualWake } from "../../core/lifecycle/wake-times.ts";
import { recentWakes } from "../db/past-wakes.ts";
import { log } from "../log.ts";

export type KnownWake = { of: "instance" | "account"; usual: UsualWake } | null;

const answerWithinMs = 1_500;

export class PastWakes {
  readonly #db: D1Database;
  #ofAccount: WakeTimes[] = [];
  /** The wake that was asked for already: one question each. */
  #askedFor: number | null = null;

  constructor(db: D1Database) {
    this.#db = db;
  }

  async learn(state: State): Promise<void> {
    const { status } = state.now;
    const isWaking = status === "provisioning" || status === "restoring";
    if (!isWaking || (state.wakes?.length ?? 0) >= minWakeTimes || this.#askedFor === state.lastWakeAt) return;
    this.#askedFor = state.lastWakeAt;
    const found = recentWakes(this.#db, state.owner).catch((error: unknown) => {
      log.warn("past_wakes_unknown", { instance: state.instance, error });
      return [];
    });
    this.#ofAccount = await Promise.race([found, scheduler.wait(answerWithinMs).then(() => [])]);
  }

  of(state: State): KnownWake {
    const own = usualWake(state.wakes ?? []);
    if (own) return { of: "instance", usual: own };
    const others = usualWake(this.#ofAccount);
    return others && { of: "account", usual: others };
  }
}
