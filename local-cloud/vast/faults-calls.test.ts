/** Faults that can hit any call, over real HTTP: what the caller sees, and whether the call took effect. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { KEY, LABEL, recordedCreate, TestStandIn } from "./testing/stand-in.ts";

let standIn: TestStandIn;
beforeEach(async () => {
  standIn = await TestStandIn.open();
});
afterEach(() => standIn.close());

/** What came of a create under a fault. */
async function tryCreate() {
  const [offer] = await standIn.search({ num_gpus: { eq: 1 } });
  const begun = Date.now();
  const answer = await standIn.ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate()).catch((error) => error);
  const lost = answer instanceof Error ? `${(answer.cause as { code?: string })?.code ?? answer.message}` : null;
  return { answer, lost, tookMs: Date.now() - begun, made: (await standIn.list()).length };
}

describe("without effect", () => {
  it.each([
    ["lost_before", "reset", "ECONNRESET"],
    ["lost_before", "close", "UND_ERR_SOCKET"],
  ])("%s, %s: the connection ends and nothing was made", async (name, variant, code) => {
    await standIn.arm({ name, variant, on: "create", ms: 120 });
    const { lost, made, tookMs } = await tryCreate();
    expect([lost, made]).toEqual([code, 0]);
    expect(tookMs).toBeGreaterThanOrEqual(115);
  });

  it.each([
    ["auth_error", "404", 404, { error: "auth_error", msg: "Invalid user key" }],
    ["auth_error", "401", 401, { error: "auth_error" }],
    ["forbidden", "403", 403, { error: "forbidden" }],
    ["forbidden", "401", 401, { error: "forbidden" }],
    ["html_502", undefined, 502, null],
    ["error_5xx", "500", 500, { success: false, error: "server_error" }],
    ["error_5xx", "503", 503, { success: false }],
    ["error_5xx", "502", 502, null],
    ["error_5xx", "504", 504, null],
    ["success_false", undefined, 200, { success: false, error: "server_error" }],
    ["rate_limited", "text", 429, null],
    ["rate_limited", "detail", 429, { detail: "API requests too frequent endpoint threshold=4.5" }],
    ["rate_limited", "header", 429, null],
    ["rate_limited", "date", 429, null],
    ["rate_limited", "json", 429, { error: "rate_limit_exceeded", retry_after: 4.5 }],
  ])("%s, %s: status %i", async (name, variant, status, body) => {
    await standIn.arm({ name, variant, on: "create" });
    const { answer, made } = await tryCreate();
    expect([answer.status, made]).toEqual([status, 0]);
    if (body) expect(answer.json).toMatchObject(body);
    else expect(answer.json).toBeNull();
  });

  it("rate_limited says it in five ways, two of them with Retry-After", async () => {
    await standIn.arm({ name: "rate_limited", times: 5, amount: 20 });
    const answers = [];
    for (let i = 0; i < 5; i++) answers.push(await standIn.ask("GET", "/api/v1/instances/"));
    expect(answers.map(({ status }) => status)).toEqual([429, 429, 429, 429, 429]);
    expect(answers[0]!.text).toBe("API requests too frequent: endpoint threshold=1.0");
    expect(answers[1]!.json).toEqual({ detail: "API requests too frequent endpoint threshold=1.0" });
    expect(answers[2]!.json.error).toBe("rate_limit_exceeded");
    expect(answers.slice(0, 4).map(({ headers }) => headers.get("retry-after"))).toEqual([null, null, null, "20"]);
    const inMs = Date.parse(answers[4]!.headers.get("retry-after")!) - Date.now();
    expect(inMs).toBeGreaterThan(15_000);
    expect(inMs).toBeLessThanOrEqual(20_000);
  });

  it("rate_limits enforces vast.ai's intervals", async () => {
    await standIn.arm({ name: "rate_limits" });
    const list = async () => (await standIn.ask("GET", "/api/v1/instances/")).status;
    expect([await list(), await list()]).toEqual([200, 429]);
    expect((await standIn.ask("POST", "/api/v0/bundles/", {})).status).toBe(200);
  });

  it("slow waits before the effect", async () => {
    await standIn.arm({ name: "slow", on: "create", ms: 1500 });
    const creating = tryCreate();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(await standIn.list()).toEqual([]);
    expect((await creating).made).toBe(1);
  });

  it.each([
    ["no_such_instance", "no_such_instance"],
    ["not_found", "not_found"],
    ["html", null],
  ])("not_found, %s: a machine that is there is denied", async (variant, error) => {
    const { id } = await standIn.create();
    await standIn.arm({ name: "not_found", variant, times: 1 });
    const answer = await standIn.ask("DELETE", `/api/v0/instances/${id}/`, {});
    expect([answer.status, answer.json?.error ?? null]).toEqual([404, error]);
    expect((await standIn.list()).map((row) => row.id)).toEqual([id]);
  });

  it("ignored answers success to each change and does nothing", async () => {
    const { id } = await standIn.create();
    await standIn.running(id);
    await standIn.arm({ name: "ignored" });
    for (const [method, path, body] of [
      ["PUT", `/api/v0/instances/${id}/`, { label: "other" }],
      ["PUT", `/api/v0/instances/${id}/`, { state: "stopped" }],
      ["PUT", `/api/v0/instances/reboot/${id}/`, {}],
      ["DELETE", `/api/v0/instances/${id}/`, {}],
    ] as const) {
      expect((await standIn.ask(method, path, body)).json).toEqual({ success: true });
    }
    expect((await standIn.list())[0]).toMatchObject({ id, actual_status: "running", label: LABEL });
    expect((await standIn.counts()).ignored).toEqual({ struck: 4, on: { label: 1, stop: 1, reboot: 1, destroy: 1 } });
  });
});

describe("after the effect", () => {
  it.each([
    ["lost_after", "reset", "ECONNRESET"],
    ["lost_after", "close", "UND_ERR_SOCKET"],
  ])("%s, %s: the machine is made and nobody is told", async (name, variant, code) => {
    await standIn.arm({ name, variant, on: "create" });
    const { lost, made } = await tryCreate();
    expect([lost, made]).toEqual([code, 1]);
  });

  it.each(["500", "502", "503", "504"])(
    "error_after, %s: the machine is made and an error is told",
    async (variant) => {
      await standIn.arm({ name: "error_after", variant, on: "create" });
      const { answer, made } = await tryCreate();
      expect([answer.status, made]).toEqual([Number(variant), 1]);
    },
  );

  it.each([
    ["truncated", /^\{"success":true/],
    ["html", /^<html>/],
    ["text", /^OK$/],
    ["empty", /^$/],
    ["array", /^\[\{"success":true/],
    ["null", /^null$/],
  ])("answer_garbled, %s: the machine is made, status 200, no JSON object", async (variant, body) => {
    await standIn.arm({ name: "answer_garbled", variant, on: "create" });
    const { answer, made } = await tryCreate();
    expect([answer.status, made]).toEqual([200, 1]);
    expect(answer.text).toMatch(body);
    expect(answer.json?.success).toBeUndefined();
  });

  it("answer_cut ends in the middle", async () => {
    await standIn.arm({ name: "answer_cut", on: "create" });
    const { lost, made } = await tryCreate();
    expect(lost).not.toBeNull();
    expect(made).toBe(1);
  });

  it("answer_slow waits with the answer, not with the effect", async () => {
    await standIn.arm({ name: "answer_slow", on: "create", ms: 1500 });
    const [offer] = await standIn.search({ num_gpus: { eq: 1 } });
    let isAnswered = false;
    const creating = standIn.ask("PUT", `/api/v0/asks/${offer.id}/`, recordedCreate()).then((answer) => {
      isAnswered = true;
      return answer;
    });
    await new Promise((resolve) => setTimeout(resolve, 250));
    expect([(await standIn.list()).length, isAnswered]).toEqual([1, false]);
    expect((await creating).json.success).toBe(true);
  });

  it("answer_trickle drips, and is whole in the end", async () => {
    await standIn.arm({ name: "answer_trickle", on: "user", amount: 400 });
    const begun = Date.now();
    const { json, text } = await standIn.ask("GET", "/api/v0/users/current/");
    expect(json.credit).toBe(100);
    expect(Date.now() - begun).toBeGreaterThan((text.length / 400) * 1000 * 0.8);
  });

  it("answer_repeated sends what the call before was answered", async () => {
    const before = await standIn.list();
    await standIn.arm({ name: "answer_repeated", on: "list", times: 1 });
    await standIn.create();
    expect(await standIn.list()).toEqual(before);
    expect(await standIn.list()).toHaveLength(1);
  });

  it("call_doubled rents, and is told that the offer was taken", async () => {
    await standIn.arm({ name: "call_doubled", on: "create" });
    const { answer, made } = await tryCreate();
    expect([answer.status, made]).toEqual([404, 1]);
    expect(answer.json.msg).toContain("no_such_ask");
  });
});

it("a burst begins after so many calls and ends after so many", async () => {
  await standIn.arm({ name: "error_5xx", on: "list", variant: "503", after: 2, times: 3 });
  const seen = [];
  for (let i = 0; i < 7; i++) seen.push((await standIn.ask("GET", "/api/v1/instances/")).status);
  expect(seen).toEqual([200, 200, 503, 503, 503, 200, 200]);
});

it("a rule for one machine leaves the others alone", async () => {
  const one = await standIn.create();
  const other = await standIn.create({ label: "other" });
  await standIn.arm({ name: "error_5xx", on: "destroy", id: one.id });
  await standIn.arm({ name: "html_502", on: "create", label: "mine" });
  expect((await standIn.ask("DELETE", `/api/v0/instances/${one.id}/`, {})).status).toBe(500);
  expect((await standIn.ask("DELETE", `/api/v0/instances/${other.id}/`, {})).status).toBe(200);
  expect((await standIn.rent({ label: "mine:1" })).status).toBe(502);
  expect((await standIn.rent({ label: "yours:1" })).status).toBe(200);
});

describe("the routes of the rules", () => {
  it("add, replace, list, count and clear; wrong ones are refused with the names", async () => {
    expect(await standIn.ask("POST", "/local/faults", { name: "nope" })).toMatchObject({
      status: 400,
      json: { names: expect.arrayContaining(["list_fails"]) },
    });
    const put = (body: unknown) => standIn.ask("PUT", "/local/faults", body);
    expect((await put({ seed: 9, rules: [{ name: "html_502", on: "user", times: 2 }, { name: "flap" }] })).status).toBe(
      200,
    );
    expect((await put([{ name: "html_502", ms: 1 }])).status).toBe(400);
    expect((await put({})).status).toBe(400);
    for (let i = 0; i < 3; i++) await standIn.ask("GET", "/api/v0/users/current/");
    const { armed, known } = (await standIn.ask("GET", "/local/faults")).json;
    expect(armed).toMatchObject([
      { name: "html_502", on: "user", times: 2, struck: 2 },
      { name: "flap", struck: 0 },
    ]);
    expect(known.list_fails.does).toEqual(expect.any(String));
    await standIn.ask("DELETE", "/local/faults/flap");
    await standIn.ask("DELETE", `/local/faults/${armed[0].rule}`);
    expect((await standIn.ask("GET", "/local/faults")).json.armed).toEqual([]);
    const counted = await standIn.ask("GET", "/local/faults/counts", undefined, null);
    expect(counted.json).toEqual({ total: 2, counts: { html_502: { struck: 2, on: { user: 2 } } } });
    expect((await standIn.ask("DELETE", "/local/faults/counts", undefined, null)).status).toBe(403);
    expect((await standIn.ask("DELETE", "/local/faults/counts")).json).toEqual({ total: 0, counts: {} });
  });

  it("fall alike for the same seed and the same calls", async () => {
    const play = async (seed: number) => {
      const rules = [{ name: "error_5xx", on: "user", probability: 0.4 }];
      await standIn.ask("PUT", "/local/faults", { seed, rules });
      let seen = "";
      for (let i = 0; i < 24; i++)
        seen += (await standIn.ask("GET", "/api/v0/users/current/")).status === 200 ? "." : "x";
      return seen;
    };
    const first = await play(3);
    expect(first).toMatch(/x.*\.|\..*x/);
    expect(await play(3)).toBe(first);
    expect(await play(4)).not.toBe(first);
  });

  it("come with the start, and end with an end in order", async () => {
    await standIn.reopen({ faults: JSON.stringify([{ name: "html_502", on: "user" }]) });
    expect((await standIn.ask("GET", "/api/v0/users/current/")).status).toBe(502);
    await standIn.reopen();
    expect((await standIn.ask("GET", "/api/v0/users/current/", undefined, KEY)).status).toBe(200);
  });
});
