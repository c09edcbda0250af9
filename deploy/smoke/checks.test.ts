/** The checks where something is wrong; that all of them pass on the local cloud is in `e2e/docs.test.ts`. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { checks } from "./checks.ts";
import { createTarget, type Target } from "./http.ts";

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = null;
});

async function targetOf(listener: RequestListener, tokens = "both"): Promise<Target> {
  server = createServer(listener);
  await new Promise<void>((done) => server?.listen(0, "127.0.0.1", done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const token = tokens === "both" ? "a-token" : null;
  return createTarget({ url, userToken: token, adminToken: token, dashboard: null });
}

const outcomeOf = async (name: string, target: Target) => {
  const check = checks.find((one) => one.name === name);
  const outcome = await check?.run(target).catch((error: Error) => ({ ok: false, detail: error.message }));
  return outcome && "ok" in outcome ? outcome.ok : outcome;
};

it("fails each check of a place that answers something else", async () => {
  const target = await targetOf((request, response) => {
    request.resume();
    response.writeHead(200).end("<html>");
  });
  for (const { name } of checks) {
    const outcome = await outcomeOf(name, target);
    if (typeof outcome === "object") expect(outcome, name).toMatchObject({ skipped: expect.any(String) });
    else expect(outcome, name).toBe(false);
  }
});

it("fails a cron that is late, a wrong address, and a stream that comes all at once", async () => {
  const cron = { sweep: { age_seconds: 900, is_late: true }, provider: null };
  const target = await targetOf((request, response) => {
    const isHealth = request.url === "/api/health";
    const json = isHealth
      ? { ok: true, version: "0.1.0", cron }
      : { servers: [{ url: "https://elsewhere.example.com" }] };
    const isStream = request.url?.endsWith("/stream");
    response.end(isStream ? "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: 4\n\n" : JSON.stringify(json));
  });
  expect(await outcomeOf("it answers", target)).toBe(true);
  expect(await outcomeOf("its cron fires each minute", target)).toBe(false);
  expect(await outcomeOf("over TLS, at the address that it gives to agents", target)).toBe(false);
  expect(await outcomeOf("answers arrive as they are written", target)).toBe(false);
  expect(await outcomeOf("the provider's list is compared each five minutes", target)).toMatchObject({
    skipped: expect.stringContaining("not due"),
  });
});

it("skips what it has no token for, and says which is missing", async () => {
  const target = await targetOf((_, response) => response.end("{}"), "none");
  expect(await outcomeOf("vast.ai takes the deployment's key", target)).toEqual({ skipped: "SONECA_TOKEN is not set" });
  expect(await outcomeOf("alarms fire", target)).toEqual({ skipped: "SONECA_ADMIN_TOKEN is not set" });
});

it("says what is wrong in the platform, by name", async () => {
  const answer = {
    part: "store",
    checks: [
      { name: "a range is read", ok: true, detail: "" },
      { name: "what is there is not written over", ok: false, detail: "it was" },
    ],
  };
  const target = await targetOf((_, response) => response.end(JSON.stringify(answer)));
  const check = checks.find((one) => one.name === "R2 keeps its promises");
  expect(await check?.run(target)).toEqual({ ok: false, detail: "what is there is not written over (it was)" });
});
