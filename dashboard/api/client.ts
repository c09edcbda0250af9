/**
 * The page's client, typed by the route table. A browser that is signed in sends its cookie by itself; no secret passes
 * through here but a token on its way into a session.
 */

import type { AnswerOf, RouteName } from "../../core/protocol/api.ts";
import { type CallArgs, type LooseInput, pathOfCall } from "../../core/protocol/call.ts";
import { routeTable } from "./contract.ts";
import { Failure, failureOf } from "./failure.ts";

const timeoutMs = 30_000;

/** Errors: Failure. Nothing is repeated here: what may be asked again is asked again by whoever shows it. */
export async function call<N extends RouteName>(name: N, ...[input]: CallArgs<N>): Promise<AnswerOf<N>> {
  const [method, path] = routeTable[name];
  const { body } = (input ?? {}) as LooseInput;
  const { response, text } = await exchange(method, pathOfCall(path, (input ?? {}) as LooseInput), body);
  if (!response.ok) throw failureOf(response, text);
  try {
    return (text === "" ? null : JSON.parse(text)) as AnswerOf<N>;
  } catch {
    throw new Failure("unknown", `status ${response.status}, and no JSON`, { status: response.status });
  }
}

async function exchange(method: string, path: string, body: unknown) {
  try {
    const response = await fetch(path, {
      method,
      headers: { accept: "application/json", ...(body !== undefined && { "content-type": "application/json" }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      credentials: "same-origin",
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { response, text: await response.text() };
  } catch (cause) {
    throw new Failure("unreachable", cause instanceof Error ? cause.message : String(cause));
  }
}

/** Where the browser itself fetches something, such as a download. */
export function addressOf<N extends RouteName>(name: N, ...[input]: CallArgs<N>): string {
  return pathOfCall(routeTable[name][1], (input ?? {}) as LooseInput);
}
