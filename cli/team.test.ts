/** The commands of people: tokens, members, keys, the audit log. The real program, as a process, against canned answers. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { runProgram } from "./testing/program.ts";
import { errorAnswer, meAnswer, startTestServer, summary, type TestServer, testId } from "./testing/server.ts";

let server: TestServer;
let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-team-"));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
beforeEach(async () => {
  server = await startTestServer();
  server.on("GET /api/instances", { json: { instances: [summary()] } });
});
afterEach(() => server.close());

function soneca(args: string[], input?: string) {
  const env = { PATH: process.env.PATH, HOME: home, SONECA_URL: server.url, SONECA_TOKEN: "snu_one" };
  return runProgram(args, { env, cwd: home, input });
}

const bodyOf = (method: string) => server.asked.find((asked) => asked.method === method)?.body;

test("tokens: for less, the secret once; listed with their last use; revoked by name", async () => {
  const one = {
    id: "11111111-aaaa",
    name: "ci",
    user: { id: "u-aaaaaaaaaa", name: "Ana" },
    role: "operator",
    instances: [testId],
    created_at: "2026-11-01T00:00:00Z",
    expires_at: null,
    last_used_at: null,
  };
  server.on("POST /api/tokens", { status: 201, json: { ...one, token: "snu_new" } });
  server.on("GET /api/tokens", { json: { tokens: [one] } });
  server.on(`DELETE /api/tokens/${one.id}`, { status: 204 });
  const [made, list, revoked, wrong] = await Promise.all([
    soneca(["token", "create", "ci", "--expires", "30", "--role", "operator", "--instance", testId]),
    soneca(["token", "list"]),
    soneca(["token", "revoke", "ci", "--json"]),
    soneca(["token", "create", "ci", "--role", "king"]),
  ]);
  expect(made.out).toBe("snu_new\n");
  expect(made.err).toContain(`operator, for ${testId} alone`);
  expect(bodyOf("POST")).toEqual({ name: "ci", expires_in_days: 30, role: "operator", instances: [testId] });
  expect(list.out).toMatch(new RegExp(`11111111-aaaa +ci +Ana +operator +${testId} .* never +never`));
  expect(JSON.parse(revoked.out)).toEqual({ revoked: { id: one.id, name: "ci" } });
  expect(wrong.code).toBe(2);
});

test("members: taken in with a token or by e-mail, given a role, taken out", async () => {
  const rui = {
    user_id: "u-bbbbbbbbbb",
    name: "Rui",
    email: null,
    role: "operator",
    is_founder: false,
    since: "2026-11-01T00:00:00Z",
  };
  server.on("POST /api/members", { status: 201, json: { ...rui, token: "snu_ruis" } });
  server.on("GET /api/members", { json: { members: [rui] } });
  server.on(`PUT /api/members/${rui.user_id}`, { json: { ...rui, role: "viewer" } });
  server.on(`DELETE /api/members/${rui.user_id}`, { status: 204 });
  const [added, list, changed, removed] = await Promise.all([
    soneca(["member", "add", "Rui", "--role", "operator"]),
    soneca(["member", "list"]),
    soneca(["member", "role", "Rui", "viewer"]),
    soneca(["member", "remove", "Rui", "--json"]),
  ]);
  expect(added.out).toBe("snu_ruis\n");
  expect(bodyOf("POST")).toEqual({ name: "Rui", role: "operator" });
  expect(list.out).toMatch(/u-bbbbbbbbbb +Rui +operator/);
  expect([changed.out, bodyOf("PUT")]).toEqual(["Rui is viewer.\n", { role: "viewer" }]);
  expect(JSON.parse(removed.out)).toEqual({ removed: { user_id: rui.user_id, name: "Rui" } });
});

test("the provider's key comes from standard input, and is never shown", async () => {
  const key = { hint: "et-1", created_at: "2026-11-01T00:00:00Z", last_used_at: null, trouble: null };
  server.on("PUT /api/provider-key", { json: { key } });
  server.on("DELETE /api/provider-key", errorAnswer("provider_key_in_use"));
  server.on("GET /api/provider-key", {
    json: { key: { ...key, trouble: { message: "auth_error", at: key.created_at } } },
  });
  const [set, none, removed, shown] = await Promise.all([
    soneca(["provider-key", "set"], "a-very-secret-1\n"),
    soneca(["provider-key", "set"], ""),
    soneca(["provider-key", "remove"]),
    soneca(["provider-key", "show"]),
  ]);
  expect([set.code, bodyOf("PUT")]).toEqual([0, { key: "a-very-secret-1" }]);
  expect(set.out).toContain("...et-1");
  expect(set.out + set.err).not.toContain("a-very-secret-1");
  expect(none.code).toBe(2);
  expect([removed.code === 0, removed.err]).toEqual([
    false,
    expect.stringContaining("Machines are rented with this key"),
  ]);
  expect(shown.out).toContain("auth_error");
});

test("the audit log, page after page; and who one is", async () => {
  const line = (id: number) => ({
    id,
    at: "2026-11-01T00:00:00Z",
    actor: "user:u-bbbbbbbbbb",
    name: "Rui",
    token_id: null,
    role: "viewer",
    operation: "discardInstance",
    instance_id: testId,
    target: null,
    status: 403,
    code: "role_too_low",
    request_id: "r",
    origin: "cli",
  });
  server.on("GET /api/audit", (asked) => {
    return asked.query.has("before")
      ? { json: { lines: [line(1)], next_before: null } }
      : { json: { lines: [line(3), line(2)], next_before: 2 } };
  });
  server.on("GET /api/me", { json: { ...meAnswer("Rui"), team: { id: "u-cccccccccc", name: "Ana", role: "viewer" } } });
  const [told, asJson, me] = await Promise.all([
    soneca(["audit", "--refused"]),
    soneca(["audit", "--json"]),
    soneca(["whoami"]),
  ]);
  expect(told.out).toMatch(new RegExp(`3 .*Rui +discardInstance +${testId} +403 role_too_low +cli`));
  const { lines } = JSON.parse(asJson.out) as { lines: { id: number }[] };
  expect(lines.map(({ id }) => id)).toEqual([3, 2, 1]);
  expect(me.out).toMatch(/Team +Ana +u-cccccccccc\nRole +viewer/);
});

test("secrets: what may be removed, and what is lost", async () => {
  const view = {
    current: "2",
    keys: [
      { version: "2", is_known: true, secrets: 4 },
      { version: "1", is_known: true, secrets: 0 },
      { version: "0", is_known: false, secrets: 1 },
    ],
    unreadable: 1,
    may_remove: ["1"],
  };
  server.on("POST /api/secrets/reseal", { json: { ...view, resealed: 4 } });
  const { out, err } = await soneca(["secrets", "reseal"]);
  expect(err).toContain("Sealed anew: 4.");
  expect(out).toMatch(/2 +4 +seals now\n1 +0 +may be removed\n0 +1 +missing in SECRETS_KEYS/);
  expect(out).toContain("1 cannot be opened");
});
