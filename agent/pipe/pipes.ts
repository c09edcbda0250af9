/** The pipe to this machine's gate that the control plane wants: one at a time, opened and ended as it is told. */
import type { GateOrder, GateReport, PipeOrder } from "../../core/protocol/wire.ts";
import type { Admission } from "../gate/admission.ts";
import { describeError, type Logger } from "../log.ts";

/** Kept open by itself until it is stopped: it comes back as often as it breaks. */
export interface OpenPipe {
  isOpen(): boolean;
  /** Why it is not, for people. */
  trouble(): string | null;
  stop(): Promise<void>;
}

export type OpenPipeOf = (order: PipeOrder, gatePort: number) => OpenPipe;

export interface Pipes {
  order(order: GateOrder): void;
  report(): GateReport;
  stop(): Promise<void>;
}

export interface PipesOptions {
  gatePort: number;
  admission: Admission;
  open: OpenPipeOf;
  log: Logger;
}

export function createPipes({ gatePort, admission, open, log }: PipesOptions): Pipes {
  let current: { as: string; kind: PipeOrder["kind"]; pipe: OpenPipe } | null = null;
  let trouble: string | null = null;
  let ending: Promise<void> = Promise.resolve();

  const end = () => {
    const last = current;
    current = null;
    if (last) ending = ending.then(() => last.pipe.stop()).catch((error) => log.error("pipe_not_ended", { error }));
    return ending;
  };

  return {
    order({ key, pipe }) {
      admission.setKey(key);
      const as = JSON.stringify(pipe);
      if (current?.as === as) return;
      void end();
      trouble = null;
      try {
        current = { as, kind: pipe.kind, pipe: open(pipe, gatePort) };
        log.info("pipe_ordered", { kind: pipe.kind });
      } catch (error) {
        trouble = describeError(error);
        log.error("pipe_not_begun", { kind: pipe.kind, error });
      }
    },
    report() {
      const words = current?.pipe.trouble() ?? trouble;
      return {
        port: gatePort,
        keyed: admission.isKeyed(),
        pipe: current?.kind ?? null,
        isOpen: current?.pipe.isOpen() ?? false,
        ...(words && { trouble: words.slice(0, 300) }),
      };
    },
    stop: end,
  };
}

/** Whoever reaches 127.0.0.1 of this machine needs nothing more. */
export const directPipe: OpenPipe = { isOpen: () => true, trouble: () => null, stop: async () => undefined };
