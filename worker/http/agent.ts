/** The routes of agents: their reports, and the parts and manifests of their snapshots. */
import { agentStorePath, maxPartBytes } from "../../core/protocol/agent.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { isSha256Hex } from "../../core/protocol/ids.ts";
import { relayPath } from "../../core/protocol/relay.ts";
import { statusReportSchema } from "../../core/protocol/wire.ts";
import { maxManifestBytes, parseManifest } from "../../core/snapshot/manifest.ts";
import { instancePrefix, manifestObjectKey, parseManifestKey, partObjectKey } from "../../core/snapshot/store.ts";
import { countedBucket, newTally } from "../counted-bucket.ts";
import { log } from "../log.ts";
import { relayUpgrade } from "../relay/route.ts";
import { objectOf, orThrow } from "./ask.ts";
import { authenticate } from "./auth.ts";
import type { App, AppContext } from "./context.ts";
import { check, mount } from "./mount.ts";

export function mountAgent(app: App): void {
  mount(app, "agentStatus", async (c, { body }) => {
    const agent = agentOf(c);
    const report = check(statusReportSchema, body);
    if (report.instance_id !== agent.instance)
      throw new AppError("forbidden", { detail: "the token belongs to another instance" });
    const { answer } = orThrow(await objectOf(c, agent.instance).beat(agent.epoch, agent.issuedAt, report));
    return answer as unknown as Record<string, unknown>;
  });

  app.use(`${agentStorePath}/*`, admit);
  app.use(agentStorePath, admit);
  app.use(`${agentStorePath}/*`, count);
  app.put(`${agentStorePath}/parts/:sha256`, putPart);
  app.put(`${agentStorePath}/manifests/:name`, putManifest);
  app.get(`${agentStorePath}/parts/:sha256`, (c) => getObject(c, partKeyOf(c)));
  app.get(`${agentStorePath}/manifests/:name`, (c) => getObject(c, manifestKeyOf(c)));
  app.get(agentStorePath, listObjects);

  app.get(relayPath, admit, (c) => relayUpgrade(c, agentOf(c)));
}

/** The token names the instance, so no path can name another; an older epoch is fenced off. */
async function admit(c: AppContext, next: () => Promise<void>): Promise<void> {
  await authenticate(c, { principal: "agent" });
  const agent = agentOf(c);
  orThrow(await objectOf(c, agent.instance).admits(agent.epoch));
  await next();
}

/** For the books of the instance; the agent does not wait for it. Bytes are those of bodies, without their headers. */
async function count(c: AppContext, next: () => Promise<void>): Promise<void> {
  const { instance, epoch } = agentOf(c);
  const tally = newTally();
  const object = objectOf(c, instance);
  c.env = { ...c.env, SNAPSHOTS: countedBucket(c.env.SNAPSHOTS, tally) };
  await next();
  const { classA, classB } = tally;
  if (classA + classB === 0) return;
  const isPut = c.req.method === "PUT" && classA > 0;
  const upBytes = isPut ? bytesOf(c.req.header("content-length")) : 0;
  const downBytes = c.req.method === "GET" && c.res.ok ? bytesOf(c.res.headers.get("content-length")) : 0;
  const counted = object.moved(epoch, { upBytes, downBytes, classA, classB });
  c.executionCtx.waitUntil(counted.catch((error: unknown) => log.warn("not_counted", { instance, error })));
}

function bytesOf(header: string | null | undefined): number {
  return /^\d+$/.test(header ?? "") ? Number(header) : 0;
}

async function putPart(c: AppContext): Promise<Response> {
  const key = partKeyOf(c);
  const sha256 = c.req.param("sha256")!;
  const bytes = contentLength(c, maxPartBytes);
  const body = c.req.raw.body;
  if (!body || bytes === 0)
    throw new AppError("invalid_input", { issues: [{ path: "body", message: "a part is never empty" }] });
  const bucket = c.env.SNAPSHOTS;
  const put = await storage(() => bucket.put(key, body, { sha256, onlyIf: { etagDoesNotMatch: "*" } }));
  if (put) return c.json({ created: true }, 201);
  // There already. Its name is the hash that R2 verified when it was written, so the size alone could differ by a fault.
  const present = await storage(() => bucket.head(key));
  if (present?.size === bytes) return c.json({ created: false }, 200);
  throw new AppError("part_hash_mismatch", { stored_bytes: present?.size ?? null });
}

async function putManifest(c: AppContext): Promise<Response> {
  const agent = agentOf(c);
  const key = manifestKeyOf(c);
  contentLength(c, maxManifestBytes);
  const bytes = new Uint8Array(await c.req.arrayBuffer());
  if (bytes.length > maxManifestBytes) throw new AppError("payload_too_large", { limit_bytes: maxManifestBytes });
  const sha256 = await sha256Hex(bytes);
  const announced = c.req.header("x-soneca-sha256");
  if (announced !== undefined && announced !== sha256) throw new AppError("part_hash_mismatch");
  const parsed = parseManifest(new TextDecoder().decode(bytes));
  if (!parsed.ok) throw new AppError("manifest_invalid", { detail: parsed.message });
  const { instance, epoch, seq } = parsed.manifest;
  if (instance !== agent.instance || epoch !== agent.epoch || manifestObjectKey(instance, seq, epoch) !== key) {
    throw new AppError("manifest_invalid", {
      detail: "instance, epoch or number differ from the token and the address",
    });
  }
  const bucket = c.env.SNAPSHOTS;
  const put = await storage(() => bucket.put(key, bytes, { sha256, onlyIf: { etagDoesNotMatch: "*" } }));
  if (put) return c.json({ created: true }, 201);
  const present = await storage(() => bucket.get(key));
  if (present && (await sha256Hex(new Uint8Array(await present.arrayBuffer()))) === sha256)
    return c.json({ created: false }, 200);
  throw new AppError("manifest_exists");
}

async function getObject(c: AppContext, key: string): Promise<Response> {
  const bucket = c.env.SNAPSHOTS;
  if (c.req.method === "HEAD") {
    const head = await storage(() => bucket.head(key));
    if (!head) throw new AppError("object_not_found");
    return new Response(null, { headers: { "content-length": String(head.size), "accept-ranges": "bytes" } });
  }
  // Read here: R2 answers a range past the end, given as a header, with the whole object.
  const wanted = parseRange(c.req.header("range"));
  const object = await storage(() => bucket.get(key, wanted ? { range: wanted } : {})).catch(async (error) => {
    // Not every R2 names this fault: a range that begins past the end is no fault of the store.
    const size = wanted && (await bucket.head(key))?.size;
    throw size != null && ((wanted as { offset?: number }).offset ?? 0) >= size ? rangeError() : error;
  });
  if (!object) throw new AppError("object_not_found");
  const headers = new Headers({ "content-type": "application/octet-stream", "accept-ranges": "bytes" });
  const range = wanted ? rangeOf(object) : null;
  if (!range) {
    headers.set("content-length", String(object.size));
    return new Response(object.body, { headers });
  }
  headers.set("content-length", String(range.length));
  headers.set("content-range", `bytes ${range.offset}-${range.offset + range.length - 1}/${object.size}`);
  return new Response(object.body, { status: 206, headers });
}

async function listObjects(c: AppContext): Promise<Response> {
  const root = instancePrefix(agentOf(c).instance);
  const prefix = c.req.query("prefix") ?? "";
  if (!/^(|parts\/[0-9a-f]*|manifests\/[0-9-]*)$/.test(prefix)) {
    throw new AppError("invalid_input", { issues: [{ path: "prefix", message: "begins with parts/ or manifests/" }] });
  }
  const cursor = c.req.query("cursor") || undefined;
  const page = await storage(() => c.env.SNAPSHOTS.list({ prefix: root + prefix, cursor, limit: 1000 }));
  return c.json({
    objects: page.objects.map((object) => ({
      key: object.key.slice(root.length),
      bytes: object.size,
      sha256: object.checksums.sha256 ? hex(new Uint8Array(object.checksums.sha256)) : null,
    })),
    cursor: page.truncated ? page.cursor : null,
  });
}

/** Null for what is not exactly one range of bytes: such a header is ignored and everything is sent (RFC 9110, 14.2). */
function parseRange(header: string | undefined): R2Range | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
  if (!match) return null;
  const [, from, to] = match;
  if (from === "") return to === "" ? null : { suffix: Number(to) };
  if (to === "") return { offset: Number(from) };
  return Number(to) < Number(from) ? null : { offset: Number(from), length: Number(to) - Number(from) + 1 };
}

function rangeOf(object: R2ObjectBody): { offset: number; length: number } | null {
  const range = object.range as { offset?: number; length?: number; suffix?: number } | undefined;
  if (!range) return null;
  if (range.suffix !== undefined) {
    const length = Math.min(range.suffix, object.size);
    return { offset: object.size - length, length };
  }
  const offset = range.offset ?? 0;
  return { offset, length: range.length ?? object.size - offset };
}

function partKeyOf(c: AppContext): string {
  const sha256 = c.req.param("sha256");
  if (!isSha256Hex(sha256))
    throw new AppError("invalid_input", { issues: [{ path: "sha256", message: "64 lower-case hex digits" }] });
  return partObjectKey(agentOf(c).instance, sha256);
}

function manifestKeyOf(c: AppContext): string {
  const numbers = parseManifestKey(c.req.param("name") ?? "");
  if (!numbers)
    throw new AppError("invalid_input", { issues: [{ path: "name", message: "8 digits, a dash, the epoch" }] });
  return manifestObjectKey(agentOf(c).instance, numbers.seq, numbers.epoch);
}

/** Errors: length_required, payload_too_large. A body of unknown length cannot be streamed to R2. */
function contentLength(c: AppContext, limit: number): number {
  const header = c.req.header("content-length");
  if (header === undefined || !/^\d+$/.test(header)) throw new AppError("length_required");
  const bytes = Number(header);
  if (bytes > limit) throw new AppError("payload_too_large", { limit_bytes: limit });
  return bytes;
}

/** R2 tells its errors by a number in the text. The body of a failed put is used up: the agent sends it again. */
async function storage<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (String(error).includes("(10037)")) throw new AppError("part_hash_mismatch", {}, { cause: error });
    if (String(error).includes("(10039)")) throw rangeError();
    throw new AppError("storage_unavailable", { retryAfterMs: 1000 }, { cause: error });
  }
}

function rangeError(): AppError {
  return new AppError("range_not_satisfiable");
}

function agentOf(c: AppContext) {
  const agent = c.get("agent");
  if (!agent) throw new AppError("unauthenticated");
  return agent;
}

async function sha256Hex(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
