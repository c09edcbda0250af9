/** A deployment against the stand-in for Cloudflare's API, with wrangler as recorded; `real-wrangler.test.ts` has the real one. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { deploySteps } from "./deploy.ts";
import { Scene } from "./testing/scene.ts";

let scene: Scene;
beforeEach(async () => {
  scene = await Scene.open();
});
afterEach(() => scene.close());

const steps = Object.keys(deploySteps);
const refusal = (status: number, code: number, message: string) => ({
  status,
  body: { success: false, errors: [{ code, message }], messages: [], result: null },
});

describe("the first run", () => {
  it("makes everything, and shows what is secret once", async () => {
    const { code, secrets, failure, events } = await scene.deploy();
    expect(failure).toBeUndefined();
    expect(code).toBe(0);
    const { account } = scene.api;
    expect(scene.database).toBeDefined();
    expect([...account.buckets.keys()]).toEqual(["soneca-snapshots"]);
    expect(scene.script?.onWorkersDev).toBe(true);
    expect(scene.script?.crons).toEqual(["* * * * *", "*/5 * * * *"]);
    expect(Object.keys(scene.script?.secrets ?? {}).sort()).toEqual([
      "ADMIN_TOKEN",
      "AGENT_JWT_SECRET",
      "METRICS_TOKEN",
      "SECRETS_KEYS",
      "VAST_API_KEY",
    ]);
    expect(scene.script?.bindings).toContainEqual({
      name: "PUBLIC_URL",
      type: "plain_text",
      text: "https://soneca.ana.workers.dev",
    });
    expect(account.projects.get("soneca-dashboard")?.canonical_deployment).not.toBeNull();
    expect(secrets).toEqual({
      ADMIN_TOKEN: scene.script?.secrets.ADMIN_TOKEN,
      METRICS_TOKEN: scene.script?.secrets.METRICS_TOKEN,
      SECRETS_KEYS: scene.script?.secrets.SECRETS_KEYS,
      SONECA_TOKEN: "snu_first",
    });
    expect(secrets.SECRETS_KEYS).toMatch(/^1:[\w-]{43}$/);
    expect(events.at(-1)).toMatchObject({ event: "ready", url: "https://soneca.ana.workers.dev" });
  });

  it("gives secrets to wrangler by its input alone, and leaves none on the disk", async () => {
    await scene.deploy();
    const values = Object.values(scene.script?.secrets ?? {});
    for (const value of values) expect(scene.wrangler.asked.join()).not.toContain(value);
    const files = [scene.file("work/wrangler.json"), scene.file("work/pages/wrangler.json")].join();
    for (const value of values) expect(files).not.toContain(value);
  });

  it("writes them into a file that nobody else reads where one is named", async () => {
    const file = join(scene.base, "secrets");
    const { secrets, events } = await scene.deploy(["--secrets-out", file]);
    expect(secrets).toEqual({});
    expect(JSON.stringify(events)).not.toContain("snu_first");
    expect(scene.file("secrets")).toMatch(
      /^ADMIN_TOKEN=sna_s+\nMETRICS_TOKEN=s+\nSECRETS_KEYS=1:s+\nSONECA_TOKEN=snu_first\n$/,
    );
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("asks for the key of vast.ai, and changes nothing where there is nobody to ask", async () => {
    scene.env = {};
    const refused = await scene.deploy();
    expect(refused.failure).toMatchObject({ step: "keys", code: "secret_missing" });
    expect(scene.api.changes).toEqual([]);
    scene.ask = async () => "typed";
    expect((await scene.deploy()).code).toBe(0);
    expect(scene.script?.secrets.VAST_API_KEY).toBe("typed");
  });

  it("takes another name for everything", async () => {
    expect((await scene.deploy(["--name", "naps"])).code).toBe(1);
    expect([...scene.api.account.scripts.keys()]).toEqual(["naps"]);
    expect([...scene.api.account.buckets.keys()]).toEqual(["naps-snapshots"]);
    expect(scene.file("work/pages/wrangler.json")).toContain('"service": "naps"');
  });
});

describe("a run that is repeated", () => {
  it("changes nothing", async () => {
    await scene.deploy();
    const secrets = { ...scene.script?.secrets };
    scene.api.changes.length = 0;
    const again = await scene.deploy();
    expect(again.code).toBe(0);
    expect(scene.api.changes).toEqual([]);
    expect(scene.builds).toBe(1);
    expect(again.secrets).toEqual({});
    expect(scene.script?.secrets).toEqual(secrets);
    expect(again.outcomes).toMatchObject({ database: "already there", deploy: "already there", user: "already there" });
  });

  it("deploys worker and dashboard when the sources differ, and neither secrets nor users", async () => {
    await scene.deploy();
    scene.api.changes.length = 0;
    scene.sources = "sources-2";
    await scene.deploy();
    expect(scene.script?.versions).toBe(2);
    const changed = scene.api.changes.join();
    for (const word of ["secrets-bulk", "d1/database", "r2/buckets"]) expect(changed).not.toContain(word);
  });

  it("keeps what an earlier run was told, and what was set elsewhere", async () => {
    await scene.deploy(["--domain", "soneca.example.com", "--var", "PROXY_PATHS=off"]);
    scene.script?.bindings.push({ name: "LIFECYCLE_TIMINGS", type: "plain_text", text: "{}" });
    scene.sources = "sources-2";
    await scene.deploy();
    const vars = scene.script?.bindings.filter((one) => one.type === "plain_text").map((one) => [one.name, one.text]);
    expect(Object.fromEntries(vars ?? [])).toMatchObject({
      PUBLIC_URL: "https://soneca.example.com",
      PROXY_PATHS: "off",
      LIFECYCLE_TIMINGS: "{}",
    });
    expect(scene.script?.onWorkersDev).toBe(false);
    expect((await scene.deploy(["--domain", "none"])).code).toBe(0);
    expect(scene.script?.onWorkersDev).toBe(true);
  });

  it("binds e-mail where there is an address to send from, and there alone", async () => {
    const bound = () => JSON.parse(scene.file("work/wrangler.json") ?? "").send_email;
    await scene.deploy();
    expect(bound()).toBeUndefined();
    await scene.deploy(["--var", "NOTICES_EMAIL_FROM=soneca@example.com"]);
    expect(bound()).toEqual([{ name: "EMAIL" }]);
    await scene.deploy(["--var", "NOTICES_EMAIL_FROM="]);
    expect(bound()).toBeUndefined();
  });

  it("mends what somebody took away", async () => {
    await scene.deploy();
    scene.script!.crons = [];
    scene.script!.onWorkersDev = false;
    const again = await scene.deploy();
    expect(again.events.find((one) => one.step === "deploy")?.message).toContain("cron triggers");
    expect(scene.script).toMatchObject({ onWorkersDev: true, crons: ["* * * * *", "*/5 * * * *"] });
  });

  it("rotates a secret only when told to", async () => {
    await scene.deploy();
    const before = { ...scene.script?.secrets };
    scene.env = { ...scene.env, ADMIN_TOKEN: "sna_another-token-of-mine", SECRETS_KEYS: before.SECRETS_KEYS };
    await scene.deploy();
    expect(scene.script?.secrets).toEqual(before);
    await scene.deploy(["--rotate", "ADMIN_TOKEN", "--rotate", "SECRETS_KEYS"]);
    expect(scene.script?.secrets.ADMIN_TOKEN).toBe("sna_another-token-of-mine");
    expect(scene.script?.secrets.SECRETS_KEYS).toMatch(new RegExp(`^2:[\\w-]{43},${before.SECRETS_KEYS}$`));
    scene.env = {};
    const blind = await scene.deploy(["--rotate", "SECRETS_KEYS"]);
    expect(blind.failure).toMatchObject({ step: "keys", code: "secret_missing" });
  });
});

describe("a dry run", () => {
  it("says every step and changes nothing, of a new account and of one that has it all", async () => {
    const first = await scene.deploy(["--dry-run"]);
    expect(first.code).toBe(0);
    expect(Object.keys(first.outcomes)).toEqual(steps);
    expect(first.outcomes).toMatchObject({
      database: "would do",
      bucket: "would do",
      deploy: "would do",
      user: "would do",
    });
    expect(scene.api.changes).toEqual([]);
    expect(scene.wrangler.asked).toEqual([]);
    expect(scene.builds).toBe(0);
    expect(scene.file("work/wrangler.json")).toBeNull();

    await scene.deploy();
    scene.api.changes.length = 0;
    const later = await scene.deploy(["--dry-run"]);
    expect(later.outcomes).toMatchObject({ database: "already there", deploy: "already there", user: "already there" });
    scene.sources = "sources-2";
    expect((await scene.deploy(["--dry-run"])).outcomes).toMatchObject({ deploy: "would do", dashboard: "would do" });
    expect(scene.api.changes).toEqual([]);
  });
});

describe("names that are taken", () => {
  it("leaves another program's worker and database alone", async () => {
    scene.api.account.addScript("soneca", { bindings: [{ name: "KV", type: "kv_namespace" }] });
    expect((await scene.deploy()).failure).toMatchObject({ step: "worker", code: "name_taken" });
    scene.api.account.scripts.clear();
    scene.api.account.addDatabase("soneca").sql.exec("CREATE TABLE orders (id INTEGER)");
    expect((await scene.deploy()).failure).toMatchObject({ step: "migrations", code: "name_taken" });
  });

  it("finds a database by its whole name, on whatever page it is", async () => {
    for (const name of ["soneca-1", "soneca-2", "soneca-3", "old-soneca"]) scene.api.account.addDatabase(name);
    const { uuid } = scene.api.account.addDatabase("soneca");
    await scene.deploy();
    expect(scene.api.account.databases.size).toBe(5);
    expect(scene.file("work/wrangler.json")).toContain(uuid);
  });

  it("takes no domain from another worker, nor over a record", async () => {
    const { account } = scene.api;
    const domain = ["--domain", "soneca.example.com"];
    account.domains = [
      { id: "d", hostname: "soneca.example.com", service: "shop", zone_name: "example.com", zone_id: "z" },
    ];
    expect((await scene.deploy(domain)).failure).toMatchObject({ step: "address", code: "name_taken" });
    account.domains = [];
    account.records = [{ id: "r", type: "A", name: "soneca.example.com", content: "203.0.113.7", proxied: true }];
    expect((await scene.deploy(domain)).failure).toMatchObject({ step: "address", code: "name_taken" });
    account.records = [];
    expect((await scene.deploy(["--domain", "soneca.example.org"])).failure).toMatchObject({ code: "no_address" });
    expect((await scene.deploy(domain)).code).toBe(0);
    expect(account.domains.map((one) => one.service)).toEqual(["soneca"]);
  });

  it("wants a workers.dev subdomain to be named where the account has none", async () => {
    scene.api.account.subdomain = null;
    expect((await scene.deploy()).failure).toMatchObject({ step: "address", code: "no_address" });
    expect((await scene.deploy(["--subdomain", "bia"])).code).toBe(0);
    expect(scene.api.account.subdomain).toBe("bia");
  });
});

it("reaches instances by zone and machines by tunnel where it is told to", async () => {
  scene.env.TUNNEL_API_TOKEN = "a-token-for-tunnels";
  const { code, events } = await scene.deploy(["--proxy-zone", "example.com", "--tunnels", "example.com"]);
  expect(code).toBe(0);
  expect(scene.api.account.zoneRoutes).toMatchObject([{ pattern: "*.example.com/*", script: "soneca" }]);
  const vars = Object.fromEntries(scene.script?.bindings.map((one) => [one.name, one.text]) ?? []);
  const [zone] = scene.api.account.zones;
  const account = scene.api.account.id;
  expect(vars).toMatchObject({ PIPE: "tunnel", PROXY_ZONE: "example.com", CLOUDFLARE_ZONE: "example.com" });
  expect(vars).toMatchObject({ CLOUDFLARE_ZONE_ID: zone?.id, CLOUDFLARE_ACCOUNT_ID: account });
  expect(scene.script?.secrets.CLOUDFLARE_API_TOKEN).toBe("a-token-for-tunnels");
  expect(events.find((one) => one.step === "address")?.message).toContain("missing: a proxied DNS record");
  scene.api.changes.length = 0;
  expect((await scene.deploy()).code).toBe(0);
  expect(scene.api.changes).toEqual([]);
});

describe("what goes wrong", () => {
  it("names the permission that a token lacks", async () => {
    const lacks: [string, RegExp, string][] = [
      ["database", /d1\/database$/, "D1 · Edit"],
      ["bucket", /r2\/buckets/, "Workers R2 Storage · Edit"],
      ["deploy", /assets-upload-session|scripts\/soneca$/, "Workers Scripts · Edit"],
      ["dashboard", /pages\/projects/, "Cloudflare Pages · Edit"],
    ];
    for (const [step, path, permission] of lacks) {
      scene.api.faults = [{ path, how: refusal(403, 10000, "Authentication error") }];
      const { failure } = await scene.deploy();
      expect(failure).toMatchObject({ step, code: "permission_missing" });
      expect(failure?.hint).toContain(permission);
    }
  });

  it("says that R2 is not enabled, in Cloudflare's words", async () => {
    scene.api.account.hasR2 = false;
    const { failure } = await scene.deploy();
    expect(failure).toMatchObject({ step: "bucket", code: "r2_not_enabled" });
    expect(failure?.message).toContain("Please enable R2 through the Cloudflare Dashboard.");
  });

  it("says that the token is wrong, and which accounts it sees", async () => {
    const wrong = await scene.deploy([], scene.world("another-token"));
    expect(wrong.failure).toMatchObject({ step: "account", code: "token_refused" });
    scene.api.account.others = [
      { id: "a1", name: "Work" },
      { id: "a2", name: "Play" },
    ];
    const several = await scene.deploy();
    expect(several.failure?.message).toContain("Ana's account");
    expect((await scene.deploy(["--account", scene.api.account.id])).code).toBe(0);
  });

  it("waits as long as it is told where too much is asked, and gives up", async () => {
    const limited = { ...refusal(429, 10000, "Rate limited"), headers: { "retry-after": "7" } };
    scene.api.faults = [{ path: /d1\/database$/, times: 2, how: limited }];
    expect((await scene.deploy()).code).toBe(0);
    expect(scene.slept).toBe(14_000);
    scene.api.faults = [{ path: /d1\/database$/, how: { ...limited, body: "slow down" } }];
    expect((await scene.deploy()).failure).toMatchObject({ step: "database", code: "rate_limited" });
  });

  it("does not believe an answer that is none", async () => {
    scene.api.faults = [{ path: /workers\/subdomain$/, how: { status: 200, body: "<html>" } }];
    expect((await scene.deploy()).failure).toMatchObject({ step: "address", code: "cloudflare" });
  });

  it("makes one database where the answer to the first try was lost", async () => {
    scene.api.faults = [{ method: "POST", path: /d1\/database$/, times: 1, how: "lost_after" }];
    expect((await scene.deploy()).code).toBe(0);
    expect(scene.api.account.databases.size).toBe(1);
  });

  it("waits for new secrets to reach the worker, and makes no second user where an answer was lost", async () => {
    scene.refusals = 2;
    scene.losesUser = true;
    const lost = await scene.deploy();
    expect(lost.failure).toMatchObject({ step: "user", code: "no_answer" });
    expect(scene.slept).toBe(6_000);
    scene.env.ADMIN_TOKEN = lost.secrets.ADMIN_TOKEN;
    expect((await scene.deploy()).outcomes.user).toBe("already there");
    expect((await scene.deploy(["--user", "bia"])).secrets).toEqual({ SONECA_TOKEN: "snu_bia" });
    scene.env.ADMIN_TOKEN = "sna_not-the-one-that-it-has";
    expect((await scene.deploy(["--user", "caio"])).failure).toMatchObject({ step: "user", code: "no_answer" });
  });

  it("says when the worker does not answer, and what it said", async () => {
    scene.answers = false;
    const { failure } = await scene.deploy();
    expect(failure).toMatchObject({ step: "answer", code: "no_answer" });
    expect(failure?.message).toContain("ENOTFOUND");
    scene.answers = true;
    const blind = await scene.deploy();
    expect(blind.failure).toMatchObject({ step: "user", code: "secret_missing" });
    scene.env.ADMIN_TOKEN = scene.script?.secrets.ADMIN_TOKEN;
    expect((await scene.deploy()).secrets).toEqual({ SONECA_TOKEN: "snu_first" });
  });
});

/** The first call that each step makes. */
const firstCalls: Record<string, { method?: string; path: RegExp }> = {
  account: { path: /^\/accounts$/ },
  worker: { path: /scripts\/soneca\/settings$/ },
  address: { path: /workers\/subdomain$/ },
  database: { path: /d1\/database$/ },
  bucket: { path: /r2\/buckets/ },
  migrations: { path: /d1\/database\/[^/]+\/query$/ },
  deploy: { method: "PUT", path: /workers\/scripts\/soneca$/ },
  secrets: { method: "PATCH", path: /secrets-bulk$/ },
  dashboard: { path: /pages\/projects/ },
};

describe.each(Object.entries(firstCalls))("the network fails in the step %s", (step, call) => {
  it("says so, and the next run goes on from there", async () => {
    scene.api.faults = [{ ...call, how: "lost" }];
    const broken = await scene.deploy();
    expect(broken.code).toBe(1);
    expect(broken.failure?.step).toBe(step);
    expect(["unreachable", "wrangler"]).toContain(broken.failure?.code);
    const done = Object.keys(broken.outcomes);
    expect(done).toEqual(steps.slice(0, steps.indexOf(step) + 1));

    scene.api.faults = [];
    scene.env.ADMIN_TOKEN = broken.secrets.ADMIN_TOKEN;
    const again = await scene.deploy();
    expect(again.failure).toBeUndefined();
    expect(scene.api.account.databases.size).toBe(1);
    expect(scene.database?.sql.prepare("SELECT count(*) AS n FROM users").get()).toEqual({ n: 1 });
    scene.api.changes.length = 0;
    expect((await scene.deploy()).code).toBe(0);
    expect(scene.api.changes).toEqual([]);
  });
});

it("goes on after a deployment that was cut off between the worker and its cron triggers", async () => {
  scene.api.faults = [{ method: "PUT", path: /schedules$/, how: "lost" }];
  const broken = await scene.deploy();
  expect(broken.failure?.step).toBe("deploy");
  expect(scene.script?.versions).toBeGreaterThan(0);
  scene.api.faults = [];
  expect((await scene.deploy()).code).toBe(0);
  expect(scene.script?.crons).toEqual(["* * * * *", "*/5 * * * *"]);
});
