/** A team's own key to the provider: set, used, refused, replaced, taken away; and the keys that seal it. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import { accountNamed } from "../account/accounts.ts";
import { reconcile } from "../cron.ts";
import type { Env } from "../env.ts";
import {
  adminToken,
  advance,
  alarmAfter,
  api,
  fallAsleep,
  newInstance,
  newUser,
  outcome,
  runningInstance,
  settle,
  type TestUser,
  upToSeal,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { deploymentKey, type FakeVast, vastErrors } from "./vast.ts";

type Shown = AnswerOf<"getProviderKey">;

let vast: FakeVast;
let ana: TestUser;
const settings = env as unknown as Env;
const sealKeys = settings.SECRETS_KEYS;
const key = "ana-has-a-key-of-her-own";

beforeEach(async () => {
  ({ vast, user: ana } = await setScene());
  vast.keys.set(key, "ana");
  // Keys and instances of earlier tests of this file belong to another stand-in.
  await env.DB.exec("DELETE FROM provider_keys");
  await env.DB.exec("UPDATE instance_status SET due_at = NULL, vast_instance_id = NULL");
});
afterEach(() => {
  settings.SECRETS_KEYS = sealKeys;
  endScene();
});

const set = (value: string, user = ana) =>
  api<Shown & ErrorBody>("PUT", "/api/provider-key", { token: user.token, json: { key: value } });
const shown = async () => (await api<Shown>("GET", "/api/provider-key", { token: ana.token })).body.key;
const remove = () => outcome("DELETE", "/api/provider-key", { token: ana.token });
const rowOf = (user = ana) =>
  env.DB.prepare("SELECT * FROM provider_keys WHERE team_id = ? ORDER BY retired_at").bind(user.id).first<{
    account: string;
    sealed: string;
    retired_at: string | null;
  }>();
const accountsOf = (id: string) => vast.ofInstance(id).map((machine) => machine.account);

describe("setting a key", () => {
  it("tries it, keeps it sealed, and shows its last letters alone", async () => {
    const { status, body } = await set(key);
    expect([status, body.key]).toMatchObject([200, { hint: key.slice(-4), trouble: null }]);
    const { results } = await env.DB.prepare("SELECT * FROM provider_keys").all();
    expect(JSON.stringify(results)).not.toContain(key);
    expect(await shown()).toEqual(body.key);
    const tested = await api("POST", "/api/provider-key/test", { token: ana.token, json: {} });
    expect(tested.body).toEqual({ machines: 0, managed: 0 });
  });

  it("keeps none that the provider refuses, nor one that could not be tried or sealed", async () => {
    expect((await set("not-a-key-of-anybody")).body.error.code).toBe("provider_auth");
    vast.always.list = vastErrors.down;
    expect((await set(key)).body.error.code).toBe("provider_unavailable");
    vast.always.list = vastErrors.lost;
    expect((await set(key)).body.error.code).toBe("provider_unavailable");
    vast.always = {};
    const calls = vast.calls.length;
    settings.SECRETS_KEYS = "";
    expect((await set(key)).body.error.code).toBe("secrets_key_missing");
    expect(vast.calls.length).toBe(calls);
    expect((await set("a key with spaces")).status).toBe(400);
    expect(await shown()).toBeNull();
  });
});

describe("machines of a team with its own key", () => {
  it("are rented, listed and adopted in its own account, and those of others are not", async () => {
    await set(key);
    const own = await newInstance(vast, ana);
    const rui = await newUser("Rui");
    advance(10_000);
    const others = await newInstance(vast, rui);
    expect([accountsOf(own.id), accountsOf(others.id)]).toEqual([["ana"], ["deployment"]]);
    const free = [vast.add(null, { account: "ana" }).id, vast.add(null).id];
    advance(10_000);
    const adoptable = async ({ token }: TestUser) =>
      (await api<AnswerOf<"listAdoptable">>("GET", "/api/machines", { token })).body.machines.map(
        (one) => one.vast_instance_id,
      );
    expect([await adoptable(ana), await adoptable(rui)]).toEqual([[free[0]], [free[1]]]);
    const adopt = (user: TestUser, id?: number) =>
      outcome("POST", "/api/instances/adopt", { token: user.token, json: { vast_instance_id: id } });
    expect(await adopt(rui, free[0])).toBe("404 machine_not_found");
    expect(await adopt(ana, free[0])).toBe("201");
  });

  it("stay with the account that rented them until they are gone; the next one is rented with the new key", async () => {
    const { nest, agent } = await runningInstance(vast, ana);
    await set(key);
    await reconcile(settings);
    expect((await nest.settled()).state).toBe("running");
    await fallAsleep(nest, agent);
    expect(vast.ofInstance(nest.id)).toEqual([]);
    advance(60_000);
    await nest.post("wake");
    await settle(nest.id);
    expect(accountsOf(nest.id)).toEqual(["ana"]);
    await nest.agent().beat();
    expect((await nest.settled()).state).toBe("restoring");
  });

  it("are never taken for gone because the key is refused, and that is told", async () => {
    await set(key);
    const { nest, agent } = await runningInstance(vast, ana);
    const ref = await upToSeal(nest, agent);
    vast.keys.delete(key);
    await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
    for (let i = 0; i < 5; i++) await alarmAfter(nest.id, 60_000);
    await reconcile(settings);
    await settle(nest.id);
    const view = await nest.view();
    expect(view.state).not.toBe("hibernated");
    expect(vast.ofInstance(nest.id)).toHaveLength(1);
    expect((await shown())?.trouble?.message).toContain("Invalid user key");
    expect(await remove()).toBe("409 provider_key_in_use");
    // The provider takes it again, and what was begun comes to its end.
    vast.keys.set(key, "ana");
    for (let i = 0; i < 8; i++) await alarmAfter(nest.id, 60_000);
    await reconcile(settings);
    await settle(nest.id);
    expect((await shown())?.trouble).toBeNull();
  });

  it("are ended with what was known of the key while the database does not answer", async () => {
    await set(key);
    const { nest, agent } = await runningInstance(vast, ana);
    const account = (await rowOf())!.account;
    await env.DB.prepare("ALTER TABLE provider_keys RENAME TO provider_keys_gone").run();
    advance(120_000);
    expect((await accountNamed(settings, account).listMachines(0)).ok).toBe(true);
    await fallAsleep(nest, agent);
    expect(vast.ofInstance(nest.id)).toEqual([]);
    await env.DB.prepare("ALTER TABLE provider_keys_gone RENAME TO provider_keys").run();
  });

  it("that nobody knew of are ended in the account that they are in", async () => {
    const { nest, agent } = await runningInstance(vast, ana);
    await fallAsleep(nest, agent);
    await set(key);
    advance(60_000);
    await nest.post("wake");
    await settle(nest.id);
    await nest.agent().beat();
    const strays = [vast.add(`soneca:${nest.id}:1`).id, vast.add(`soneca:${nest.id}:2`, { account: "ana" }).id];
    advance(10_000);
    await reconcile(settings);
    for (let i = 0; i < 3; i++) await alarmAfter(nest.id, 10_000);
    expect(strays.filter((id) => vast.machines.has(id))).toEqual([]);
    expect(accountsOf(nest.id)).toEqual(["ana"]);
    expect((await nest.eventTypes()).filter((type) => type === "orphan_found")).toHaveLength(2);
  });

  it("cannot be made up in another team's account: a label there says nothing", async () => {
    const { nest } = await runningInstance(vast, await newUser("Rui"));
    await set(key);
    vast.add(`soneca:${nest.id}:1`, { account: "ana", usdPerHour: 99 });
    const forged = vast.add(`soneca:${nest.id}:7`, { account: "ana" });
    const before = await nest.view();
    advance(10_000);
    await reconcile(settings);
    await settle(nest.id);
    const after = await nest.view();
    expect([after.state, after.machine, after.epoch, after.burn]).toEqual([
      before.state,
      before.machine,
      before.epoch,
      before.burn,
    ]);
    expect(await nest.eventTypes()).not.toContain("orphan_found");
    expect(vast.machines.has(forged.id)).toBe(true);
  });
});

describe("another key, and none", () => {
  it("another one must show every machine that is rented", async () => {
    await set(key);
    await newInstance(vast, ana);
    advance(120_000);
    vast.keys.set("a-key-of-another-account", "another");
    const refused = await set("a-key-of-another-account");
    expect([refused.status, refused.body.error.code]).toEqual([409, "provider_key_in_use"]);
    expect(refused.body.error.context?.machines).toHaveLength(1);
    vast.keys.set("a-newer-key-of-ana", "ana");
    expect((await set("a-newer-key-of-ana")).body.key?.hint).toBe("-ana");
    vast.keys.delete(key);
    advance(10_000);
    const { nest } = await runningInstance(vast, ana);
    expect(accountsOf(nest.id)).toEqual(["ana"]);
  });

  it("it goes when nothing is rented with it, and rents nothing from then on", async () => {
    await set(key);
    const { nest, agent } = await runningInstance(vast, ana);
    expect(await remove()).toBe("503 provider_unavailable");
    advance(61_000);
    expect(await remove()).toBe("409 provider_key_in_use");
    await agent.beat({ gpu: 80 });
    await fallAsleep(nest, agent);
    advance(61_000);
    const { account } = (await rowOf())!;
    expect(await remove()).toBe("204");
    expect(await shown()).toBeNull();
    const late = await accountNamed(settings, account).createMachine({
      offerId: 7001,
      label: "soneca:i-aaaaaaaaaa:1",
      image: "x",
      diskGb: 10,
      env: {},
      onstart: "true",
    });
    expect(late).toMatchObject({ ok: false, code: "provider_auth" });
    await nest.post("wake");
    await settle(nest.id);
    expect(accountsOf(nest.id)).toEqual(["deployment"]);
    await reconcile(settings);
    expect((await rowOf())?.account).toBe(account);
    advance(25 * 3_600_000);
    await reconcile(settings);
    expect(await rowOf()).toBeNull();
  });

  it("one that was taken away is kept while it is not known what is rented with it", async () => {
    await set(key);
    const { nest, agent } = await runningInstance(vast, ana);
    await fallAsleep(nest, agent);
    advance(61_000);
    expect(await remove()).toBe("204");
    // Nobody knew of it then: a create that was answered late.
    const stray = vast.add(`soneca:${nest.id}:1`, { account: "ana" });
    advance(25 * 3_600_000);
    for (const fault of [vastErrors.down, vastErrors.lost, () => Response.json({ success: true })]) {
      vast.always.list = fault;
      await reconcile(settings);
      expect(await rowOf()).not.toBeNull();
    }
    vast.always = {};
    await reconcile(settings);
    for (let i = 0; i < 3; i++) await alarmAfter(nest.id, 10_000);
    expect(vast.machines.has(stray.id)).toBe(false);
    await reconcile(settings);
    expect(await rowOf()).toBeNull();
  });

  it("one that was taken away and that the provider knows no more is dropped: nobody can ask with it", async () => {
    await set(key);
    expect(await remove()).toBe("204");
    vast.keys.delete(key);
    advance(25 * 3_600_000);
    await reconcile(settings);
    expect(await rowOf()).toBeNull();
  });

  it("a deployment without a key of its own rents for teams that have one", async () => {
    const saved = settings.VAST_API_KEY;
    settings.VAST_API_KEY = "";
    try {
      expect(await outcome("POST", "/api/instances", { token: ana.token, json: {} })).toBe("502 provider_auth");
      await set(key);
      expect(accountsOf((await newInstance(vast, ana)).id)).toEqual(["ana"]);
    } finally {
      settings.VAST_API_KEY = saved;
    }
    expect(saved).toBe(deploymentKey);
  });
});

describe("the keys that seal", () => {
  const letters = (letter: string) => `${letter.repeat(42)}A`;
  const secrets = async (method = "GET", path = "/api/secrets") =>
    (
      await api<AnswerOf<"resealSecrets">>(method, path, {
        token: adminToken,
        json: method === "POST" ? {} : undefined,
      })
    ).body;

  it("follow one another: what the old one sealed is sealed anew, and then the old one may go", async () => {
    settings.SECRETS_KEYS = `1:${letters("a")}`;
    await set(key);
    const sealed = (await rowOf())!.sealed;
    settings.SECRETS_KEYS = `2:${letters("b")},1:${letters("a")}`;
    expect(await secrets()).toEqual({
      current: "2",
      keys: [
        { version: "2", is_known: true, secrets: 0 },
        { version: "1", is_known: true, secrets: 1 },
      ],
      unreadable: 0,
      may_remove: [],
    });
    const after = await secrets("POST", "/api/secrets/reseal");
    expect(after).toMatchObject({ resealed: 1, unreadable: 0, may_remove: ["1"] });
    expect((await rowOf())!.sealed).not.toBe(sealed);
    expect((await secrets("POST", "/api/secrets/reseal")).resealed).toBe(0);
    settings.SECRETS_KEYS = `2:${letters("b")}`;
    advance(120_000);
    expect(await outcome("POST", "/api/provider-key/test", { token: ana.token, json: {} })).toBe("200");
  });

  it("one that is gone too early leaves a secret that says so, and no machine is taken for gone", async () => {
    settings.SECRETS_KEYS = `1:${letters("a")}`;
    await set(key);
    const { nest } = await runningInstance(vast, ana);
    settings.SECRETS_KEYS = `2:${letters("b")}`;
    expect(await secrets()).toMatchObject({
      keys: [
        { version: "2", secrets: 0 },
        { version: "1", is_known: false, secrets: 1 },
      ],
      unreadable: 1,
    });
    expect((await secrets("POST", "/api/secrets/reseal")).resealed).toBe(0);
    advance(120_000);
    await reconcile(settings);
    await settle(nest.id);
    expect((await nest.view()).state).not.toBe("hibernated");
    expect(vast.ofInstance(nest.id)).toHaveLength(1);
    settings.SECRETS_KEYS = "";
    expect((await secrets()).current).toBeNull();
  });
});
