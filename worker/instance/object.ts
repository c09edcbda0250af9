/**
 * One object per instance: the only writer of its life. A shell around `transition`: it loads the state, lets the pure
 * function decide, writes state, log, outbox and ledger in one transaction, then carries out what the outbox holds.
 */
import { DurableObject } from "cloudflare:workers";
import { type Action, actionsFor, judgeWake } from "../../core/lifecycle/abilities.ts";
import { allMachines, machineWith, mayStore, speaks } from "../../core/lifecycle/attempts.ts";
import { leaseCapMs } from "../../core/lifecycle/awake.ts";
import { adoptInstance, type Birth, createFork, createInstance } from "../../core/lifecycle/birth.ts";
import type { Books, Span } from "../../core/lifecycle/books.ts";
import { commandsFor } from "../../core/lifecycle/commands.ts";
import { nextDeadline } from "../../core/lifecycle/deadlines.ts";
import type { Context, LifecycleEvent, Outcome } from "../../core/lifecycle/events.ts";
import { lookBackMs } from "../../core/lifecycle/forecast.ts";
import { layersOf, ownSettings, type Policies } from "../../core/lifecycle/policy.ts";
import { knownOf, type PreviewFacts, replayDays } from "../../core/lifecycle/preview.ts";
import { type RentPlan, rentPlanOf } from "../../core/lifecycle/rent-plan.ts";
import { dayMs } from "../../core/lifecycle/series.ts";
import type { Copying, Hold, ProvedSnapshot } from "../../core/lifecycle/snapshot-types.ts";
import { defaultTimings, type Timings } from "../../core/lifecycle/timings.ts";
import { transition } from "../../core/lifecycle/transition.ts";
import type { Actor, MachineSpec, RentedFacts, State, WakeRequest } from "../../core/lifecycle/types.ts";
import { untilNextBeatMs } from "../../core/lifecycle/warning.ts";
import { explainSignals } from "../../core/lifecycle/why.ts";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { AutoHibernationPatch } from "../../core/protocol/config.ts";
import { AppError, type ErrorCode, type ErrorContext } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import type { SeriesAnswer, SeriesSpan } from "../../core/protocol/live.ts";
import { resolveSettings } from "../../core/protocol/policy.ts";
import type { RentRulesPatch } from "../../core/protocol/rent.ts";
import type { EventView, Glance, InstanceSummary, InstanceView } from "../../core/protocol/views.ts";
import type { StatusAnswer, StatusReport } from "../../core/protocol/wire.ts";
import type { By } from "../asker.ts";
import { deploymentAccount } from "../db/provider-keys.ts";
import type { Env } from "../env.ts";
import { log, prepareLog } from "../log.ts";
import { holdMs } from "../snapshots/effects.ts";
import { agentTokenLifeMs, signAgentToken } from "../tokens.ts";
import { orderUpdate } from "./agent-build.ts";
import { Alarm } from "./alarm.ts";
import { type Counts, InstanceBooks } from "./books.ts";
import { changesMoreThanTheClock, commitOf } from "./commit.ts";
import { InstanceGate } from "./gate.ts";
import { glanceOf, minutesShown, summaryOf } from "./glance.ts";
import { hearReport } from "./hearing.ts";
import type { HistoryRow } from "./history.ts";
import { type KnockAnswer, Knocking, type KnockRequest } from "./knocking.ts";
import { type LendHost, lendSnapshot } from "./lend.ts";
import { machineOf } from "./machine-of.ts";
import { metersOf } from "./meters.ts";
import { Nudges } from "./nudges.ts";
import { Outbox } from "./outbox.ts";
import { PastWakes } from "./past-wakes.ts";
import { proxyView } from "./proxy-view.ts";
import { InstanceSeries } from "./series.ts";
import { changeSettings, notWhole, settingsView } from "./settings.ts";
import { type Commit, InstanceStore, type Samples, type Saved } from "./store.ts";
import { eventView, type Live, viewOf } from "./view.ts";
import { Watchers, watcherHeader } from "./watchers.ts";

export type Answer<T> = ({ ok: true } & T) | { ok: false; code: ErrorCode; context?: ErrorContext };

export interface WakeOptions {
  maxMicroUsdPerHour?: number | null | undefined;
  rent?: RentRulesPatch | undefined;
  keepTryingMs?: number;
  /** Number of an older snapshot to go back to. */
  snapshot?: number | undefined;
}

/** An ordinary heartbeat is written once per this many intervals; the agent repeats what is not written yet. */
const beatsPerSave = 16;
const alarmAgainMs = 10_000;

export class InstanceObject extends DurableObject<Env> {
  readonly #store: InstanceStore;
  readonly #outbox: Outbox;
  readonly #books: InstanceBooks;
  readonly #series: InstanceSeries;
  #saved: Saved | null;
  /** What SQLite holds of the samples: only that may the agent forget. */
  #kept: Samples | null;
  #lastReport: { bootId: string | null; sentAt: number } | null = null;
  readonly #pastWakes: PastWakes;
  readonly #gate: InstanceGate;
  readonly #knocking: Knocking;
  readonly #watchers: Watchers;
  readonly #nudges: Nudges;
  readonly #alarm: Alarm;
  #live: Live = {
    verdict: null,
    gpuUtil: null,
    lastActivityAt: null,
    lastBeatAt: null,
    clockSkewMs: null,
    progress: null,
  };

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    prepareLog(env);
    this.#store = new InstanceStore(ctx.storage);
    this.#pastWakes = new PastWakes(env.DB);
    this.#saved = afterRest(this.#store.load());
    this.#kept = this.#saved?.samples ?? null;
    this.#live.lastActivityAt = this.#kept?.lastActivityAt ?? null;
    const state = () => this.#saved!.state;
    this.#books = new InstanceBooks(this.#store, { state, keep: (work) => this.ctx.waitUntil(work) });
    this.#series = new InstanceSeries(this.#store.series);
    this.#gate = new InstanceGate(env, {
      instance: () => state().instance,
      load: () => this.#store.loadGate(),
      save: (row) => this.#store.saveGate(row),
      keep: (work) => this.ctx.waitUntil(work),
      onReady: () => this.#knocking.notify(),
    });
    this.#knocking = new Knocking({
      state: () => this.#saved?.state ?? null,
      apply: (event) => this.#apply(event),
      wakeUp: () => this.#wakeUp(),
      context: () => this.#context(),
      books: (span) => this.#books.read(span),
      progress: () => this.#live.progress,
      gate: this.#gate,
      pastWakes: this.#pastWakes,
    });
    this.#nudges = new Nudges({
      state,
      timings: () => this.#timings(),
      nudge: (epoch) => this.#gate.nudge(epoch),
      keep: (work) => this.ctx.waitUntil(work),
    });
    this.#alarm = new Alarm(ctx.storage, () =>
      this.#saved ? [nextDeadline(state(), this.#timings()), this.#store.nextTaskAt()] : [],
    );
    this.#watchers = new Watchers(ctx, {
      view: () => this.#view(),
      hurry: () => this.#gate.nudge(machineOf(state())?.epoch ?? 0),
      keep: (work) => this.ctx.waitUntil(work),
    });
    this.#outbox = new Outbox(env, this.#store, {
      saved: () => this.#saved,
      shown: () => {
        const [view, glance] = this.#shown();
        return { view, glance, meters: metersOf(state(), view, this.#live, this.#books.totals(Date.now())) };
      },
      timings: () => this.#timings(),
      apply: (event, doneRow) => this.#apply(event, doneRow),
      count: (bucket, tally) => this.#books.countStore(bucket, tally),
      arm: () => this.#alarm.arm(),
    });
  }

  // ---- birth -------------------------------------------------------------------------------------------------------

  async create(birth: Wish): Promise<Answer<{ view: InstanceView }>> {
    return this.#beBorn(birth, createInstance(birth, this.#context()));
  }

  /** `account`: the provider account that it is rented with. */
  async adopt(
    birth: Wish,
    facts: RentedFacts,
    rentedAt: number,
    account = deploymentAccount,
  ): Promise<Answer<{ view: InstanceView }>> {
    return this.#beBorn(birth, adoptInstance(birth, facts, rentedAt, this.#context()), account);
  }

  /** From a snapshot of another instance; `isWoken`: a machine is rented as soon as it is copied. */
  async fork(birth: Wish, from: Copying["from"], isWoken: boolean): Promise<Answer<{ view: InstanceView }>> {
    return this.#beBorn(birth, createFork(birth, from, isWoken, this.#context()));
  }

  async #beBorn(
    { owner, by = owner, byName }: Wish,
    outcome: Outcome,
    account = deploymentAccount,
  ): Promise<Answer<{ view: InstanceView }>> {
    if (this.#saved) return { ok: true, view: this.#view() };
    this.#store.createTables();
    this.#store.accounts.note(1, account);
    if (byName) this.#store.people.note(by, byName);
    const samples = { epoch: 0, ring: [], bootId: null, lastN: -1, lastActivityAt: null };
    const saved = { state: outcome.state, samples, version: 1, savedAt: Date.now() };
    this.#commit(commitOf(saved, outcome.effects, null));
    // Armed before anything is waited for: nobody else knows of this object yet.
    this.#wakeUp();
    // The list must show what was just made; a read model that does not answer catches up later.
    await Promise.race([this.#outbox.drain("mirror"), scheduler.wait(3_000)]);
    return { ok: true, view: this.#view() };
  }

  // ---- what its team asks ----------------------------------------------------------------------------------------

  async get(by: By): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    await this.#pastWakes.learn(this.#saved!.state);
    return { ok: true, view: this.#view() };
  }

  /** A row of its owner's list, as it is now. */
  async glance(by: By): Promise<Answer<{ summary: InstanceSummary }>> {
    if (!this.#isTheirs(by)) return notFound;
    const [view, glance] = this.#shown();
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
    this.#apply({ type: "wake", wake });
    this.#wakeUp();
    return { ok: true, view: this.#view() };
  }

  /** `isBack`: to an older snapshot, which only something that sleeps can do. */
  #refuseWake(isBack: boolean): Extract<Answer<object>, { ok: false }> | null {
    const { state } = this.#saved!;
    const verdict = judgeWake(state, Date.now(), this.#timings());
    if (verdict.kind === "limited") {
      return { ok: false, code: "wake_rate_limited", context: { retryAfterMs: verdict.retryAfterMs } };
    }
    const isFree = verdict.kind === "start" && !("machine" in state.now && state.now.machine);
    return isBack && !isFree ? { ok: false, code: "rollback_needs_sleep", context: { state: state.now.status } } : null;
  }

  /** Null for the current one: to wake with that is no going back. */
  async #older(seq: number): Promise<Answer<{ snapshot: ProvedSnapshot | null }>> {
    const { state } = this.#saved!;
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
    const { state } = this.#saved!;
    return lent.ok ? { ...lent, spec: state.spec, own: ownSettings(state) } : lent;
  }

  /** Who copies a snapshot says so in time, and when it is done. */
  async hold(hold: Hold): Promise<void> {
    if (this.#saved) this.#apply({ type: "hold", hold });
  }

  #lendHost(): LendHost {
    return {
      bucket: this.env.SNAPSHOTS,
      state: () => this.#saved!.state,
      history: () => this.#store.history.all(),
      hold: (hold) => this.#apply({ type: "hold", hold }),
    };
  }

  /** What a plain wake would look for. */
  async rentPlan(by: By): Promise<Answer<{ plan: RentPlan }>> {
    return this.#isTheirs(by) ? { ok: true, plan: rentPlanOf(this.#saved!.state, Date.now()) } : notFound;
  }

  /** What is known of its snapshots beside the store. */
  async history(by: By): Promise<Answer<{ rows: HistoryRow[]; current: ProvedSnapshot | null }>> {
    if (!this.#isTheirs(by)) return notFound;
    return { ok: true, rows: this.#store.history.all(), current: this.#saved!.state.snapshot };
  }

  /** `force`: of a sleep, which the hook before it may not put off. */
  async act(by: By, action: "hibernate" | "discard", force = false): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { state } = this.#saved!;
    // On its way or there already: to ask again calls off a wake that waits, or makes a sleep of the rule one's own.
    const isAsleep =
      action === "hibernate" && ["snapshotting", "destroying", "hibernated", "deleted"].includes(state.now.status);
    const refused = isAsleep ? null : this.#refuse(action);
    if (refused) return refused;
    const actor = this.#asActor(by);
    this.#apply(action === "hibernate" ? { type: action, actor, ...(force && { force }) } : { type: action, actor });
    this.#wakeUp();
    return { ok: true, view: this.#view() };
  }

  /** `minutes`: null is "not now", for as long as the settings say. */
  async keepAwake(by: By, minutes: number | null, what: string | null): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { state } = this.#saved!;
    const action = minutes === null ? "not_now" : "keep_awake";
    const refused = this.#refuse(action);
    if (refused) return refused;
    const ms = (minutes ?? state.config.not_now_minutes) * 60_000;
    if (minutes !== null && ms > leaseCapMs(state)) {
      return { ok: false, code: "lease_too_long", context: { max_minutes: leaseCapMs(state) / 60_000 } };
    }
    const actor = this.#asActor(by);
    this.#apply({ type: "keepAwake", actor, until: Date.now() + ms, what, isNotNow: minutes === null });
    this.#wakeUp();
    return { ok: true, view: this.#view() };
  }

  async rename(by: By, name: string): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    this.#apply({ type: "rename", actor: this.#asActor(by), name });
    this.#wakeUp();
    return { ok: true, view: this.#view() };
  }

  async letSleep(by: By): Promise<Answer<{ view: InstanceView }>> {
    if (!this.#isTheirs(by)) return notFound;
    this.#apply({ type: "letSleep", actor: this.#asActor(by) });
    this.#wakeUp();
    return { ok: true, view: this.#view() };
  }

  #refuse(action: Action): Extract<Answer<object>, { ok: false }> | null {
    const { state } = this.#saved!;
    const actions = actionsFor(state);
    if (actions.includes(action)) return null;
    return { ok: false, code: "action_not_allowed", context: { action, state: state.now.status, actions } };
  }

  async settings(by: By): Promise<Answer<{ settings: AnswerOf<"getConfig"> }>> {
    return this.#isTheirs(by) ? { ok: true, settings: settingsView(this.#saved!.state) } : notFound;
  }

  /** `unset`: names of settings that the policies decide again. */
  async configure(
    by: By,
    patch: AutoHibernationPatch,
    unset: string[],
  ): Promise<Answer<{ settings: AnswerOf<"putConfig"> }>> {
    if (!this.#isTheirs(by)) return notFound;
    const changed = changeSettings(this.#saved!.state, patch, unset);
    if (!changed) return notWhole;
    this.#apply({ type: "configure", actor: this.#asActor(by), ...changed });
    this.#wakeUp();
    return { ok: true, settings: settingsView(this.#saved!.state) };
  }

  /** Its owner set something for several instances. What is no newer than what is known says nothing. */
  async takePolicies(policies: Policies): Promise<void> {
    if (!this.#saved) return;
    const { state } = this.#saved;
    if (policies.version <= (state.policies?.version ?? 0)) return;
    const config = resolveSettings(layersOf({ ...state, policies }));
    const actor = { kind: "user", id: state.owner } as const;
    this.#apply({ type: "configure", actor, config, own: ownSettings(state), policies });
    this.#wakeUp();
  }

  async events(by: By, after: number, limit: number): Promise<Answer<{ events: EventView[] }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { people } = this.#store;
    const rows = this.#store.logAfter(after, limit);
    return { ok: true, events: rows.map((row) => eventView(this.#saved!.state, row, (one) => people.nameOf(one))) };
  }

  /** `span`: only what was moved within it. */
  async books(by: By, span: Span | null): Promise<Answer<{ books: Books; name: string }>> {
    if (!this.#isTheirs(by)) return notFound;
    return { ok: true, books: this.#books.read(span), name: this.#saved!.state.name };
  }

  /** What its GPUs did, with its states and turning points. */
  async series(by: By, span: SeriesSpan): Promise<Answer<{ series: SeriesAnswer }>> {
    if (!this.#isTheirs(by)) return notFound;
    return { ok: true, series: this.#series.answer(this.#saved!.state, span, Date.now()) };
  }

  /** What it takes to say what other settings would have done. Changes nothing. */
  async preview(by: By, patch: AutoHibernationPatch): Promise<Answer<{ facts: PreviewFacts }>> {
    if (!this.#isTheirs(by)) return notFound;
    const { state } = this.#saved!;
    const changed = changeSettings(state, patch, []);
    if (!changed) return notWhole;
    const now = Date.now();
    const known = knownOf(state, this.#books.read(null), this.#pastWakes.of(state)?.usual ?? null);
    const peaks = this.#series.peaks(now - replayDays * dayMs, now);
    return { ok: true, facts: { asIs: state.config, asSet: changed.config, known, peaks } };
  }

  /** A request to one of its services. */
  async knock(request: KnockRequest): Promise<KnockAnswer> {
    return this.#knocking.knock(request);
  }

  // ---- who looks at it -------------------------------------------------------------------------------------------

  override async fetch(request: Request): Promise<Response> {
    const by = JSON.parse(request.headers.get(watcherHeader) ?? "{}") as By;
    if (!this.#isTheirs(by)) return Response.json(new AppError("instance_not_found").toBody(), { status: 404 });
    return this.#watchers.admit(by.role);
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    socket.close(code === 1005 ? 1000 : code);
  }

  // ---- the agent -------------------------------------------------------------------------------------------------

  async beat(epoch: number, tokenIssuedAt: number, report: StatusReport): Promise<Answer<{ answer: StatusAnswer }>> {
    if (!this.#saved) return notFound;
    if (!speaks(this.#saved.state, epoch)) return { ok: false, code: "epoch_fenced", context: { epoch } };
    // A create that was carried out twice made two machines of one epoch: only the one that is known may speak.
    const known = machineWith(this.#saved.state, epoch)?.facts?.providerId;
    const spoken = report.agent?.container;
    if (known !== undefined && spoken !== undefined && known !== spoken)
      return { ok: false, code: "epoch_fenced", context: { epoch } };
    const now = Date.now();
    // A report that was overtaken on its way says nothing new; above all its seal may be off by now.
    if (this.#isOvertaken(report))
      return { ok: true, answer: await this.#answerFor(epoch, tokenIssuedAt, report, now) };
    const gpuCount = machineWith(this.#saved.state, epoch)?.facts?.gpuCount ?? null;
    const heard = hearReport(this.#saved, this.#live, { epoch, gpuCount, report, now });
    this.#series.note(this.#saved.samples.ring, heard.arrived, now);
    this.#saved = { ...this.#saved, samples: heard.samples };
    this.#live = heard.live;
    this.#lastReport = { bootId: report.agent?.bootId ?? null, sentAt: report.sentAt ?? 0 };
    this.#apply(heard.event);
    if (machineOf(this.#saved.state)?.epoch === epoch) this.#gate.learn(epoch, report.gate);
    this.#watchers.tell();
    this.#wakeUp();
    return { ok: true, answer: await this.#answerFor(epoch, tokenIssuedAt, report, now) };
  }

  /** Whether an agent of this epoch may read and write the store: older ones are fenced off (I3). */
  async admits(epoch: number): Promise<Answer<object>> {
    if (!this.#saved) return notFound;
    const isAdmitted = mayStore(this.#saved.state, epoch);
    return isAdmitted ? { ok: true } : { ok: false, code: "epoch_fenced", context: { epoch } };
  }

  /** What its machine of this epoch moved, and asked of the store. */
  async moved(epoch: number, counts: Counts): Promise<void> {
    if (this.#saved) this.#books.count(epoch, counts);
  }

  #isOvertaken(report: StatusReport): boolean {
    const last = this.#lastReport;
    return last !== null && report.agent?.bootId === last.bootId && (report.sentAt ?? last.sentAt) < last.sentAt;
  }

  async #answerFor(epoch: number, tokenIssuedAt: number, report: StatusReport, now: number): Promise<StatusAnswer> {
    const { state } = this.#saved!;
    const isOld = now - tokenIssuedAt > agentTokenLifeMs / 2;
    const token = isOld ? await signAgentToken(this.env.AGENT_JWT_SECRET, state.instance, epoch, now) : undefined;
    const kept = this.#kept;
    const commands = commandsFor(state, epoch, this.#timings());
    this.#nudges.tell(commands);
    const gate = await this.#gate.order(epoch, report.gate);
    const update = await orderUpdate(this.env, report, { isAtRest: commands.length === 0 });
    return {
      ok: true,
      status: state.now.status,
      nextBeatMs: this.#watchers.beatWithin(untilNextBeatMs(state, this.#context())),
      gpuUsageThreshold: state.config.gpu_usage_threshold,
      commands,
      intervalsKept: kept && report.agent?.bootId === kept.bootId ? kept.lastN : -1,
      // A result either moved the state, which is written, or concerns a command that is off: it is never needed again.
      resultsKept: (report.results ?? []).map((result) => result.commandId),
      ...(token ? { token } : {}),
      ...(gate ? { gate } : {}),
      ...(update ? { update } : {}),
      ...(report.update ? { updateKept: report.update.id } : {}),
    };
  }

  // ---- the clock, the cron -----------------------------------------------------------------------------------------

  override async alarm(_info?: AlarmInvocationInfo): Promise<void> {
    if (!this.#saved) return;
    const startedAt = Date.now();
    const { instance, now: before } = this.#saved.state;
    const told = () => ({
      instance,
      from: before.status,
      state: this.#saved!.state.now.status,
      ms: Date.now() - startedAt,
    });
    // Whatever happens here, the object must be armed again: an alarm that throws is dropped after some tries.
    try {
      this.#apply({ type: "tick" });
      await Promise.race([this.#outbox.drainAll(), scheduler.wait(5_000)]);
      await this.#alarm.arm();
      log.info("alarm", { ...told(), outcome: "ok" });
    } catch (error) {
      log.error("alarm", { ...told(), outcome: "failed", again_ms: alarmAgainMs, error });
      // The deadline that was due still is: not at once again, or this would turn in a circle.
      await this.ctx.storage.setAlarm(Date.now() + alarmAgainMs);
    }
  }

  /** Whether the machine of this epoch is still accounted for: its tunnel stays as long. */
  async hasMachine(epoch: number): Promise<boolean> {
    return this.#saved !== null && machineWith(this.#saved.state, epoch) !== null;
  }

  /** The cron sweep's touch: an alarm can be lost. */
  async poke(): Promise<boolean> {
    if (!this.#saved) return false;
    this.#apply({ type: "tick" });
    this.#commit({
      saved: { ...this.#saved, savedAt: Date.now() },
      logs: [],
      tasks: [{ kind: "mirrorStatus" }],
      charges: [],
    });
    this.#wakeUp();
    return true;
  }

  /**
   * Reconcile: what the list of this account says of a machine with this instance's label. False: nothing is known here. In
   * another account than the machine was rented with anybody can write such a label: it says nothing.
   */
  async observe(event: Extract<LifecycleEvent, { type: "seen" }>, account: string): Promise<boolean> {
    if (!this.#saved || this.#store.accounts.of(event.epoch) !== account) return false;
    this.#apply(event);
    this.#wakeUp();
    return true;
  }

  /** Reconcile: the provider's list did not hold the machine that the read model shows. The object asks for itself. */
  async lookAgain(): Promise<void> {
    const machine = this.#saved && machineOf(this.#saved.state);
    if (!this.#saved || !machine) return;
    const providerId = machine.facts?.providerId ?? null;
    this.#commit({
      saved: this.#saved,
      logs: [],
      tasks: [{ kind: "look", epoch: machine.epoch, label: machine.label, providerId }],
      charges: [],
    });
    this.#wakeUp();
  }

  // ---- the shell ---------------------------------------------------------------------------------------------------

  /** Decides and writes. `doneRow`: the outbox row whose outcome this event is; it goes in the same transaction. */
  #apply(event: LifecycleEvent, doneRow?: number): void {
    const saved = this.#saved!;
    const now = Date.now();
    const outcome = transition(saved.state, event, this.#context());
    const isOrdinary = outcome.effects.length === 0 && !changesMoreThanTheClock(saved.state, outcome.state);
    if (isOrdinary && doneRow === undefined && now - saved.savedAt < saveEveryMs(saved.state)) {
      this.#saved = { ...saved, state: outcome.state };
      return;
    }
    // A twin has an epoch of its own, and is where the one is that it was told of with.
    if ((event.type === "seen" || event.type === "rented") && outcome.state.epoch > saved.state.epoch)
      this.#store.accounts.note(saved.state.epoch + 1, this.#store.accounts.of(event.epoch));
    const next = { ...saved, state: outcome.state, version: saved.version + (isOrdinary ? 0 : 1), savedAt: now };
    const done = doneRow === undefined ? [] : [doneRow];
    if (isOrdinary) this.#commit({ saved: next, logs: [], tasks: [], charges: [], done });
    else this.#commit(commitOf(next, outcome.effects, this.#live.gpuUtil, doneRow));
  }

  #commit(commit: Commit): void {
    const [before, after] = [this.#saved?.state, commit.saved.state];
    const series = this.#series.take(before, after, Date.now());
    this.#store.commit({ ...commit, ...this.#books.take(before, after), ...series });
    this.#series.written();
    this.#saved = commit.saved;
    this.#kept = commit.saved.samples;
    this.#knocking.notify();
    this.#watchers.tell();
    const machines = allMachines(commit.saved.state);
    this.#gate.settle((epoch) => machines.some((one) => one.epoch === epoch));
    this.#nudges.look();
  }

  /** Starts what the outbox holds without waiting for it; the alarm is the safety net if this object dies meanwhile. */
  #wakeUp(): void {
    this.ctx.waitUntil(this.#alarm.arm().then(() => this.#outbox.drainAll()));
  }

  #view(): InstanceView {
    const { state } = this.#saved!;
    const context = this.#context();
    const { ring, since } = this.#saved!.samples;
    const words = explainSignals(
      ring.at(-1),
      state.config,
      context.now,
      machineOf(state)?.facts?.gpuCount ?? null,
      since,
    );
    const books = this.#books.read({ fromAt: context.now - lookBackMs, toAt: context.now });
    const proxy = proxyView(this.env, state, this.#gate);
    const nameOf = (actor: string) => this.#store.people.nameOf(actor);
    return viewOf(state, this.#live, { books, words, pastWakes: this.#pastWakes.of(state), proxy, nameOf }, context);
  }

  #shown(): [InstanceView, Glance] {
    const view = this.#view();
    return [view, glanceOf(view, this.#series.lastMinutes(minutesShown, Date.now()))];
  }

  #asActor({ user, name }: By): Actor {
    if (name !== null) this.#store.people.note(user, name);
    return { kind: "user", id: user };
  }

  #isTheirs({ team }: By): boolean {
    return this.#saved?.state.owner === team;
  }

  #context(): Context {
    return { now: Date.now(), timings: this.#timings() };
  }

  #timings(): Timings {
    return this.env.LIFECYCLE_TIMINGS
      ? { ...defaultTimings, ...JSON.parse(this.env.LIFECYCLE_TIMINGS) }
      : defaultTimings;
  }
}

/** `byName`: what the one is called whose wish it was. */
type Wish = Birth & { byName?: string | null };

const notFound = { ok: false, code: "instance_not_found" } as const;

/**
 * Heartbeats since the last save may be lost with the memory that held them. Silence counts from the latest moment at
 * which a beat could have come without being written.
 */
function afterRest(saved: Saved | null): Saved | null {
  if (saved?.state.now.status !== "running" && saved?.state.now.status !== "snapshotting") return saved;
  const lastBeatAt = Math.min(
    Date.now(),
    Math.max(saved.state.now.lastBeatAt, saved.savedAt) + saveEveryMs(saved.state),
  );
  return { ...saved, state: { ...saved.state, now: { ...saved.state.now, lastBeatAt } } };
}

/** How old the written state may become by ordinary heartbeats: in a transition never so old that it looks stalled. */
function saveEveryMs(state: State): number {
  const atRestMs = beatsPerSave * state.config.check_interval_seconds * 1000;
  return state.now.status === "running" ? atRestMs : Math.min(atRestMs, 60_000);
}
