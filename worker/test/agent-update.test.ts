/** Which agent a machine is to have, what became of a new one, and the Node for machines without one. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { nodeRelease, nodeTarballPath } from "../../core/protocol/node-release.ts";
import type { StatusReport } from "../../core/protocol/wire.ts";
import { forgetServedBuild, orderUpdate } from "../instance/agent-build.ts";
import { runningInstance, send, type TestUser } from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
beforeEach(async () => {
  forgetServedBuild();
  ({ vast, user } = await setScene());
});
afterEach(endScene);

const served = "a".repeat(64);
const older = "b".repeat(64);
const atRest = { isAtRest: true };
const report = (build?: string) => ({ agent: { build }, seal: null }) as unknown as StatusReport;
const assets = (answer: () => Response) => {
  const fetch = vi.fn(async () => answer());
  return { ASSETS: { fetch } as unknown as Fetcher, asked: fetch };
};

it("an agent of another build is told of the one that is served, at rest", async () => {
  const { asked, ...deps } = assets(() => new Response(`${served}  soneca-agent.mjs\n`));
  const order = { version: expect.any(String), build: served };
  expect(await orderUpdate(deps, report(older), atRest)).toEqual(order);
  expect(await orderUpdate(deps, report(served), atRest)).toBeNull();
  expect(await orderUpdate(deps, report(undefined), atRest)).toBeNull();
  expect(await orderUpdate(deps, report(older), { isAtRest: false })).toBeNull();
  const sealed = { ...report(older), seal: {} } as StatusReport;
  expect(await orderUpdate(deps, sealed, atRest)).toBeNull();
  expect(await orderUpdate({ ...deps, AGENT_UPDATES: "off" }, report(older), atRest)).toBeNull();
  expect(asked).toHaveBeenCalledTimes(1);
});

it("what is served is not known: no order, and no question with every heartbeat", async () => {
  for (const answer of [
    () => new Response("", { status: 404 }),
    () => new Response("<html>"),
    () => {
      throw new Error("assets are away");
    },
  ]) {
    forgetServedBuild();
    const { asked, ...deps } = assets(answer);
    expect(await orderUpdate(deps, report(older), atRest)).toBeNull();
    expect(await orderUpdate(deps, report(older), atRest)).toBeNull();
    expect(asked).toHaveBeenCalledTimes(1);
  }
});

it("a new agent, and one that was taken back, are told once each", async () => {
  const { nest, agent } = await runningInstance(vast, user);
  const rolledBack = {
    id: "rolled-back-1",
    outcome: "rolled_back",
    build: older,
    version: null,
    reason: "ended 3 times",
  };
  const updated = { id: "updated-1", outcome: "updated", build: served, version: "0.2.0", reason: null };
  for (const update of [rolledBack, rolledBack, updated, updated]) {
    const answer = await agent.beat({ gpu: 50, extra: { update } });
    expect(answer.updateKept).toBe(update.id);
  }
  expect((await agent.beat({ gpu: 50 })).updateKept).toBeUndefined();
  const events = (await nest.events()).filter((one) => one.event_type.startsWith("agent_"));
  expect(events.map(({ event_type, params }) => [event_type, params])).toEqual([
    ["agent_rolled_back", { epoch: 1, version: null, build: older.slice(0, 12), message: "ended 3 times" }],
    ["agent_updated", { epoch: 1, version: "0.2.0", build: served.slice(0, 12) }],
  ]);
});

const path = nodeTarballPath("x64")!;

it("passes Node on from its mirror: the two files whose sums are known, and no other", async () => {
  const asked: string[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url) => {
    asked.push(String(url));
    return new Response("a tarball", { headers: { "content-length": "9", "set-cookie": "a=b" } });
  });
  const answer = await send("GET", `/agent/node/${path}`);
  expect([answer.status, await answer.text(), answer.headers.get("set-cookie")]).toEqual([200, "a tarball", null]);
  expect(asked).toEqual([`https://nodejs.org/dist/${path}`]);
  for (const other of [
    `v${nodeRelease.version}/SHASUMS256.txt`,
    path.replaceAll(nodeRelease.version, "18.0.0"),
    path.replace("x64", "s390x"),
    `v${nodeRelease.version}/..%2f..%2fx`,
  ])
    expect((await send("GET", `/agent/node/${other}`)).status).toBe(404);
  expect((await send("POST", `/agent/node/${path}`)).status).toBe(405);
  expect(asked).toHaveLength(1);
});

it.each([
  ["refuses", async () => new Response("", { status: 403 })],
  ["is away", () => Promise.reject(new TypeError("connection refused"))],
])("a mirror that %s is an error with words", async (_, answer) => {
  vi.spyOn(globalThis, "fetch").mockImplementation(answer);
  const refused = await send("GET", `/agent/node/${path}`);
  expect(refused.status).toBe(502);
  expect(await refused.json()).toMatchObject({ error: { code: "node_unavailable", retryable: true } });
  expect(env.NODE_MIRROR ?? "").toBe("");
});
