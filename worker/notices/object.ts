/**
 * One object per user: whatever tells the user's channels runs here, one run at a time, and no instance's object waits for it. The queue
 * is in D1; of its own it has the name of its user and an alarm at the next try.
 */
import { DurableObject } from "cloudflare:workers";
import type { Env } from "../env.ts";
import { log, prepareLog } from "../log.ts";
import { deliverDue } from "./deliver.ts";

const afterTroubleMs = 30_000;

export class NoticesObject extends DurableObject<Env> {
  #running: Promise<void> | null = null;
  /** Something was queued after the present run had looked. */
  #isStale = false;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    prepareLog(env);
  }

  /** Something waits. Returns at once. */
  async poke(userId: string): Promise<void> {
    if (this.ctx.storage.kv.get("user") !== userId) this.ctx.storage.kv.put("user", userId);
    this.ctx.waitUntil(this.#run());
  }

  override async alarm(): Promise<void> {
    await this.#run();
  }

  #run(): Promise<void> {
    this.#isStale = true;
    this.#running ??= this.#deliver().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #deliver(): Promise<void> {
    const userId = this.ctx.storage.kv.get<string>("user");
    if (!userId) return;
    while (this.#isStale) {
      this.#isStale = false;
      const at = await deliverDue(this.env, userId).catch((error: unknown) => {
        log.error("notices_failed", { user: userId, error });
        return Date.now() + afterTroubleMs;
      });
      if (at !== null) await this.ctx.storage.setAlarm(at);
    }
  }
}
