/** The queue of a provider account: what is shared, and what is not. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { accountOf } from "../account/accounts.ts";
import type { Env } from "../env.ts";
import { advance, realWait, until } from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, vastErrors } from "./vast.ts";

let vast: FakeVast;
beforeEach(async () => {
  ({ vast } = await setScene());
});
afterEach(endScene);

const account = () => accountOf(env as Env);

it("a hundred that want to know at once share a list that was begun after they asked", async () => {
  const before = vast.count("list");
  const answers = await Promise.all(Array.from({ length: 100 }, () => account().listMachines(0)));
  expect(answers.every((one) => one.ok)).toBe(true);
  expect(vast.count("list") - before).toBeLessThanOrEqual(3);
});

it("a list that was begun before the question is no answer to it", async () => {
  const before = vast.count("list");
  await account().listMachines(0);
  vast.add("soneca:i-aaaaaaaaaa:1");
  const answer = await account().listMachines(0);
  expect(vast.count("list") - before).toBe(2);
  expect(answer.ok && answer.machines.map((one) => one.label)).toContain("soneca:i-aaaaaaaaaa:1");
});

describe("offers that are asked for", () => {
  const rental = (offerId: number) => ({
    offerId,
    label: `soneca:i-aaaaaaaaaa:${offerId}`,
    image: "x",
    diskGb: 10,
    env: {},
    onstart: "true",
  });
  const ids = [7001, 7002, 7003];
  /** For whoever asks for the second of them, and the third is left. */
  const free = async () => {
    const left = await account().takeOffer(ids);
    advance(2 * 60_000);
    return left;
  };

  it("are taken once each, and free again when nobody asked for them in the end", async () => {
    const taken = await Promise.all(ids.map(() => account().takeOffer(ids)));
    expect(taken.map(([first]) => first).sort()).toEqual(ids);
    expect(await account().takeOffer(ids)).toEqual([]);
    advance(2 * 60_000);
    expect(await account().takeOffer(ids)).toEqual(ids);
  });

  it("stay taken while they wait for their turn, and for a while after they were refused or rented", async () => {
    let [isAsked, isHeld] = [false, true];
    vast.once("create", async () => {
      isAsked = true;
      while (isHeld) await realWait(5);
      return vastErrors.offerGone();
    });
    const create = account().createMachine(rental(7001));
    await until("the create is under way", async () => isAsked);
    advance(5 * 60_000);
    expect(await free()).toEqual([7002, 7003]);
    isHeld = false;
    expect(await create).toMatchObject({ ok: false, code: "offer_gone" });
    expect(await free()).toEqual([7002, 7003]);
    expect(await free()).toEqual(ids);
    expect(await account().createMachine(rental(7001))).toMatchObject({ ok: true });
    expect(await free()).toEqual([7002, 7003]);
    expect(await free()).toEqual(ids);
  });

  it("are free at once after a refusal that says nothing of them", async () => {
    vast.once("create", vastErrors.auth);
    expect(await account().createMachine(rental(7001))).toMatchObject({ ok: false, code: "provider_auth" });
    expect(await free()).toEqual(ids);
  });
});

it("one that failed serves nobody", async () => {
  vast.once("list", () => new Response("down", { status: 500 }));
  vast.once("list", () => new Response("down", { status: 500 }));
  vast.once("list", () => new Response("down", { status: 500 }));
  const [first, second] = await Promise.all([account().listMachines(0), account().listMachines(0)]);
  expect([first.ok, second.ok]).toContain(true);
});

it("a machine that lost its label is named again by its own instance, also while the database does not answer", async () => {
  const telling = { showsEnv: true, env: { SONECA_INSTANCE: "i-aaaaaaaaaa", SONECA_EPOCH: "2" } };
  const machine = vast.add(null, telling);
  await env.DB.prepare("ALTER TABLE instance_status RENAME TO instance_status_gone").run();
  const named = await account().adoptMachine(machine.id, "soneca:i-aaaaaaaaaa:2");
  await env.DB.prepare("ALTER TABLE instance_status_gone RENAME TO instance_status").run();
  expect(named.ok).toBe(true);
  expect(machine.label).toBe("soneca:i-aaaaaaaaaa:2");
});
