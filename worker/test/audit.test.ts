/** The audit log: what leaves a line, what never stands in one, who reads it, and how it ends. */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { type AuditLine, auditDays } from "../../core/protocol/audit.ts";
import { dropOldAudit } from "../db/audit.ts";
import {
  adminToken,
  advance,
  api,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  type TestUser,
  until,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";

let ana: TestUser;
let nest: Sleeper;
beforeAll(async () => {
  const scene = await setScene();
  ana = scene.user;
  ({ nest } = await runningInstance(scene.vast, ana));
});
afterAll(endScene);

interface Page {
  lines: AuditLine[];
  next_before: number | null;
}

async function lines(query = "", user = ana): Promise<AuditLine[]> {
  const { status, body } = await api<Page>("GET", `/api/audit?${query}`, { token: user.token });
  expect(status).toBe(200);
  return body.lines;
}

/** The newest line, once it is of this operation. */
async function newest(operation: string): Promise<AuditLine> {
  return until(`a line of ${operation}`, async () =>
    (await lines("limit=1")).find((one) => one.operation === operation),
  );
}

it("says who, with what, what of, from where, and what came of it", async () => {
  const headers = { "user-agent": "soneca/0.1.0" };
  const held = await api("POST", `${nest.path}/keep-awake`, { token: ana.token, json: { minutes: 5 }, headers });
  const tokenId = await env.DB.prepare("SELECT id FROM api_tokens WHERE user_id = ?").bind(ana.id).first<string>("id");
  expect(await newest("keepAwake")).toMatchObject({
    actor: `user:${ana.id}`,
    name: "Ana",
    token_id: tokenId,
    role: "owner",
    instance_id: nest.id,
    target: null,
    status: 200,
    code: null,
    request_id: held.headers.get("x-request-id"),
    origin: "cli",
  });
});

it("has what was refused and what broke, and nothing that was only read", async () => {
  const viewer = await api<{ user_id: string; token: string }>("POST", "/api/members", {
    token: ana.token,
    json: { name: "Rui", role: "viewer" },
  });
  expect(await newest("addMember")).toMatchObject({ target: viewer.body.user_id, status: 201, origin: "api" });
  await outcome("POST", `${nest.path}/discard`, { token: viewer.body.token, json: { confirm: nest.id } });
  expect(await newest("discardInstance")).toMatchObject({
    actor: `user:${viewer.body.user_id}`,
    name: "Rui",
    status: 403,
    code: "role_too_low",
  });
  await outcome("PUT", `${nest.path}/config`, { token: ana.token, raw: "{" });
  expect(await newest("putConfig")).toMatchObject({ status: 400, code: "bad_json" });
  const broken = vi.spyOn(env.INSTANCE, "getByName").mockImplementation(() => {
    throw new Error("broken");
  });
  await outcome("POST", `${nest.path}/not-now`, { token: ana.token, json: {} });
  broken.mockRestore();
  expect(await newest("notNow")).toMatchObject({ status: 500, code: "internal" });

  const before = (await lines()).length;
  await api("GET", nest.path, { token: ana.token });
  await api("POST", `${nest.path}/preview`, { token: ana.token, json: {} });
  await outcome("POST", `${nest.path}/wake`, { json: {} });
  await outcome("POST", `${nest.path}/wake`, { token: "snu_unknown", json: {} });
  await outcome("POST", "/api/users", { token: "wrong", json: { name: "x" } });
  expect((await lines()).length).toBe(before);
});

it("holds no secret and no body", async () => {
  const made = await api<{ id: string; token: string }>("POST", "/api/tokens", {
    token: ana.token,
    json: { name: "a-name-of-its-own" },
  });
  expect(await newest("createToken")).toMatchObject({ target: made.body.id });
  await api("PUT", `${nest.path}/config`, {
    token: ana.token,
    json: { auto_hibernation: { hooks: { after_wake: "export KEY=hunter2" } } },
  });
  await newest("putConfig");
  const all = JSON.stringify((await env.DB.prepare("SELECT * FROM audit_log").all()).results);
  for (const secret of [made.body.token, ana.token, "a-name-of-its-own", "hunter2"]) expect(all).not.toContain(secret);
});

it("is the team's own, and its owners' to read, page by page", async () => {
  const eve = await newUser("Eve");
  const hers = await lines("", eve);
  expect(hers.map(({ actor, operation }) => [actor, operation])).toEqual([["admin", "createUser"]]);
  expect(await outcome("GET", `/api/audit?instance=${nest.id}`, { token: adminToken })).toBe("401 unauthenticated");
  const all = await lines();
  const paged: AuditLine[] = [];
  let next: number | null = null;
  do {
    const query: string = next === null ? "limit=3" : `limit=3&before=${next}`;
    const { body } = await api<Page>("GET", `/api/audit?${query}`, { token: ana.token });
    paged.push(...body.lines);
    next = body.next_before;
  } while (next !== null);
  expect(paged).toEqual(all);
  expect((await lines("outcome=refused")).every(({ status }) => status >= 400)).toBe(true);
  expect((await lines(`instance=${nest.id}`)).every(({ instance_id }) => instance_id === nest.id)).toBe(true);
});

it("does not hold up or break the request that it is about, and is told elsewhere when it cannot be kept", async () => {
  const told = vi.spyOn(console, "error").mockImplementation(() => {});
  await env.DB.prepare("ALTER TABLE audit_log RENAME TO audit_gone").run();
  expect(await outcome("POST", `${nest.path}/keep-awake`, { token: ana.token, json: { minutes: 6 } })).toBe("200");
  const lost = await until("it is told", async () =>
    told.mock.calls.map(([text]) => String(text)).find((text) => text.includes("audit_not_written")),
  );
  expect(JSON.parse(lost)).toMatchObject({ route: "keepAwake", actor: `user:${ana.id}`, status: 200 });
  await env.DB.prepare("ALTER TABLE audit_gone RENAME TO audit_log").run();
  told.mockRestore();
});

it("keeps a line for its days and no longer", async () => {
  const kept = (await lines()).length;
  expect(await dropOldAudit(env.DB, Date.now())).toBe(0);
  advance(auditDays * 86_400_000 + 60_000);
  await api("POST", `${nest.path}/not-now`, { token: ana.token, json: {} });
  await newest("notNow");
  expect(await dropOldAudit(env.DB, Date.now())).toBeGreaterThanOrEqual(kept);
  expect(await lines()).toHaveLength(1);
});
