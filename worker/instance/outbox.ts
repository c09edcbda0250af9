/**
 * Carries out what the outbox holds. Four lanes, so that neither a read model that stalls nor work on old snapshots ever
 * delays a machine: `world` asks the provider and proves, `store` copies and deletes, `mirror` copies to D1, `notice` queues what
 * its owner is told. A row stays until its outcome is written with the state, so each runs at least once; what must not run twice says so by itself (effects.ts).
 */
import { machineWith, wantsRental } from "../../core/lifecycle/attempts.ts";
import { nextDeadline } from "../../core/lifecycle/deadlines.ts";
import type { LifecycleEvent } from "../../core/lifecycle/events.ts";
import { isOnSeal, mayStop } from "../../core/lifecycle/parked.ts";
import { inUse, mayCollect } from "../../core/lifecycle/snapshots.ts";
import type { Timings } from "../../core/lifecycle/timings.ts";
import { mayEnd } from "../../core/lifecycle/transition.ts";
import type { EventView, Glance, InstanceView } from "../../core/protocol/views.ts";
import { accountNamed } from "../account/accounts.ts";
import { countedBucket, newTally, type Tally } from "../counted-bucket.ts";
import { accountOfTeam, deploymentAccount } from "../db/provider-keys.ts";
import { mirrorEvents, mirrorStatus } from "../db/read-model.ts";
import type { Env } from "../env.ts";
import { log } from "../log.ts";
import { queueNotices } from "../notices/queue.ts";
import { runEffect } from "./effects.ts";
import { machineOf } from "./machine-of.ts";
import type { Meters } from "./meters.ts";
import type { InstanceStore, Lane, LogReader, OutboxRow, Saved } from "./store.ts";
import { eventView } from "./view.ts";

/** After this time a row that was begun and has no outcome is taken up again: the object died in the middle. */
const redoAfterMs = 90_000;
const maxBackoffMs = 60_000;
const lanes: readonly Lane[] = ["world", "store", "mirror", "notice"];
const accountWithinMs = 2_000;

export interface OutboxHost {
  saved(): Saved | null;
  /** As it is mirrored. */
  shown(): { view: InstanceView; glance: Glance; meters: Meters };
  timings(): Timings;
  apply(event: LifecycleEvent, doneRow: number): void;
  /** What an effect asked of the store. */
  count(bucket: R2Bucket, tally: Tally): void;
  arm(): Promise<void>;
}

export class Outbox {
  readonly #env: Env;
  readonly #store: InstanceStore;
  readonly #host: OutboxHost;
  #busy: Record<Lane, Promise<void> | null> = { world: null, store: null, mirror: null, notice: null };
  /** Rows begun by this very object: a row that was tried and is not here was cut off in an earlier life. */
  #mine = new Set<number>();
  /** Those of them that sent what must not be sent twice. Whatever is thrown from then on, they may have had their effect. */
  #sent = new Set<number>();

  constructor(env: Env, store: InstanceStore, host: OutboxHost) {
    this.#env = env;
    this.#store = store;
    this.#host = host;
  }

  async drainAll(): Promise<void> {
    await Promise.all(lanes.map((lane) => this.drain(lane)));
  }

  /** Runs the lane until nothing is due. One run per lane at a time; a second caller waits for the first. */
  drain(lane: Lane): Promise<void> {
    this.#busy[lane] ??= this.#run(lane).finally(() => {
      this.#busy[lane] = null;
    });
    return this.#busy[lane];
  }

  async #run(lane: Lane): Promise<void> {
    if (!this.#host.saved()) return;
    for (;;) {
      const now = Date.now();
      // A row cut off in an earlier life is due at once, whatever its time says.
      const row = this.#store
        .dueTasks(lane, now + redoAfterMs)
        .find((one) => one.nextAt <= now || (one.attempts > 0 && !this.#mine.has(one.id)));
      if (!row) break;
      const isRepeat = row.attempts > 0 && (!this.#mine.has(row.id) || this.#sent.has(row.id));
      this.#mine.add(row.id);
      this.#store.markTried(row.id, now + redoAfterMs);
      try {
        const answer = await this.#carryOut(row, isRepeat);
        // A copy that came to its end says nothing that the request or the alarm before it did not.
        if (row.lane === "world" || row.lane === "store")
          log.info("effect", { ...this.#described(row, now), outcome: answer });
      } catch (error) {
        const waitMs = Math.min(500 * 2 ** Math.min(row.attempts, 10), maxBackoffMs);
        log.error("effect", { ...this.#described(row, now), outcome: "failed", again_ms: waitMs, error });
        this.#store.markTried(row.id, Date.now() + waitMs);
        // The lane stops here so that rows keep their order; the alarm takes it up again.
        break;
      }
    }
    await this.#host.arm();
  }

  #described({ task, attempts }: OutboxRow, startedAt: number) {
    const instance = this.#host.saved()?.state.instance;
    const epoch = "epoch" in task ? { epoch: task.epoch } : {};
    return { instance, task: task.kind, ...epoch, attempt: attempts + 1, ms: Date.now() - startedAt };
  }

  /** What came of it: the type of the event that it was to the lifecycle. */
  async #carryOut(row: OutboxRow, wasCutOff: boolean): Promise<string> {
    const { task } = row;
    const lastId = this.#store.lastTaskId();
    if (task.kind === "mirrorStatus") {
      const { state, version } = this.#host.saved()!;
      const dueAt = nextDeadline(state, this.#host.timings());
      const policyVersion = state.policies?.version ?? 0;
      const { view, glance, meters } = this.#host.shown();
      const account = this.#store.accounts.of(machineOf(state)?.epoch ?? state.epoch);
      const providerAccount = account === deploymentAccount ? null : account;
      await mirrorStatus(this.#env.DB, view, glance, { version, dueAt, policyVersion, meters, providerAccount });
      this.#store.deleteLike(task, lastId);
      return "copied";
    }
    if (task.kind === "mirrorEvents") {
      await this.#readLog("mirrored", (events) => mirrorEvents(this.#env.DB, events));
      this.#store.deleteLike(task, lastId);
      return "copied";
    }
    if (task.kind === "queueNotices") {
      await this.#readLog("noticed", (events) => queueNotices(this.#env, this.#host.saved()!.state, events));
      this.#store.deleteLike(task, lastId);
      return "queued";
    }
    const state = () => this.#host.saved()!.state;
    if (task.kind === "rent" && !wantsRental(state(), task.epoch)) {
      // Called off before it began, or begun and never heard of: the label decides whether there is a machine.
      if (!wasCutOff) {
        this.#store.deleteTask(row.id);
        return "called_off";
      }
    }
    const retiring = (epoch: number) => state().retiring.find((one) => one.machine.epoch === epoch);
    const tally = newTally();
    const env = { ...this.#env, SNAPSHOTS: countedBucket(this.#env.SNAPSHOTS, tally) };
    const event = await runEffect(task, {
      env,
      instance: state().instance,
      wasCutOff,
      noteSent: () => this.#sent.add(row.id),
      mayEnd: (epoch) => {
        const one = retiring(epoch);
        return one !== undefined && mayEnd(state(), one, Date.now());
      },
      mayStop: (epoch) => mayStop(state(), epoch, Date.now()),
      isStopped: (epoch) => retiring(epoch)?.isStopped === true,
      isOnSeal: (epoch) => isOnSeal(state(), epoch),
      acceptedAt: (epoch) => retiring(epoch)?.acceptedAt ?? null,
      timings: this.#host.timings(),
      rentedAt: (epoch) => machineWith(state(), epoch)?.rentedAt ?? null,
      history: () => this.#store.history.all(),
      retention: () => state().config.retention,
      inUse: () => inUse(state(), Date.now()),
      mayCollect: () => mayCollect(state()),
      graceMs: this.#host.timings().partGraceMs,
      account: (epoch) => accountNamed(this.#env, this.#store.accounts.of(epoch)),
      accountToRent: async (epoch) => {
        const { accounts } = this.#store;
        const now = () => accountNow(this.#env.DB, state().owner);
        return accountNamed(this.#env, await accounts.decide(epoch, wasCutOff, now));
      },
    });
    this.#host.apply(event, row.id);
    this.#host.count(env.SNAPSHOTS, tally);
    return "code" in event && event.code ? `${event.type}: ${event.code}` : event.type;
  }

  async #readLog(reader: LogReader, take: (events: EventView[]) => Promise<void>): Promise<void> {
    for (;;) {
      const rows = this.#store.logAfter(this.#store.readTo(reader), 100);
      if (rows.length === 0) return;
      const { state } = this.#host.saved()!;
      const { people } = this.#store;
      await take(rows.map((row) => eventView(state, row, (actor) => people.nameOf(actor))));
      this.#store.setReadTo(reader, rows.at(-1)!.seq);
    }
  }
}

/** What the team rents with now. Null: that is not known, and no machine waits for the database: the last one is used again. */
async function accountNow(db: D1Database, team: string): Promise<string | null> {
  const late = scheduler.wait(accountWithinMs).then(() => null);
  return Promise.race([accountOfTeam(db, team), late]).catch((error: unknown) => {
    log.error("provider_account_unknown", { error });
    return null;
  });
}
