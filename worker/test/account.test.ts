/** The queue of a provider account: what is shared, and what is not. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it } from "vitest";
import { accountOf } from "../account/accounts.ts";
import type { Env } from "../env.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

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
