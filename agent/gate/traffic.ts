/** Counts what comes through the gate: the signal that says whether a service of this machine is in use. */
import type { SignalReading } from "../../core/protocol/signals.ts";

export interface Traffic {
  /** A request or a socket begins; the function that is returned says that it ended. */
  begin(): () => void;
  /** Of the time since the last take: what began in it, and what was under way before. */
  take(): SignalReading;
  /** How many are under way now. */
  open(): number;
}

/** `onFirst`: called for the first that begins since the last take, where nothing was under way before. */
export function createTraffic(onFirst: () => void = () => undefined): Traffic {
  let open = 0;
  let count = 0;
  return {
    begin() {
      open++;
      if (count++ === 0) onFirst();
      let isOver = false;
      return () => {
        if (!isOver) open--;
        isOver = true;
      };
    },
    take() {
      const value = count;
      count = open;
      return { value, ...(open > 0 && { detail: `${open} under way` }) };
    },
    open: () => open,
  };
}
