/** What the API shows of the idle rule: when the machine would go and why, what a cycle costs, what sleeps saved. */
import { breakEvenMs, cycleCost } from "../../core/lifecycle/auto.ts";
import { autoOf } from "../../core/lifecycle/auto-state.ts";
import { costsOf } from "../../core/lifecycle/costs.ts";
import { planWords } from "../../core/lifecycle/plan-words.ts";
import type { State } from "../../core/lifecycle/types.ts";
import { quietFloorMs } from "../../core/lifecycle/vetoes.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import { actorText } from "./commit.ts";
import { machineOf } from "./machine-of.ts";

export function sleepRuleView(state: State, now: number): InstanceView["sleep_rule"] {
  const memory = autoOf(state);
  const { last } = memory;
  const known = costsOf(state, machineOf(state)?.facts ?? null);
  const plan = state.config.pause_after_idle_minutes === "auto" ? (memory.gap?.plan ?? null) : null;
  const costs = plan?.costs ?? (known.ok ? known.costs : null);
  const even = costs && breakEvenMs(costs);
  return {
    pause_after_idle_minutes: state.config.pause_after_idle_minutes,
    tau_seconds: plan?.tauMs == null ? null : plan.tauMs / 1000,
    reason: plan && planWords(plan),
    reason_code: plan?.reason ?? null,
    // Without a plan the memory of the GPU is not looked at: the lower floor.
    floor_seconds: (plan?.floorMs ?? quietFloorMs(state, false, now)) / 1000,
    break_even_seconds: even === null ? null : even / 1000,
    cycle_micro_usd: costs && Math.round(cycleCost(costs)),
    credit_micro_usd: memory.creditMicroUsd,
    unknown: known.ok ? [] : known.unknown,
    gaps_known: memory.gaps.length,
    uploaded_at: memory.gap?.uploadedAt ? new Date(memory.gap.uploadedAt).toISOString() : null,
    sleeps: memory.sleeps,
    false_sleeps: memory.falseSleeps,
    saved_micro_usd: memory.savedMicroUsd,
    last_sleep: last && {
      slept_at: new Date(last.at).toISOString(),
      woken_at: new Date(last.wokenAt).toISOString(),
      saved_micro_usd: last.savedMicroUsd,
      was_false: last.isFalse,
    },
  };
}

export function sleepRequestView(
  state: State,
  nameOf: (actor: string) => string | null,
): InstanceView["sleep_request"] {
  const { standing, now } = state;
  if (!standing) return null;
  const { actor, since, tries, at, code, message } = standing;
  const nextAt = now.status === "running" ? iso(at) : null;
  const by = actorText(actor);
  return { by, by_name: nameOf(by), asked_at: iso(since), tries, next_at: nextAt, code, message };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}
