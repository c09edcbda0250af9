import { afterEach, describe, expect, it, vi } from "vitest";
import { gateHeaders } from "../../core/protocol/gate.ts";
import { tunnelPipe } from "./tunnel-pipe.ts";

afterEach(() => vi.restoreAllMocks());

/** What the edge answers, or how fetch fails; and what was sent. */
function edge(answer: Response | Error) {
  const sent: { request: Request; init: RequestInit | undefined }[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (request, init) => {
    sent.push({ request: request as Request, init });
    if (answer instanceof Error) throw answer;
    return answer;
  });
  return sent;
}

const hostname = "t-abcdefghij-1.machines.test";
const ask = (pipe = tunnelPipe({ hostname })) => pipe.fetch(new Request("http://whatever/v1/x?y=1"));
const page = (status: number, body: string, type = "text/plain; charset=UTF-8", headers = {}) =>
  new Response(body, { status, headers: { "content-type": type, server: "cloudflare", ...headers } });

describe("what is sent", () => {
  it("path, query, method, headers and body go to the hostname, and nothing follows or is kept", async () => {
    const sent = edge(new Response("ok"));
    const request = new Request("http://whatever/v1/x?y=1", { method: "PUT", body: "body", headers: { "x-a": "b" } });
    const reached = await tunnelPipe({ hostname }).fetch(request);
    expect(reached.ok && (await reached.response.text())).toBe("ok");
    const [{ request: got, init }] = sent as [(typeof sent)[number]];
    expect([got.url, got.method, got.headers.get("x-a")]).toEqual([`https://${hostname}/v1/x?y=1`, "PUT", "b"]);
    expect(await got.text()).toBe("body");
    expect(init).toMatchObject({ redirect: "manual", cache: "no-store" });
    expect(got.headers.has("x-tunnel-host")).toBe(false);
  });

  it("with one address for all, the hostname goes beside", async () => {
    const sent = edge(new Response("ok"));
    await ask(tunnelPipe({ hostname, edgeUrl: "http://127.0.0.1:5" }));
    expect(sent[0]!.request.url).toBe("http://127.0.0.1:5/v1/x?y=1");
    expect(sent[0]!.request.headers.get("x-tunnel-host")).toBe(hostname);
  });

  it("an Access policy gets its service token", async () => {
    const sent = edge(new Response("ok"));
    await ask(tunnelPipe({ hostname, access: { clientId: "id", clientSecret: "secret" } }));
    expect(sent[0]!.request.headers.get("cf-access-client-id")).toBe("id");
    expect(sent[0]!.request.headers.get("cf-access-client-secret")).toBe("secret");
  });
});

describe("what the edge answers in place of the gate", () => {
  it.each([
    ["no connector", page(530, "error code: 1033"), "closed"],
    ["a name that is not there yet", page(530, "error code: 1016"), "closed"],
    [
      "no connector for a HEAD",
      new Response(null, { status: 530, headers: { "content-type": "text/plain" } }),
      "closed",
    ],
    ["a page for people", page(530, "<!DOCTYPE html><div id='cf-error-details'>", "text/html"), "closed"],
    ["a page for programs", page(530, '{"cloudflare_error":true,"status":530}', "application/problem+json"), "closed"],
    ["a gate that is not up", page(502, "<html>responding to traffic from cloudflared</html>", "text/html"), "broken"],
    ["a connection that broke", page(520, "error code: 520"), "broken"],
    ["no first byte", page(524, "error code: 524"), "late"],
  ])("%s is a failure of the pipe", async (_, response, code) => {
    edge(response);
    expect(await ask()).toMatchObject({ ok: false, code });
  });

  it.each([
    [
      "ENOTFOUND",
      Object.assign(new TypeError("fetch failed"), { cause: new Error("getaddrinfo ENOTFOUND x") }),
      "closed",
    ],
    ["DNS", new Error("DNS lookup failed."), "closed"],
    ["a connection that was lost", new Error("Network connection lost."), "broken"],
  ])("a fetch that fails with %s is one too", async (_, error, code) => {
    edge(error);
    expect(await ask()).toMatchObject({ ok: false, code });
  });
});

describe("what the gate and its service answer", () => {
  it.each([
    ["an error of the gate", page(502, "error code: 502", "text/plain", { [gateHeaders.error]: "service_broke" })],
    ["a service's own 502", page(502, '{"error":"no model"}', "application/json")],
    ["a service's own 504 in HTML", page(504, "<html>upstream took too long</html>", "text/html")],
    ["bytes with a status of the edge", page(502, "error code: 502", "application/octet-stream")],
    ["a status of its own that talks of such codes", page(500, "error code: 1033")],
    ["a redirect", new Response(null, { status: 302, headers: { location: "/elsewhere" } })],
  ])("%s passes whole", async (_, response) => {
    const body = await response.clone().text();
    edge(response);
    const reached = await ask();
    expect(reached.ok && reached.response.status).toBe(response.status);
    expect(reached.ok && (await reached.response.text())).toBe(body);
  });

  it("a service that writes its 502 slowly is not waited for", async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode("one"));
        setTimeout(() => {
          controller.enqueue(new TextEncoder().encode(" two"));
          controller.close();
        }, 1_500);
      },
    });
    edge(new Response(stream, { status: 502, headers: { "content-type": "text/plain" } }));
    const startAt = performance.now();
    const reached = await ask();
    expect(performance.now() - startAt).toBeLessThan(1_400);
    expect(reached.ok && (await reached.response.text())).toBe("one two");
  });
});
