/** The dashboard as Pages serves it: its files from there, /api/ through the function to the worker, on one origin. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import WebSocket from "ws";
import type { SessionView } from "../../core/protocol/session.ts";
import { endGroup, type Program, spawnGroup } from "../../local-cloud/processes.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import { buildDashboard } from "../../tools/build.ts";
import { quietWrangler } from "../../tools/wrangler-env.ts";
import { Instance, startTestCloud, type TestCloud, until } from "../testing/cloud.ts";

const folder = join(import.meta.dirname, "../../dashboard");
const wrangler = join(import.meta.dirname, "../../node_modules/wrangler/bin/wrangler.js");

let test: TestCloud;
let pages: Program | null = null;
let url = "";

beforeAll(async () => {
  [test] = await Promise.all([startTestCloud(), buildDashboard()]);
  const port = await freePort();
  // Not the address of the worker: services under /p/ are not shown there.
  url = `http://localhost:${port}`;
  const argv = [
    "--no-warnings",
    wrangler,
    "pages",
    "dev",
    "--port",
    String(port),
    "--ip",
    "127.0.0.1",
    "--inspector-port",
    "0",
  ];
  const env = {
    ...process.env,
    ...quietWrangler,
    X_LOCAL_OBSERVABILITY: "false",
    X_LOCAL_EXPLORER: "false",
    WRANGLER_LOG_PATH: join(test.base, "pages-logs"),
    // Where the two find each other.
    WRANGLER_REGISTRY_PATH: join(test.cloud.stateDir, "registry"),
  };
  pages = spawnGroup([...argv, "--persist-to", join(test.base, "pages")], {
    cwd: folder,
    env,
    logFile: join(test.base, "pages.log"),
  });
  await until(
    "Pages answers",
    async () => {
      const answer = await fetch(`${url}/api/health`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      return answer?.ok;
    },
    { withinMs: 60_000, everyMs: 500, seen: () => readFileSync(join(test.base, "pages.log"), "utf8").slice(-2_000) },
  );
});

afterAll(async () => {
  if (pages) await endGroup(pages, 5_000);
  await test?.end();
});

it("its files and their policy come from Pages, and every address within it is its one page", async () => {
  for (const path of ["/", "/i/i-aaaaaaaaaa", "/savings"]) {
    const answer = await fetch(url + path, { headers: { accept: "text/html" } });
    expect(answer.status, path).toBe(200);
    expect(await answer.text(), path).toContain('<div id="root">');
    expect(answer.headers.get("content-security-policy"), path).toContain("default-src 'none'");
  }
});

it("a session, a request and a WebSocket pass through the function on the page's own origin", async () => {
  const json = { "content-type": "application/json", origin: url };
  const opened = await fetch(`${url}/api/session`, {
    method: "POST",
    headers: json,
    body: JSON.stringify({ token: test.cloud.apiToken }),
  });
  expect(opened.status).toBe(200);
  expect(((await opened.json()) as SessionView).way).toBe("token");
  const cookie = opened.headers.get("set-cookie")!.split(";")[0]!;
  const instance = await Instance.create(test.cloud, { name: "through pages", gpu_type: "RTX 4090" });
  const list = await fetch(`${url}/api/instances`, { headers: { cookie } });
  expect(await list.text()).toContain(instance.id);
  expect((await fetch(`${url}/api/instances`)).status).toBe(401);

  const socket = new WebSocket(`${url.replace("http", "ws")}/api/instances/${instance.id}/watch`, {
    headers: { cookie, origin: url },
  });
  const told = await new Promise<{ type: string; instance: { id: string } }>((resolve, reject) => {
    socket.on("message", (data) => resolve(JSON.parse(String(data))));
    socket.on("error", reject);
    socket.on("unexpected-response", (_, response) => reject(new Error(`status ${response.statusCode}`)));
  });
  expect(told).toMatchObject({ type: "instance", instance: { id: instance.id } });
  socket.close();
});
