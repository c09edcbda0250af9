/** Faults that can hit any call: what goes wrong before it is looked at, and what becomes of its answer. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultHit, FaultSubject, Faults } from "./fault-rules.ts";
import type { FaultName } from "./faults.ts";
import type { Cut } from "./route.ts";
import {
  failure,
  htmlPage,
  noSuchInstance,
  type Reply,
  rateLimited,
  serverError,
  success,
  successFalse,
} from "./wire.ts";

export const wrongKey = (status = 404) => failure(status, "auth_error", "Invalid user key");

/** An endpoint without an interval of its own says this one. */
const USUAL_SECONDS = 4.5;

export interface CallFaults {
  /** null when nothing is wrong. `interval`: seconds, 0 where vast.ai has none. */
  before(subject: FaultSubject, interval: number): Promise<Reply | Cut | null>;
  /** Carries the call out, and does to its answer what strikes. */
  around(subject: FaultSubject, act: () => Reply | Cut | Promise<Reply | Cut>): Promise<Reply | Cut>;
}

export function createCallFaults(faults: Faults, now: () => number): CallFaults {
  const lastCalls = new Map<string, number>();
  const lastAnswers = new Map<string, Reply>();

  const isTooSoon = (name: string, interval: number): boolean => {
    const last = lastCalls.get(name);
    lastCalls.set(name, now());
    return last !== undefined && now() - last < interval * 1000;
  };

  return {
    async before(subject, interval) {
      const strike = (name: FaultName) => faults.strike(name, subject);
      const slow = strike("slow");
      if (slow) await sleep(slow.ms, undefined, { ref: false });
      const seconds = interval || USUAL_SECONDS;
      for (const [name, answer] of refusals(subject, seconds)) {
        const hit = strike(name);
        if (hit) return answer(hit);
      }
      if (interval && strike("rate_limits") && isTooSoon(subject.on, interval)) {
        return rateLimited({ variant: "text", amount: 0 }, interval);
      }
      return null;
    },

    async around(subject, act) {
      let reply = await act();
      if (faults.strike("call_doubled", subject)) reply = await act();
      if ("cutAfterMs" in reply) return reply;
      const earlier = lastAnswers.get(subject.on);
      lastAnswers.set(subject.on, reply);
      if (earlier && faults.strike("answer_repeated", subject)) reply = earlier;
      return spoilAnswer(faults, subject, reply);
    },
  };
}

type Refusal = [FaultName, (hit: FaultHit) => Reply | Cut];

/** In the order in which they would be met on the way in. */
function refusals({ on, id = 0 }: FaultSubject, seconds: number): Refusal[] {
  const whenById = (refusal: Refusal): Refusal[] =>
    ["label", "stop", "start", "reboot", "destroy", "logs"].includes(on) ? [refusal] : [];
  return [
    ["lost_before", ({ ms, variant }) => ({ cutAfterMs: ms, isReset: variant === "reset" })],
    ["html_502", () => htmlPage(502)],
    ["error_5xx", ({ variant }) => serverError(Number(variant))],
    ["rate_limited", (hit) => rateLimited(hit, seconds)],
    ["auth_error", ({ variant }) => wrongKey(Number(variant))],
    [
      "forbidden",
      ({ variant }) => failure(Number(variant), "forbidden", "This key has no permission for this action."),
    ],
    ["success_false", () => successFalse()],
    ...whenById([
      "not_found",
      ({ variant }) =>
        variant === "html"
          ? { ...htmlPage(404), body: "<html><h1>404 Not Found</h1></html>" }
          : variant === "not_found"
            ? failure(404, "not_found", "error 404: not_found")
            : noSuchInstance(id),
    ]),
    ...(on === "logs" ? [] : whenById(["ignored", () => success()])),
  ];
}

const GARBLED: Record<string, (reply: Reply) => Partial<Reply>> = {
  truncated: ({ body }) => ({ type: "application/json", body: halve(JSON.stringify(body)) }),
  html: () => ({ type: "text/html", body: "<html><body><h1>We will be right back</h1></body></html>" }),
  text: () => ({ type: "text/plain", body: "OK" }),
  empty: () => ({ type: "application/json", body: "" }),
  array: ({ body }) => ({ type: "application/json", body: JSON.stringify([body]) }),
  null: () => ({ type: "application/json", body: "null" }),
};

const halve = (text: string) => text.slice(0, Math.floor(text.length / 2));

/** The effect has taken place; each fault that strikes adds to what the one before it did. */
function spoilAnswer(faults: Faults, subject: FaultSubject, given: Reply): Reply | Cut {
  const strike = (name: FaultName) => faults.strike(name, subject);
  let reply = given;
  const lost = strike("lost_after");
  if (lost) return { cutAfterMs: lost.ms, isReset: lost.variant === "reset" };
  const error = strike("error_after");
  if (error) reply = serverError(Number(error.variant));
  const garbled = strike("answer_garbled");
  if (garbled) reply = { ...reply, status: 200, ...GARBLED[garbled.variant]!(reply) };
  const slow = strike("answer_slow");
  const trickle = strike("answer_trickle");
  const cut = strike("answer_cut");
  if (!slow && !trickle && !cut) return reply;
  return {
    ...reply,
    travel: {
      ...(slow && { waitMs: slow.ms }),
      ...(trickle && { bytesPerSecond: Math.max(1, trickle.amount) }),
      ...(cut && { cutInHalf: true }),
    },
  };
}
