/**
 * An hour more, an hour less: shown at once, asked half a second after the last press, and taken back should it be refused.
 * The only thing on the page that is shown before it is so.
 */
import { useEffect, useRef, useState } from "react";
import type { InstanceView } from "../../../core/protocol/views.ts";
import { useInstanceAction } from "../../parts/actions.ts";

const hourMs = 3_600_000;
const settleMs = 500;

export function useKeepAwake(view: InstanceView): { until: number | null; change: (hours: 1 | -1) => void } {
  const action = useInstanceAction(view.id);
  const known = heldUntil(view);
  /** Undefined: nothing is wanted beyond what is. */
  const [wanted, setWanted] = useState<number | null | undefined>(undefined);
  /** The last press, until it is asked. */
  const waiting = useRef<{ ask: () => Promise<void>; timer: ReturnType<typeof setTimeout> } | null>(null);
  const presses = useRef(0);
  useEffect(
    () => () => {
      // Whoever leaves the page at once wanted it all the same.
      if (!waiting.current) return;
      clearTimeout(waiting.current.timer);
      void waiting.current.ask();
    },
    [],
  );

  const change = (hours: 1 | -1) => {
    const now = Date.now();
    const from = wanted === undefined ? known : wanted;
    const next = Math.max(now, from ?? now) + hours * hourMs;
    const until = next <= now ? null : next;
    setWanted(until);
    clearTimeout(waiting.current?.timer);
    const press = ++presses.current;
    const ask = async () => {
      waiting.current = null;
      await (until === null ? action.letSleep() : action.keepAwake((until - Date.now()) / 60_000));
      // Of several the last one's answer counts.
      if (presses.current === press) setWanted(undefined);
    };
    waiting.current = { ask, timer: setTimeout(ask, settleMs) };
  };
  return { until: wanted === undefined ? known : wanted, change };
}

function heldUntil({ leases }: InstanceView): number | null {
  const times = leases.map((lease) => Date.parse(lease.until)).filter((at) => at > Date.now());
  return times.length === 0 ? null : Math.max(...times);
}
