import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from "vitest";
import { type RouteName, routes } from "../core/protocol/api.ts";
import { AppError } from "../core/protocol/errors.ts";
import type { Route } from "../core/protocol/route.ts";
import type { InstanceView } from "../core/protocol/views.ts";
import { type ClientOptions, createClient } from "./client.ts";
import { Failure } from "./failure.ts";
import { backoffMs, readRetryAfter } from "./retry.ts";
import { errorAnswer, instanceView, meAnswer, startTestServer, type TestServer, testId } from "./testing/server.ts";

let server: TestServer;
let waits: number[];

beforeEach(async () => {
  server = await startTestServer();
  waits = [];
});
afterEach(() => server.close());

function client(options: Partial<ClientOptions> = {}) {
  const sleep = async (ms: number) => void waits.push(ms);
  return createClient({ url: server.url, token: "snu_secret", sleep, random: () => 1, ...options });
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Failure)) throw new Error(`not a Failure: ${error}`);
  return error;
}

const me = meAnswer("ana");
/** For whatever a path asks. */
const anyParams = { params: new Proxy({}, { get: () => "x-1" }) };

describe("calls", () => {
  test("are typed by the route table", () => {
    const { call } = client();
    const typed = () => call("getInstance", { params: { id: testId } });
    expectTypeOf(typed).returns.resolves.toEqualTypeOf<InstanceView>();
    const wrong = () => [
      // @ts-expect-error: the path wants its id
      call("getInstance"),
      // @ts-expect-error: not a field of the body
      call("wakeInstance", { params: { id: testId }, body: { gpu: "x" } }),
      // @ts-expect-error: not a query of this route
      call("listEvents", { params: { id: testId }, query: { before: 1 } }),
      // @ts-expect-error: the body is wanted
      call("createToken"),
    ];
    expect(wrong).toBeTypeOf("function");
  });

  test("send method, path, query, body and token", async () => {
    server.on(`GET /api/instances/${testId}/events`, { json: { events: [], next_after: 7 } });
    server.on(`POST /api/instances/${testId}/wake`, { status: 202, json: instanceView() });
    const { call } = client();
    await call("listEvents", { params: { id: testId }, query: { after: 7, limit: 5 } });
    await call("wakeInstance", { params: { id: testId }, body: { region: "BR" } });
    expect(server.asked[0]?.query.toString()).toBe("after=7&limit=5");
    expect(server.asked[0]?.authorization).toBe("Bearer snu_secret");
    expect(server.asked[1]?.body).toEqual({ region: "BR" });
  });

  test("take 204 as null", async () => {
    server.on("DELETE /api/tokens/t-1", { status: 204 });
    expect(await client().call("revokeToken", { params: { tokenId: "t-1" } })).toBeNull();
  });

  test("cannot climb out of their path", async () => {
    await expect(client().call("getInstance", { params: { id: ".." } })).rejects.toThrow("cannot be");
    server.on("GET /api/instances/a%2Fb", errorAnswer("instance_not_found"));
    expect((await failureOf(client().call("getInstance", { params: { id: "a/b" } }))).code).toBe("instance_not_found");
  });
});

describe("repeats", () => {
  test("wait at least for Retry-After", async () => {
    server.on("GET /api/me", errorAnswer("storage_unavailable", {}, { "retry-after": "2" }), { json: me });
    expect(await client().call("me")).toEqual(me);
    expect(waits).toEqual([2000 + 75]);
  });

  test("end after four tries", async () => {
    server.on("GET /api/me", errorAnswer("internal"));
    const failure = await failureOf(client().call("me"));
    expect(failure.code).toBe("internal");
    expect(failure.details.request_id).toBe("req-9");
    expect(server.asked).toHaveLength(4);
    expect(waits).toEqual([300, 600, 1200]);
  });

  test("do not sit through a long Retry-After", async () => {
    server.on(`POST /api/instances/${testId}/wake`, errorAnswer("wake_rate_limited", {}, { "retry-after": "45" }));
    const failure = await failureOf(client().call("wakeInstance", { params: { id: testId } }));
    expect([failure.exitCode, failure.details.retryAfterMs, server.asked.length]).toEqual([6, 45_000, 1]);
  });

  test("follow a cut connection", async () => {
    server.on("GET /api/me", { fault: "cut" }, { json: me });
    expect(await client().call("me")).toEqual(me);
  });

  test.each(["storage_unavailable", "internal"] as const)("never make a second machine after %s", async (code) => {
    server.on("POST /api/instances", errorAnswer(code, {}, { "retry-after": "0" }));
    server.on("POST /api/instances/adopt", errorAnswer(code));
    server.on("POST /api/tokens", errorAnswer(code));
    await failureOf(client().call("createInstance", { body: {} }));
    await failureOf(client().call("adoptInstance", { body: { vast_instance_id: 1 } }));
    await failureOf(client().call("createToken", { body: { name: "x" } }));
    expect(server.asked).toHaveLength(3);
  });

  test("a create whose answer is lost says that it may have happened", async () => {
    server.on("POST /api/instances", { fault: "cut" });
    const failure = await failureOf(client().call("createInstance", { body: {} }));
    expect(failure.hint).toContain("may have been carried out");
    expect(server.asked).toHaveLength(1);
  });

  test("a create that never left does not say so", async () => {
    const gone = await startTestServer();
    await gone.close();
    const failure = await failureOf(client({ url: gone.url }).call("createInstance", { body: {} }));
    expect([failure.code, failure.exitCode]).toEqual(["unreachable", 4]);
    expect(failure.hint).not.toContain("may have been");
  });

  test("a conflict that may pass later is not repeated", async () => {
    server.on(`POST /api/instances/${testId}/wake`, errorAnswer("no_offer"));
    expect((await failureOf(client().call("wakeInstance", { params: { id: testId } }))).exitCode).toBe(6);
    expect(server.asked).toHaveLength(1);
  });

  test("each route of the contract: what may run twice after a lost answer", async () => {
    const repeated: string[] = [];
    const once: string[] = [];
    for (const [name, route] of Object.entries(routes) as [RouteName, Route][]) {
      if (route.method === "GET" || route.method === "PUT") continue;
      let calls = 0;
      const cut = async () => {
        calls++;
        throw new TypeError("fetch failed", { cause: { code: "ECONNRESET" } });
      };
      await failureOf(client({ fetch: cut }).call(name, anyParams as never));
      (calls > 1 ? repeated : once).push(name);
    }
    // Who makes something new each time, sends something, or uses something up.
    expect(once.sort()).toEqual([
      "addMember",
      "adoptInstance",
      "createChannel",
      "createInstance",
      "createProxyKey",
      "createToken",
      "createUser",
      "pressButton",
      "testChannel",
    ]);
    // A new one stands here only where its second run does no more than its first.
    expect(repeated.sort()).toEqual([
      "agentStatus",
      "closeSession",
      "deleteChannel",
      "deletePolicy",
      "discardInstance",
      "hibernateInstance",
      "keepAwake",
      "letSleep",
      "notNow",
      "openSession",
      "previewConfig",
      "removeMember",
      "removeProviderKey",
      "resealSecrets",
      "revokeProxyKey",
      "revokeToken",
      "selfTest",
      "testProviderKey",
      "wakeInstance",
    ]);
  });

  test.each([
    "revokeToken",
    "revokeProxyKey",
    "removeMember",
    "removeProviderKey",
    "deleteChannel",
    "closeSession",
  ] as const)("%s: not found by its repeat, it is done", async (name) => {
    const answers = [
      () => Promise.reject(new TypeError("fetch failed")),
      async () => Response.json(new AppError("object_not_found").toBody(), { status: 404 }),
    ];
    const fetch = () => answers.shift()!();
    expect(await client({ fetch }).call(name, anyParams as never)).toBeNull();
  });

  test("not found the first time, nothing was revoked", async () => {
    server.on("DELETE /api/tokens/t-1", errorAnswer("object_not_found"));
    const failure = await failureOf(client().call("revokeToken", { params: { tokenId: "t-1" } }));
    expect(failure.exitCode).toBe(3);
  });

  test("a revoke whose first answer was lost is done", async () => {
    server.on("DELETE /api/tokens/t-1", { fault: "cut" }, errorAnswer("object_not_found"));
    expect(await client().call("revokeToken", { params: { tokenId: "t-1" } })).toBeNull();
  });
});

describe("bad answers", () => {
  test("none in time", async () => {
    server.on("GET /api/me", { fault: "hang" });
    const failure = await failureOf(client({ timeoutMs: 60 }).call("me"));
    expect([failure.code, failure.exitCode, server.asked.length]).toEqual(["timeout", 4, 4]);
  });

  test.each([
    ["not JSON", { text: "<html>" }],
    ["another shape", { json: { id: 7 } }],
    ["empty", {}],
  ])("%s", async (_, canned) => {
    server.on("GET /api/me", canned);
    const failure = await failureOf(client().call("me"));
    expect([failure.code, failure.exitCode, failure.details.request_id]).toEqual(["malformed_answer", 1, "req-1"]);
    expect(server.asked).toHaveLength(1);
  });

  test("an error page of something in between", async () => {
    server.on("GET /api/me", { status: 502, text: "<html>bad gateway</html>" });
    expect((await failureOf(client().call("me"))).exitCode).toBe(4);
    server.on("GET /api/me", { status: 404, text: "<html>" });
    expect((await failureOf(client().call("me"))).code).toBe("malformed_answer");
  });

  test("a redirect is not followed with the token", async () => {
    server.on("GET /api/me", { status: 302, headers: { location: `${server.url}/api/elsewhere` } });
    expect((await failureOf(client().call("me"))).message).toContain("/api/elsewhere");
    expect(server.asked).toHaveLength(1);
  });

  test("an error code of a newer control plane keeps its words", async () => {
    const error = { code: "moon_is_full", message: "The moon is full.", hint: "Wait.", retryable: false };
    server.on("GET /api/me", { status: 409, json: { error } });
    const failure = await failureOf(client().call("me"));
    expect([failure.code, failure.message, failure.hint, failure.exitCode]).toEqual([
      "moon_is_full",
      "The moon is full.",
      "Wait.",
      6,
    ]);
  });

  test("no failure shows the token", async () => {
    const gone = await startTestServer();
    await gone.close();
    const failure = await failureOf(client({ url: gone.url }).call("me"));
    expect(failure.toText() + JSON.stringify(failure.toBody())).not.toContain("snu_secret");
  });
});

test.each([
  ["unauthenticated", 5],
  ["forbidden", 5],
  ["token_expired", 5],
  ["instance_not_found", 3],
  ["action_not_allowed", 6],
  ["too_many_requests", 6],
  ["confirm_mismatch", 2],
  ["invalid_input", 2],
  ["provider_no_credit", 1],
  ["internal", 1],
] as const)("%s ends with exit code %i", async (code, exitCode) => {
  server.on("GET /api/me", errorAnswer(code));
  expect((await failureOf(client().call("me"))).exitCode).toBe(exitCode);
});

test("jitter is full, grows and is bounded", () => {
  expect(backoffMs(0, undefined, () => 0)).toBe(0);
  expect(backoffMs(20, undefined, () => 1)).toBe(5_000);
});

test("Retry-After is seconds or a date", () => {
  expect(readRetryAfter("7", 0)).toBe(7000);
  expect(readRetryAfter("Thu, 01 Jan 1970 00:00:10 GMT", 4000)).toBe(6000);
  expect(readRetryAfter("soon", 0)).toBeUndefined();
  expect(readRetryAfter(null, 0)).toBeUndefined();
});
