/**
 * The real wrangler against the stand-in for Cloudflare's API, from nothing to a deployment and once more. What its commands ask of
 * the API is what `recorded-wrangler.ts` repeats.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { buildAll } from "../tools/build.ts";
import { Scene } from "./testing/scene.ts";
import { findToken } from "./world.ts";
import { createWrangler } from "./wrangler.ts";

const dist = join(import.meta.dirname, "../dist");

// A second and a half for each start of wrangler: npm run test:slow.
const slowly = it.skipIf(!process.env.SONECA_SLOW);

slowly("deploys, changes nothing the second time, and says in Cloudflare's words what is refused", async () => {
  if (!existsSync(join(dist, "public/index.html"))) await buildAll();
  const scene = await Scene.open();
  try {
    const { account, url, changes } = scene.api;
    const env = {
      CLOUDFLARE_API_BASE_URL: url,
      CLOUDFLARE_API_TOKEN: account.token,
      CLOUDFLARE_ACCOUNT_ID: account.id,
    };
    const world = scene.world(account.token, createWrangler(env));

    const first = await scene.deploy([], world);
    expect(first.failure).toBeUndefined();
    expect(scene.script).toMatchObject({ migrationTag: expect.any(String), onWorkersDev: true, versions: 1 });
    expect(scene.script?.crons).toEqual(["* * * * *", "*/5 * * * *"]);
    expect(Object.keys(scene.script?.secrets ?? {})).toHaveLength(5);
    const tables = scene.database?.sql.prepare("SELECT count(*) AS n FROM d1_migrations").get() as { n: number };
    expect(tables.n).toBeGreaterThan(5);
    const project = account.projects.get("soneca-dashboard");
    expect(project?.canonical_deployment?.deployment_trigger.metadata.commit_message).toMatch(/^soneca [0-9a-f]{16}$/);

    changes.length = 0;
    const again = await scene.deploy([], world);
    expect(again.failure).toBeUndefined();
    expect(changes).toEqual([]);

    const moved = await scene.deploy(["--domain", "soneca.example.com", "--proxy-zone", "example.com"], world);
    expect(moved.failure).toBeUndefined();
    expect(account.domains).toMatchObject([{ hostname: "soneca.example.com", service: "soneca" }]);
    expect(account.zoneRoutes).toMatchObject([{ pattern: "*.example.com/*", script: "soneca" }]);
    expect(scene.script?.onWorkersDev).toBe(false);

    scene.sources = "sources-2";
    const body = { success: false, errors: [{ code: 10000, message: "Authentication error" }], result: null };
    scene.api.faults = [{ method: "PUT", path: /scripts\/soneca$/, how: { status: 403, body } }];
    const { failure } = await scene.deploy([], world);
    expect(failure).toMatchObject({ step: "deploy", code: "permission_missing" });
    expect(failure?.hint).toContain("Workers Scripts · Edit");
  } finally {
    await scene.close();
  }
});

slowly("takes the token of the environment, and asks wrangler for the one of its session", async () => {
  expect(await findToken({ CLOUDFLARE_API_TOKEN: "of-the-environment" })).toBe("of-the-environment");
  const before = process.env.CLOUDFLARE_API_TOKEN;
  process.env.CLOUDFLARE_API_TOKEN = "that-wrangler-knows";
  try {
    expect(await findToken({})).toBe("that-wrangler-knows");
  } finally {
    if (before === undefined) delete process.env.CLOUDFLARE_API_TOKEN;
    else process.env.CLOUDFLARE_API_TOKEN = before;
  }
});
