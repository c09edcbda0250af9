/**
 * One object per instance: the only writer of its life. Here is what may be asked of it, by its team, its agent, whoever looks
 * at it, the clock and the cron; how its state changes is in shell.ts.
 */
import { DurableObject } from "cloudflare:workers";
import { type Action, actionsFor, judgeWake } from "../../core/lifecycle/abilities.ts";
import { machineWith, mayStore } from "../../core/lifecycle/attempts.ts";
import { leaseCapMs } from "../../core/lifecycle/awake.ts";
import { adoptInstance, type Birth, createFork, createInstance } from "../../core/lifecycle/birth.ts";
import type { Books, Span } from "../../core/lifecycle/books.ts";
import type { LifecycleEvent, Outcome } from "../../core/lifecycle/events.ts";
import { isUnsaved } from "../../core/lifecycle/parked.ts";
import { layersOf, ownSettings, type Policies } from "../../core/lifecycle/policy.ts";
import { knownOf, type PreviewFacts, replayDays } from "../../core/lifecycle/preview.ts";
import { type RentPlan, rentPlanOf } from "../../core/lifecycle/rent-plan.ts";
import { dayMs } from "../../core/lifecycle/series.ts";
import type { Copying, Hold, ProvedSnapshot } from "../../core/lifecycle/snapshot-types.ts";
import type { Actor, MachineSpec, RentedFacts, WakeRequest } from "../../core/lifecycle/types.ts";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { AutoHibernationPatch } from "../../core/protocol/config.ts";
import { AppError } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { SeriesAnswer, SeriesSpan } from "../../core/protocol/live.ts";
import { resolveSettings } from "../../core/protocol/policy.ts";
import type { RentRulesPatch } from "../../core/protocol/rent.ts";
import type { EventView, InstanceSummary, InstanceView } from "../../core/protocol/views.ts";
import type { StatusAnswer, StatusReport } from "../../core/protocol/wire.ts";
import type { By } from "../asker.ts";
import { deploymentAccount } from "../db/provider-keys.ts";
import type { Env } from "../env.ts";
import { log, prepareLog } from "../log.ts";
import { holdMs } from "../snapshots/effects.ts";
import { type Answer, notFound, type Refusal } from "./answer.ts";
import { Beats } from "./beats.ts";
import type { Counts } from "./books.ts";
import { summaryOf } from "./glance.ts";
import type { HistoryRow } from "./history.ts";
import type { KnockAnswer, KnockRequest } from "./knocking.ts";
import { type LendHost, lendSnapshot } from "./lend.ts";
import { machineOf } from "./machine-of.ts";
import { changeSettings, notWhole, settingsView } from "./settings.ts";
import { InstanceShell } from "./shell.ts";
import { eventView } from "./view.ts";
import { type WatchBy, watcherHeader } from "./watchers.ts";

export interface WakeOptions {
  maxMicroUsdPerHour?: number | null | undefined;
  rent?: RentRulesPatch | undefined;
  keepTryingMs?: number;
  /** Number of an older snapshot to go back to. */
  snapshot?: number | undefined;
}

const alarmAgainMs = 10_000;

export class InstanceObject extends DurableObject<Env> {
  readonly #shell: InstanceShell;
  readonly #beats: Beats;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    prepareLog(env);
    this.#shell = new InstanceShell(ctx, env);
    this.#beats = new Beats(env, this.#shell);
  }

  // ---- birth -------------------------------------------------------------------------------------------------------

  async create(birth: Wish): Promise<Answer<{ view: InstanceView }>> {
    return this.#beBorn(birth, createInstance(birth, this.#shell.context()));
  }

  /** `account`: the provider account that it is rented with. */
  async adopt(
    birth: Wish,
    facts: RentedFacts,
    rentedAt: number,
    account = deploymentAccount,
  ): Promise<Answer<{ view: InstanceView }>> {
    return this.#beBorn(birth, adoptInstance(birth, facts, rentedAt, this.#shell.context()), account);
  }

  /** From a snapshot of another instance; `isWoken`: a machine is rented as soon as it is copied. */
  async fork(birth: Wish, from: Copying["from"], isWoken: boolean): Promise<Answer<{ view: InstanceView }>> {
    return this.#beBorn(birth, createFork(birth, from, isWoken, this.#shell.context()));
  }

  async #beBorn(
    { owner, by = owner, byName }: Wish,
    outcome: Outcome,
    account = deploymentAccount,
  ): Promise<Answer<{ view: InstanceView }>> {
    if (this.#shell.saved) return { ok: true, view: this.#shell.view() };
    this.#shell.begin(outcome, account);
    if (byName) this.#shell.store.people.note(by, byName);
    // Armed before anything is waited for: nobody else knows of this object yet.
    this.#shell.wakeUp();
    // The list must show what was just made; a read model that does not answer catches up later.
    await Promise.race([this.#shell.outbox.drain("mirror"), scheduler.wait(3_000)]);
    return { ok: true, view: this.#shell.view() };
  }

  // ---- what its team asks ----------------------------------------------------------------------------------------

  async get(by: By): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    await this.#shell.pastWakes.learn(this.#shell.state);
    return { ok: true, view: this.#shell.view() };
  }

  /** A row of its owner's list, as it is now. */
  async glance(by: By): Promise<Answer<{ summary: InstanceSummary }>> {
    if (!this.#isTheirs(by)) return notFound;
    const [view, glance] = this.#shell.shown();
    return { ok: true, summary: summaryOf(view, glance, Date.now()) };
  }

  async wake(
    by: By,
    gpuType: string | null,
    region: string | null,
    { maxMicroUsdPerHour, rent, keepTryingMs = 0, snapshot }: WakeOptions = {},
  ): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    const refused = this.#refuseWake(snapshot !== undefined);
    if (refused) return refused;
    const older = snapshot === undefined ? null : await this.#older(snapshot);
    if (older && !older.ok) return older;
    // Time has passed since it was asked.
    const refusedNow = older && this.#refuseWake(older.snapshot !== null);
    if (refusedNow) return refusedNow;
    const now = Date.now();
    const wake: WakeRequest = {
      actor: this.#asActor(by),
      gpuType,
      region,
      askedAt: now,
      ...(maxMicroUsdPerHour !== undefined && { maxMicroUsdPerHour }),
      ...(rent && { rent }),
      ...(older?.snapshot && { snapshot: older.snapshot }),
      ...(keepTryingMs > 0 && { keepTrying: { until: now + keepTryingMs, tries: 0 } }),
    };
    return this.#change({ type: "wake", wake });
  }

  /** `isBack`: to an older snapshot, which only something that sleeps can do, and has nothing to save first. */
  #refuseWake(isBack: boolean): Refusal | null {
    const { state } = this.#shell;
    const verdict = judgeWake(state, Date.now(), this.#shell.context().timings);
    if (verdict.kind === "limited") {
      return { ok: false, code: "wake_rate_limited", context: { retryAfterMs: verdict.retryAfterMs } };
    }
    const isFree = verdict.kind === "start" && !("machine" in state.now && state.now.machine);
    if (!isBack) return null;
    const context = { state: state.now.status };
    if (!isFree) return { ok: false, code: "rollback_needs_sleep", context };
    return isUnsaved(state) ? { ok: false, code: "machine_unsaved", context } : null;
  }

  /** Null for the current one: to wake with that is no going back. */
  async #older(seq: number): Promise<Answer<{ snapshot: ProvedSnapshot | null }>> {
    const { state } = this.#shell;
    if (state.snapshot?.ref.seq === seq) return { ok: true, snapshot: null };
    return lendSnapshot(this.#lendHost(), { by: state.instance, seq, forMs: 60_000 });
  }

  /** For an instance that is made from one of these snapshots; `seq`: null for the current one. */
  async lend(
    by: By,
    borrower: InstanceId,
    seq: number | null,
  ): Promise<Answer<{ snapshot: ProvedSnapshot; spec: MachineSpec; own: AutoHibernationPatch }>> {
    if (!this.#isTheirs(by)) return notFound;
    const lent = await lendSnapshot(this.#lendHost(), { by: borrower, seq, forMs: holdMs });
    const { state } = this.#shell;
    return lent.ok ? { ...lent, spec: state.spec, own: ownSettings(state) } : lent;
  }

  /** Who copies a snapshot says so in time, and when it is done. */
  async hold(hold: Hold): Promise<void> {
    if (this.#shell.saved) this.#shell.apply({ type: "hold", hold });
  }

  #lendHost(): LendHost {
    return {
      bucket: this.env.SNAPSHOTS,
      state: () => this.#shell.state,
      history: () => this.#shell.store.history.all(),
      hold: (hold) => this.#shell.apply({ type: "hold", hold }),
    };
  }

  /** What a plain wake would look for. */
  async rentPlan(by: By): Promise<Answer<{ plan: RentPlan }>> {
    return this.#isTheirs(by) ? { ok: true, plan: rentPlanOf(this.#shell.state, Date.now()) } : notFound;
  }

  /** What is known of its snapshots beside the store. */
  async history(by: By): Promise<Answer<{ rows: HistoryRow[]; current: ProvedSnapshot | null }>> {
    if (!this.#isTheirs(by)) return notFound;
    return { ok: true, rows: this.#shell.store.history.all(), current: this.#shell.state.snapshot };
  }

  /** `force`: of a sleep, which the hook before it may not put off. */
  async act(by: By, action: "hibernate" | "discard", force = false): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { state } = this.#shell;
    // On its way or there already: to ask again calls off a wake that waits, or makes a sleep of the rule one's own.
    const isAsleep =
      action === "hibernate" && ["snapshotting", "destroying", "hibernated", "deleted"].includes(state.now.status);
    const refused = isAsleep ? null : this.#refuse(action);
    if (refused) return refused;
    const actor = this.#asActor(by);
    return this.#change(
      action === "hibernate" ? { type: action, actor, ...(force && { force }) } : { type: action, actor },
    );
  }

  /** `minutes`: null is "not now", for as long as the settings say. */
  async keepAwake(by: By, minutes: number | null, what: string | null): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { state } = this.#shell;
    const action = minutes === null ? "not_now" : "keep_awake";
    const refused = this.#refuse(action);
    if (refused) return refused;
    const ms = (minutes ?? state.config.not_now_minutes) * 60_000;
    if (minutes !== null && ms > leaseCapMs(state)) {
      return { ok: false, code: "lease_too_long", context: { max_minutes: leaseCapMs(state) / 60_000 } };
    }
    const actor = this.#asActor(by);
    return this.#change({ type: "keepAwake", actor, until: Date.now() + ms, what, isNotNow: minutes === null });
  }

  async rename(by: By, name: string): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    return this.#change({ type: "rename", actor: this.#asActor(by), name });
  }

  async letSleep(by: By): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    return this.#change({ type: "letSleep", actor: this.#asActor(by) });
  }

  #refuse(action: Action): Refusal | null {
    const { state } = this.#shell;
    const actions = actionsFor(state);
    if (actions.includes(action)) return null;
    return { ok: false, code: "action_not_allowed", context: { action, state: state.now.status, actions } };
  }

  async settings(by: By): Promise<Answer<{ settings: AnswerOf<"getConfig"> }>> {
    return this.#isTheirs(by) ? { ok: true, settings: settingsView(this.#shell.state) } : notFound;
  }

  /** `unset`: names of settings that the policies decide again. */
  async configure(
    by: By,
    patch: AutoHibernationPatch,
    unset: string[],
  ): Promise<Answer<{ settings: AnswerOf<"putConfig"> }>> {
    if (!this.#isTheirs(by)) return notFound;
    const changed = changeSettings(this.#shell.state, patch, unset);
    if (!changed) return notWhole;
    this.#shell.apply({ type: "configure", actor: this.#asActor(by), ...changed });
    this.#shell.wakeUp();
    return { ok: true, settings: settingsView(this.#shell.state) };
  }

  /** Its owner set something for several instances. What is no newer than what is known says nothing. */
  async takePolicies(policies: Policies): Promise<void> {
    if (!this.#shell.saved) return;
    const { state } = this.#shell.saved;
    if (policies.version <= (state.policies?.version ?? 0)) return;
    const config = resolveSettings(layersOf({ ...state, policies }));
    const actor = { kind: "user", id: state.owner } as const;
    this.#shell.apply({ type: "configure", actor, config, own: ownSettings(state), policies });
    this.#shell.wakeUp();
  }

  async events(by: By, after: number, limit: number): Promise<Answer<{ events: EventView[] }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { people } = this.#shell.store;
    const rows = this.#shell.store.logAfter(after, limit);
    return { ok: true, events: rows.map((row) => eventView(this.#shell.state, row, (one) => people.nameOf(one))) };
  }

  /** `span`: only what its sums need. */
  async books(by: By, span: Span | null): Promise<Answer<{ books: Books; name: string }>> {
    if (!this.#isTheirs(by)) return notFound;
    return { ok: true, books: this.#shell.books.read(span), name: this.#shell.state.name };
  }

  /** What its GPUs did, with its states and turning points. */
  async series(by: By, span: SeriesSpan): Promise<Answer<{ series: SeriesAnswer }>> {
    if (!this.#isTheirs(by)) return notFound;
    return { ok: true, series: this.#shell.series.answer(this.#shell.state, span, Date.now()) };
  }

  /** What it takes to say what other settings would have done. Changes nothing. */
  async preview(by: By, patch: AutoHibernationPatch): Promise<Answer<{ facts: PreviewFacts }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { state } = this.#shell;
    const changed = changeSettings(state, patch, []);
    if (!changed) return notWhole;
    const now = Date.now();
    const known = knownOf(state, this.#shell.books.read(null), this.#shell.pastWakes.of(state)?.usual ?? null);
    const peaks = this.#shell.series.peaks(now - replayDays * dayMs, now);
    return { ok: true, facts: { asIs: state.config, asSet: changed.config, known, peaks } };
  }

  /** A request to one of its services. */
  async knock(request: KnockRequest): Promise<KnockAnswer> {
    return this.#shell.knocking.knock(request);
  }

  // ---- who looks at it -------------------------------------------------------------------------------------------

  override async fetch(request: Request): Promise<Response> {
    const by = JSON.parse(request.headers.get(watcherHeader) ?? "{}") as WatchBy;
    if (!this.#isTheirs(by)) return Response.json(new AppError("instance_not_found").toBody(), { status: 404 });
    return this.#shell.watchers.admit(by);
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    socket.close(code === 1005 ? 1000 : code);
  }

  // ---- the agent -------------------------------------------------------------------------------------------------

  async beat(epoch: number, tokenIssuedAt: number, report: StatusReport): Promise<Answer<{ answer: StatusAnswer }>> {
    return this.#beats.beat(epoch, tokenIssuedAt, report);
  }

  /** Whether an agent of this epoch may read and write the store: older ones are fenced off (I3). */
  async admits(epoch: number): Promise<Answer<object>> {
    if (!this.#shell.saved) return notFound;
    const isAdmitted = mayStore(this.#shell.saved.state, epoch);
    return isAdmitted ? { ok: true } : { ok: false, code: "epoch_fenced", context: { epoch } };
  }

  /** What its machine of this epoch moved, and asked of the store. */
  async moved(epoch: number, counts: Counts): Promise<void> {
    if (this.#shell.saved) this.#shell.books.count(epoch, counts);
  }

  // ---- the clock, the cron -----------------------------------------------------------------------------------------

  override async alarm(_info?: AlarmInvocationInfo): Promise<void> {
    if (!this.#shell.saved) return;
    const startedAt = Date.now();
    const { instance, now: before } = this.#shell.saved.state;
    const told = () => ({
      instance,
      from: before.status,
      state: this.#shell.state.now.status,
      ms: Date.now() - startedAt,
    });
    // Whatever happens here, the object must be armed again: an alarm that throws is dropped after some tries.
    try {
      this.#shell.apply({ type: "tick" });
      await Promise.race([this.#shell.outbox.drainAll(), scheduler.wait(5_000)]);
      await this.#shell.alarm.arm();
      log.info("alarm", { ...told(), outcome: "ok" });
    } catch (error) {
      log.error("alarm", { ...told(), outcome: "failed", again_ms: alarmAgainMs, error });
      // The deadline that was due still is: not at once again, or this would turn in a circle.
      await this.ctx.storage.setAlarm(Date.now() + alarmAgainMs);
    }
  }

  /** Whether the machine of this epoch is still accounted for: its tunnel stays as long. */
  async hasMachine(epoch: number): Promise<boolean> {
    return this.#shell.saved !== null && machineWith(this.#shell.saved.state, epoch) !== null;
  }

  /** The cron sweep's touch: an alarm can be lost. */
  async poke(): Promise<boolean> {
    if (!this.#shell.saved) return false;
    this.#shell.apply({ type: "tick" });
    this.#shell.commit({
      saved: { ...this.#shell.saved, savedAt: Date.now() },
      logs: [],
      tasks: [{ kind: "mirrorStatus" }],
      charges: [],
    });
    this.#shell.wakeUp();
    return true;
  }

  /**
   * Reconcile: what the list of this account says of a machine with this instance's label. False: nothing is known here. In
   * another account than the machine was rented with anybody can write such a label: it says nothing.
   */
  async observe(event: Extract<LifecycleEvent, { type: "seen" }>, account: string): Promise<boolean> {
    if (!this.#shell.saved || this.#shell.store.accounts.of(event.epoch) !== account) return false;
    this.#shell.apply(event);
    this.#shell.wakeUp();
    return true;
  }

  /** Reconcile: the provider's list did not hold the machine that the read model shows. The object asks for itself. */
  async lookAgain(): Promise<void> {
    const machine = this.#shell.saved && machineOf(this.#shell.saved.state);
    if (!this.#shell.saved || !machine) return;
    const providerId = machine.facts?.providerId ?? null;
    this.#shell.commit({
      saved: this.#shell.saved,
      logs: [],
      tasks: [{ kind: "look", epoch: machine.epoch, label: machine.label, providerId }],
      charges: [],
    });
    this.#shell.wakeUp();
  }

  /** What follows from it is not waited for. */
  #change(event: LifecycleEvent): { ok: true; view: InstanceView } {
    this.#shell.apply(event);
    this.#shell.wakeUp();
    return { ok: true, view: this.#shell.view() };
  }

  #asActor({ user, name }: By): Actor {
    if (name !== null) this.#shell.store.people.note(user, name);
    return { kind: "user", id: user };
  }

  #isTheirs({ team }: By): boolean {
    return this.#shell.saved?.state.owner === team;
  }
}

/** `byName`: what the one is called whose wish it was. */
type Wish = Birth & { byName?: string | null };
