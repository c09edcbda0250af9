/**
 * What keeps a machine awake on purpose, and the word before it sleeps. It stands around the table of transition.ts: a
 * lease turns a beat into a busy one before the table sees it, and a sleep that nobody was told of is put off.
 *
 *   keepAwake, a command under `run` --> lease --its end, letSleep, its time over, the machine goes--> none
 *   idle --warnBeforeMs before the sleep--> warned --activity, lease--> not warned
 *                                             +--time over--> the sleep may begin
 */
import { actionsFor } from "./abilities.ts";
import type { Blocker, Context, Effect, LifecycleEvent, Outcome } from "./events.ts";
import { agentActor, andThen, enter, log, out, ruleActor, system } from "./machines.ts";
import { cancelSleep } from "./sleep-ends.ts";
import { dropStanding } from "./standing.ts";
import type { Actor, AwakeState, Lease, State } from "./types.ts";
import { awakeOf, nextSleepAt, ripeAt, warnAt } from "./warning.ts";

/** The id of the owner's own lease; a command's begins with `run.`. */
export const ownLeaseId = "own";

const maxLeases = 32;
/** A sleep that moves by less is the one that was announced. */
const sameWordMs = 30_000;

/** Leases that hold at this moment. */
export function leasesHeld(state: State, now: number): Lease[] {
  return awakeOf(state).leases.filter((one) => one.endedAt === null && now < one.until);
}

export function leaseCapMs(state: State): number {
  return state.config.keep_awake_max_hours * 3_600_000;
}

/** Why it may not sleep yet although every signal is quiet. */
export function awakeBlockers(state: State, now: number): Blocker[] {
  const blockers = leasesHeld(state, now).map((one) => blocker("lease", one.until, one.what));
  const phase = state.now;
  if (phase.status !== "running") return blockers;
  const { veto } = state;
  if (veto && now < veto.until) blockers.push(blocker("hook_veto", veto.until, veto.message));
  else if (now < phase.restlessUntil) blockers.push(blocker("grace", phase.restlessUntil, null));
  return blockers;
}

function blocker(code: "lease" | "grace" | "hook_veto", until: number, detail: string | null): Blocker {
  return { signal: code === "hook_veto" ? "hook" : code, code, value: null, threshold: null, detail, until };
}

// ---- asked for ---------------------------------------------------------------------------------------------------------

type Asked = Extract<LifecycleEvent, { type: "keepAwake" | "letSleep" }>;

export function askAwake(state: State, event: Asked, ctx: Context): Outcome {
  if (event.type === "letSleep") return endLeases(state, event.actor, ctx);
  if (!actionsFor(state).includes("keep_awake")) return out(state);
  const until = Math.min(event.until, ctx.now + leaseCapMs(state));
  const { leases } = awakeOf(state);
  const before = leases.find((one) => one.id === ownLeaseId);
  // "Not now" never shortens what was asked for before.
  const lease: Lease =
    event.isNotNow && before !== undefined && before.until > until
      ? before
      : { id: ownLeaseId, actor: event.actor, what: event.what, since: ctx.now, until, endedAt: null };
  const held = withAwake(dropStanding(state), {
    leases: [...leases.filter((one) => one.id !== ownLeaseId), lease],
    warnedAt: null,
  });
  const said = log(event.isNotNow ? "sleep_postponed" : "keep_awake", event.actor, {
    until: lease.until,
    what: lease.what,
  });
  const phase = state.now;
  if (phase.status === "snapshotting") {
    return andThen(out(held, said), (next) => cancelSleep(next, phase, event.actor, { reason: "lease" }, null, ctx));
  }
  if (phase.status === "running") return enter(held, { ...phase, idleSince: null }, said);
  return out(held, said);
}

/** A command's lease is kept in mind until the agent no longer reports it: it must not begin anew with the next beat. */
function endLeases(state: State, actor: Actor, ctx: Context): Outcome {
  const held = leasesHeld(state, ctx.now);
  if (held.length === 0) return out(state);
  const leases = awakeOf(state)
    .leases.filter((one) => one.id !== ownLeaseId)
    .map((one) => (held.includes(one) ? { ...one, endedAt: ctx.now } : one));
  const next = restFrom(withAwake(state, { ...awakeOf(state), leases }), ctx.now);
  return out(next, ...held.map((one) => ended(one, actor, "asked", ctx)));
}

// ---- around every event --------------------------------------------------------------------------------------------------

type Beat = Extract<LifecycleEvent, { type: "beat" }>;

/** Leases as this beat says, before the table sees it; the beat itself is busy while one holds. */
export function beforeBeat(state: State, event: Beat, ctx: Context): { outcome: Outcome; event: Beat } {
  const outcome = settleLeases(state, event.held ?? null, ctx);
  const { verdict } = event;
  const held = leasesHeld(outcome.state, ctx.now);
  if (held.length > 0) {
    const blockers = held.map((one) => blocker("lease", one.until, one.what));
    const busy = [...blockers, ...(verdict.kind === "busy" ? verdict.blockers : [])];
    return { outcome, event: { ...event, verdict: { kind: "busy", blockers: busy } } };
  }
  if (verdict.kind === "quiet" && verdict.ripe && isUnannounced(outcome.state, verdict.since, ctx)) {
    return { outcome, event: { ...event, verdict: { ...verdict, ripe: false } } };
  }
  return { outcome, event };
}

/** With the machine goes what held it, and with the idleness the word of a sleep. */
export function afterEvent(outcome: Outcome, event: LifecycleEvent, ctx: Context): Outcome {
  const capped = event.type === "configure" ? andThen(outcome, (state) => out(capLeases(state, ctx))) : outcome;
  return andThen(capped, (state) => {
    const awake = awakeOf(state);
    const { status } = state.now;
    if (awake.leases.length > 0 && ["destroying", "hibernated", "deleted", "failed"].includes(status)) {
      const open = awake.leases.filter((one) => one.endedAt === null);
      const bare = withAwake(state, { ...awake, leases: [] });
      return out(bare, ...open.map((one) => ended(one, system, "the machine goes", ctx)));
    }
    // It holds through the steps of the sleep itself.
    if (awake.warnedAt === null || status === "snapshotting" || status === "destroying") return out(state);
    // A sleep that is put off, by another setting or another plan, is announced when it comes.
    const at = warnAt(state, ctx);
    if (at !== null && at <= ctx.now + sameWordMs) return out(state);
    return out(withAwake(state, { ...awake, warnedAt: null }));
  });
}

/** The word before a sleep, once it is due. */
export function announce(state: State, ctx: Context): Outcome {
  const awake = awakeOf(state);
  const at = warnAt(state, ctx);
  if (at === null || awake.warnedAt !== null || ctx.now < at) return out(state);
  const told = withAwake(state, { ...awake, warnedAt: ctx.now });
  return out(told, log("sleep_soon", ruleActor, { sleeps_at: nextSleepAt(told, ctx) }));
}

/** The cap is another: a command holds for as long as it says now, what was asked for no longer than that. */
function capLeases(state: State, ctx: Context): State {
  const awake = awakeOf(state);
  if (awake.leases.length === 0) return state;
  const leases = awake.leases.map((one) => {
    const capAt = one.since + leaseCapMs(state);
    return { ...one, until: one.id === ownLeaseId ? Math.min(one.until, capAt) : capAt };
  });
  const capped = withAwake(state, { ...awake, leases });
  // What ends by this ends now: nobody knew before that its time was over.
  const isShorter = leasesHeld(capped, ctx.now).length < leasesHeld(state, ctx.now).length;
  return isShorter ? restFrom(capped, ctx.now) : capped;
}

/** What the agent reports is what there is; null: nobody reported. What has lasted its time is over. */
function settleLeases(state: State, reported: { id: string; what: string }[] | null, ctx: Context): Outcome {
  const awake = awakeOf(state);
  const runs = reported?.map((one) => ({ ...one, id: `run.${one.id}` }));
  const said: Effect[] = [];
  let leases: Lease[] = [];
  let endedAt: number | null = null;
  for (const one of awake.leases) {
    const isOwn = one.id === ownLeaseId;
    const isGone = !isOwn && runs !== undefined && !runs.some((run) => run.id === one.id);
    const isOver = one.endedAt === null && ctx.now >= one.until;
    if (one.endedAt === null && (isGone || isOver)) {
      said.push(ended(one, isGone ? agentActor : ruleActor, isGone ? "done" : "its time is over", ctx));
      endedAt = Math.max(endedAt ?? 0, isOver ? one.until : ctx.now);
    }
    if (isGone || (isOwn && isOver)) continue;
    leases.push(isOver ? { ...one, endedAt: ctx.now } : one);
  }
  for (const run of runs ?? []) {
    if (leases.some((one) => one.id === run.id) || leases.length >= maxLeases) continue;
    const until = ctx.now + leaseCapMs(state);
    leases = [...leases, { id: run.id, actor: agentActor, what: run.what, since: ctx.now, until, endedAt: null }];
    said.push(log("keep_awake", agentActor, { until, what: run.what }));
  }
  if (said.length === 0 && leases.length === awake.leases.length) return out(state);
  const next = withAwake(state, { ...awake, leases });
  return out(endedAt === null ? next : restFrom(next, endedAt), ...said);
}

/** Samples may arrive late and all at once: the window is over, and nobody was told. */
function isUnannounced(state: State, since: number, ctx: Context): boolean {
  const phase = state.now;
  if (phase.status !== "running") return false;
  const idleSince = Math.max(since, phase.since, phase.restlessUntil);
  const idle = { ...state, now: { ...phase, idleSince } };
  const at = ripeAt(idle);
  return at !== null && ctx.now >= at && (awakeOf(state).warnedAt === null || ctx.now < (nextSleepAt(idle, ctx) ?? 0));
}

// ---- small things ------------------------------------------------------------------------------------------------------------

function ended(lease: Lease, actor: Actor, reason: string, ctx: Context): Effect {
  return log("keep_awake_ended", actor, { what: lease.what, reason, held_ms: ctx.now - lease.since });
}

/** The idle window begins when the last lease ends, not when the GPU fell quiet. */
function restFrom(state: State, at: number): State {
  const phase = state.now;
  if (phase.status !== "running") return state;
  return { ...state, now: { ...phase, restlessUntil: Math.max(phase.restlessUntil, at) } };
}

function withAwake(state: State, awake: AwakeState): State {
  return { ...state, awake };
}
