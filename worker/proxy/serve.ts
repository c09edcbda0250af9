/**
 * The wake proxy: a request to a service of an instance, from its caller to its answer.
 *
 *   caller? -> where is it? (its object; for some seconds from memory) -> awake: through the pipe, as it is
 *                                                                     -> not yet: held as long as was asked, else 503
 */
import { AppError } from "../../core/protocol/errors.ts";
import { type GateError, gateErrors, gateHeaders, gatePaths } from "../../core/protocol/gate.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import {
  addressOfHost,
  addressOfPath,
  isShown,
  kindOfRequest,
  maxHoldSeconds,
  mayCall,
  type RequestNature,
  type ServiceAddress,
} from "../../core/protocol/proxy.ts";
import type { Env } from "../env.ts";
import type { KnockAnswer, KnockRequest } from "../instance/knocking.ts";
import { log } from "../log.ts";
import { Body } from "./body.ts";
import { type Called, callerOf } from "./caller.ts";
import { errorAnswer, errorOf, preflightAnswer } from "./errors.ts";
import { gateToken } from "./gate-token.ts";
import { requestHeaders, responseHeaders } from "./headers.ts";
import { pipeOf } from "./pipes.ts";
import { isRobot } from "./robots.ts";
import { type Closed, waitingAnswer } from "./waiting.ts";

/** Null: the request is for the control plane itself. */
export function serviceAddressOf(request: Request, env: Env): ServiceAddress | null {
  const { host, pathname } = new URL(request.url);
  if (env.PROXY_ZONE) {
    const byHost = addressOfHost(request.headers.get("host") ?? host, env.PROXY_ZONE, pathname);
    if (byHost) return byHost;
  }
  return env.PROXY_PATHS === "off" ? null : addressOfPath(pathname);
}

export async function serveService(request: Request, env: Env, address: ServiceAddress): Promise<Response> {
  const told: Told = { startedAt: Date.now(), principal: null, code: null };
  const response = await answerFor(request, env, address, told);
  logServed(request, address, response, told);
  return response;
}

/** What the log says of a request, beside what the request and its answer say. */
interface Told {
  startedAt: number;
  /** The kind of its caller. */
  principal: string | null;
  /** Why it did not pass. */
  code: string | null;
  error?: unknown;
}

async function answerFor(request: Request, env: Env, address: ServiceAddress, told: Told): Promise<Response> {
  try {
    if (address.path === "") return toFolder(request);
    const called = await callerOf(env.DB, request.headers);
    told.principal = called.caller.kind;
    const nature = natureOf(request, address);
    return await serve({ request, env, address, called, nature, startedAt: told.startedAt, told });
  } catch (error) {
    const known = errorOf(error);
    told.code = known.code;
    if (known.status >= 500) told.error = known;
    return errorAnswer(known, request);
  }
}

/** One line for each request, when its answer begins. Neither its path nor its query: they are the service's own. */
function logServed({ method }: Request, { instance, port }: ServiceAddress, { status }: Response, told: Told): void {
  const { startedAt, principal, code, error } = told;
  const ms = Date.now() - startedAt;
  const fields = { method, instance, ...(port !== null && { port }), principal, status, ms, ...(code && { code }) };
  if (code === "internal") log.error("service_request", { ...fields, error });
  else if (error) log.warn("service_request", { ...fields, error });
  else log.info("service_request", fields);
}

interface Asked {
  request: Request;
  env: Env;
  address: ServiceAddress;
  called: Called;
  nature: RequestNature;
  startedAt: number;
  told: Told;
}

/** What the last try found. */
type Doubts = Pick<KnockRequest, "shut" | "doubted" | "sealed">;
type Open = Extract<KnockAnswer, { kind: "open" }>;
type Shut = Extract<KnockAnswer, { kind: "closed" }>;

/** Where instances are, for as long as that is believed without asking. What is wrong about it the gate says. */
const known = new Map<InstanceId, { open: Open; untilAt: number }>();
const knownMs = 3_000;
const maxKnown = 5_000;
/** A service that does not listen yet is tried again after this, while its caller is held. */
const listenAgainMs = 500;
const listenLaterMs = 5_000;

async function serve(asked: Asked): Promise<Response> {
  const { address, request } = asked;
  const body = new Body(request);
  let more: Doubts = {};
  // Before it wakes anything.
  if (await body.isLost()) throw new AppError("get_has_body");
  for (let breaks = 0; ; ) {
    const where = await find(asked, more);
    if (where.kind === "closed") return answerClosed(asked, where);
    if (!isShown(where.proxy, address.port)) throw notShown(address);
    const holdMs = holdMsOf(request, where.proxy.hold_seconds);
    if (holdMs > 0) await body.keep(where.proxy.kept_body_bytes);
    // A body that streams can be sent once, so it is sent to somebody who listens.
    const isEarly = holdMs > 0 && body.isLast && !(await listens(asked, where));
    const sent = isEarly ? "no_service" : await send(asked, where, body);
    if (sent instanceof Response) return sent;
    if (sent === "broken") {
      const instead = await afterBreak(asked, where, ++breaks);
      if (instead) return instead;
      more = {};
      continue;
    }
    if (sent !== "no_service") known.delete(address.instance);
    more = sent === "closed" ? { shut: where.way.epoch } : sent === "sealed" ? { sealed: true } : {};
    const isHeld = asked.startedAt + holdMs - Date.now() > listenAgainMs && body.canRepeat;
    if (!isHeld) return giveUp(asked, sent, where, more);
    if (sent === "no_service") await scheduler.wait(listenAgainMs);
  }
}

/** Nobody waits for it any more: what is to be said now. Errors: machine_out_of_reach. */
async function giveUp(asked: Asked, sent: GateError | "closed", { name }: Open, more: Doubts): Promise<Response> {
  if (sent === "no_service") return answerDeaf(asked, name);
  const now = await knock(asked, { ...more, waitMs: 0 });
  if (now.kind === "closed") return answerClosed(asked, now);
  throw new AppError("machine_out_of_reach", { retryAfterMs: 1_000 });
}

/** The machine runs. When its service will listen nobody here can say. */
function answerDeaf({ request, address, nature, told }: Asked, name: string): Response {
  told.code = "service_not_listening";
  if (nature.isPreflight) return preflightAnswer(request);
  const wait = { phase: "starting", since: Date.now(), left: null, retryAfterMs: listenLaterMs } as const;
  const { instance } = address;
  return waitingAnswer(request, { code: "service_not_listening", instance, name, status: "running", wait }, null);
}

/**
 * The machine may have gone since it was last asked about, or a connection broke that was kept too long. What changes
 * nothing is sent once more (null); of anything else the machine may have had its effect. Errors: machine_out_of_reach.
 */
async function afterBreak(asked: Asked, { way }: Open, breaks: number): Promise<Response | null> {
  known.delete(asked.address.instance);
  const { method } = asked.request;
  const isSafe = method === "GET" || method === "HEAD" || method === "OPTIONS";
  const now = await knock(asked, { waitMs: 0, ...(breaks > 1 && { doubted: way.epoch }) });
  if (isSafe && (now.kind === "closed" || breaks < 3)) return null;
  if (now.kind === "closed") return answerClosed(asked, now);
  throw new AppError("machine_out_of_reach", { retryAfterMs: 1_000 });
}

/** Held until it is open, as long as was asked for. Errors: unauthenticated, forbidden, instance_not_found. */
async function find(asked: Asked, more: Doubts): Promise<Open | Shut> {
  const { address, called, nature, request, startedAt } = asked;
  const { instance } = address;
  const before = known.get(instance);
  if (before && Date.now() < before.untilAt) {
    const { owner, proxy } = before.open;
    const isAllowed = nature.isPreflight || mayCall(called.caller, owner, instance, proxy.access);
    // Who waits for it gets its answer from the machine that is there, and not from one that has just gone.
    if (isAllowed && holdMsOf(request, proxy.hold_seconds) === 0) return before.open;
  }
  const wished = preferredWait(request);
  let waitMs = wished === null ? null : Math.max(0, startedAt + wished - Date.now());
  // What the last try found is told once: it may have changed while this waits.
  for (let doubts = more; ; doubts = {}) {
    const answer = await knock(asked, { ...doubts, waitMs });
    if (answer.kind === "open" || answer.code !== "waking") return answer;
    const leftMs = startedAt + holdMsOf(request, answer.proxy.hold_seconds) - Date.now();
    if (leftMs <= 0) return answer;
    waitMs = leftMs;
  }
}

async function knock(asked: Asked, more: Doubts & Pick<KnockRequest, "waitMs">): Promise<Open | Shut> {
  const { address, called, env, nature } = asked;
  const { instance, port } = address;
  const { caller } = called;
  const answer = await knockAt(env, instance, { caller, port, ...nature, ...more });
  if (answer.kind === "unknown") throw new AppError("instance_not_found");
  if (answer.kind === "not_shown") throw notShown(address);
  if (answer.kind === "forbidden") throw new AppError(caller.kind === "anybody" ? "unauthenticated" : "forbidden");
  if (answer.kind === "open") {
    if (known.size >= maxKnown) known.clear();
    known.set(instance, { open: answer, untilAt: Date.now() + knownMs });
  }
  return answer;
}

/** An object that begins anew, as with each deployment, breaks off whoever asks it at that moment; the next stub finds it there. */
async function knockAt(env: Env, instance: InstanceId, request: KnockRequest): Promise<KnockAnswer> {
  try {
    return await env.INSTANCE.getByName(instance).knock(request);
  } catch (error) {
    const { retryable, overloaded } = error as { retryable?: boolean; overloaded?: boolean };
    if (!retryable || overloaded) throw error;
    return env.INSTANCE.getByName(instance).knock(request);
  }
}

/** False also where it cannot be known: whoever waits asks again. */
async function listens({ env, address }: Asked, { way, proxy }: Open): Promise<boolean> {
  const { instance } = address;
  const token = await gateToken(env.AGENT_JWT_SECRET, { instance, epoch: way.epoch, port: null });
  const url = `http://gate${gatePaths.listens}?port=${address.port ?? proxy.port}`;
  const signal = AbortSignal.timeout(5_000);
  const reached = await pipeOf(env, way).fetch(new Request(url, { headers: { [gateHeaders.token]: token }, signal }));
  return reached.ok && reached.response.status === 204;
}

/** The service's answer, or why there is none. */
async function send(
  asked: Asked,
  { way, proxy }: Open,
  body: Body,
): Promise<Response | GateError | "closed" | "broken"> {
  const { request, env, address, called, nature } = asked;
  const { path } = address;
  const token = await gateToken(env.AGENT_JWT_SECRET, {
    ...{ instance: address.instance, epoch: way.epoch, port: address.port ?? proxy.port },
    quiet: !kindOfRequest(proxy, nature).isUse,
  });
  const headers = requestHeaders(request, { address, token, dropAuthorization: called.tookAuthorization });
  const { search } = new URL(request.url);
  const { method, signal } = request;
  const servicePath = proxy.keep_prefix ? address.prefix + path : path;
  const onward = new Request(`http://gate${servicePath}${search}`, {
    ...{ method, headers, body: body.take(), redirect: "manual", signal },
  });
  const reached = await pipeOf(env, way).fetch(onward);
  if (!reached.ok) {
    const { code, message } = reached;
    log.warn("pipe_failed", { instance: way.instance, pipe: way.pipe, code, error: message });
    // Neither says anything of the way, and the first reached the machine.
    if (code === "late") throw new AppError("answer_too_late");
    if (code === "full") throw new AppError("machine_busy", { retryAfterMs: 1_000 });
    return code;
  }
  const { response } = reached;
  const error = response.headers.get(gateHeaders.error);
  if (error !== null) {
    await response.body?.cancel().catch(() => undefined);
    if (error === "service_broke") throw new AppError("service_broke");
    // Of another machine, or of one whose clock is far off.
    return gateErrors.find((one) => one === error && one !== "refused") ?? "closed";
  }
  const passed = responseHeaders(response.headers, request, address);
  if (response.webSocket) return new Response(null, { status: 101, webSocket: response.webSocket, headers: passed });
  // An encoded body passes as it is: nobody looks into it here, and what leaves is to be encoded as what came.
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers: passed });
}

function answerClosed(asked: Asked, shut: Shut): Response {
  const { request, address, nature } = asked;
  asked.told.code = shut.code;
  if (nature.isPreflight) return preflightAnswer(request);
  const { instance } = address;
  const closedOf = ({ code, name, status, wait }: Shut): Closed => ({ code, instance, name, status, wait });
  const next = async () => {
    await scheduler.wait(1_000);
    const answer = await knock(asked, { waitMs: 0 });
    return answer.kind === "open" ? null : closedOf(answer);
  };
  return waitingAnswer(request, closedOf(shut), next);
}

function notShown({ port }: ServiceAddress): AppError {
  return new AppError("port_not_shown", { port });
}

/** `/p/i-...` is no folder: what its pages link to would lie beside it. */
function toFolder(request: Request): Response {
  const { pathname, search } = new URL(request.url);
  return new Response(null, {
    status: 308,
    headers: { location: `${pathname}/${search}`, "cache-control": "no-store" },
  });
}

function natureOf(request: Request, { path }: ServiceAddress): RequestNature {
  const { method, headers } = request;
  return { method, path, isRobot: isRobot(headers.get("user-agent")), isPreflight: isPreflight(request) };
}

/**
 * Asked by a browser before the request proper, and never with a credential. With an upgrade it would reach the service as
 * the GET of a WebSocket's handshake.
 */
function isPreflight({ method, headers }: Request): boolean {
  const isQuestion = headers.has("origin") && headers.has("access-control-request-method");
  return method === "OPTIONS" && isQuestion && !headers.has("upgrade");
}

function holdMsOf(request: Request, settingSeconds: number): number {
  return preferredWait(request) ?? settingSeconds * 1_000;
}

/** RFC 7240: `Prefer: wait=N`, in seconds. */
function preferredWait({ headers }: Request): number | null {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})/i.exec(headers.get("prefer") ?? "")?.[1];
  return seconds === undefined ? null : Math.min(maxHoldSeconds, Number(seconds)) * 1_000;
}
