/** Policies in workerd: whose word each value is, what reaches which instances, and what happens when some cannot be reached. */
import { createScheduledController, evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { ErrorBody } from "../../core/protocol/errors.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import worker from "../index.ts";
import { InstanceObject } from "../instance/object.ts";
import {
  api,
  fallAsleep,
  newUser,
  outcome,
  runningInstance,
  type Sleeper,
  settle,
  stubOf,
  type TestUser,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import type { FakeVast } from "./vast.ts";

type Config = AnswerOf<"getConfig">;
type PolicyAnswer = AnswerOf<"putPolicy">;

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

async function put(auto_hibernation: object, gpu_type: string | null = null, who = user): Promise<PolicyAnswer> {
  const json = { gpu_type, auto_hibernation };
  const { status, body } = await api<PolicyAnswer>("PUT", "/api/policies", { token: who.token, json });
  if (status !== 200) throw new Error(JSON.stringify(body));
  return body;
}

async function configOf(nest: Sleeper): Promise<Config> {
  return (await api<Config>("GET", `${nest.path}/config`, { token: nest.user.token })).body;
}

const bare = async () => (await runningInstance(vast, user)).nest;

describe("policies", () => {
  it("reach what is there and what is made later, but for what an instance set itself; each value says whose it is", async () => {
    const nest = await bare();
    const answer = await put({ not_now_minutes: 12, grace_minutes: 9 });
    expect(answer).toMatchObject({
      policy: { gpu_type: null, auto_hibernation: { not_now_minutes: 12 } },
      instances: { told: 1, waiting: 0 },
    });
    expect(await configOf(nest)).toMatchObject({
      // quickConfig sets grace_minutes on the instance.
      auto_hibernation: { not_now_minutes: 12, grace_minutes: 0, gpu_usage_threshold: 5 },
      sources: { not_now_minutes: "user", grace_minutes: "instance", gpu_usage_threshold: "default" },
      gpu_type: "RTX 4090",
    });
    const later = await bare();
    expect((await configOf(later)).sources.not_now_minutes).toBe("user");
    expect((await nest.events()).findLast((one) => one.event_type === "config_changed")).toMatchObject({
      actor: `user:${user.id}`,
    });
  });

  it("of the GPU type win over those for all, whatever its spelling; another type's do not count", async () => {
    const nest = await bare();
    await put({ not_now_minutes: 12, keep_awake_max_hours: 5 });
    await put({ not_now_minutes: 20 }, "rtx_4090");
    await put({ not_now_minutes: 99 }, "H100");
    const { auto_hibernation, sources } = await configOf(nest);
    expect(auto_hibernation).toMatchObject({ not_now_minutes: 20, keep_awake_max_hours: 5 });
    expect(sources).toMatchObject({ not_now_minutes: "gpu_type", keep_awake_max_hours: "user" });
    const listed = await api<AnswerOf<"listPolicies">>("GET", "/api/policies", { token: user.token });
    expect(listed.body.policies.map((one) => one.gpu_type)).toEqual([null, "H100", "rtx 4090"]);
  });

  it("a machine of another type brings that type's policy with it", async () => {
    await put({ not_now_minutes: 21 }, "RTX 4090");
    await put({ not_now_minutes: 22 }, "RTX 3090");
    const { nest, agent } = await runningInstance(vast, user);
    expect((await configOf(nest)).auto_hibernation.not_now_minutes).toBe(21);
    agent.machine.gpuName = "RTX 3090";
    await stubOf(nest.id).lookAgain();
    await settle(nest.id);
    expect(await configOf(nest)).toMatchObject({
      auto_hibernation: { not_now_minutes: 22 },
      gpu_type: "RTX 3090",
    });
  });

  it("changes at the same moment are all kept, of a policy that is new and of one that is there", async () => {
    const first = { not_now_minutes: 12, grace_minutes: 9, gpu_usage_threshold: 7, keep_awake_max_hours: 6 };
    const second = { not_now_minutes: 13, grace_minutes: 8, gpu_usage_threshold: 6, keep_awake_max_hours: 5 };
    for (const all of [first, second]) {
      await Promise.all(Object.entries(all).map(([name, value]) => put({ [name]: value })));
      const { body } = await api<AnswerOf<"listPolicies">>("GET", "/api/policies", { token: user.token });
      expect(body.policies.map((one) => one.auto_hibernation)).toEqual([all]);
    }
  });

  it("an instance's own setting can be given back to the policies, and a policy's to the product", async () => {
    const nest = await bare();
    await put({ grace_minutes: 9, retention: { keep_days: 4 } });
    const json = { unset: ["grace_minutes"], auto_hibernation: { retention: { keep_newest: 3 } } };
    const changed = await api<Config>("PUT", `${nest.path}/config`, { token: user.token, json });
    expect(changed.body).toMatchObject({
      auto_hibernation: { grace_minutes: 9, retention: { keep_newest: 3, keep_days: 4 } },
      sources: { grace_minutes: "user", "retention.keep_newest": "instance", "retention.keep_days": "user" },
    });
    const unset = await api<PolicyAnswer>("PUT", "/api/policies", {
      token: user.token,
      json: { unset: ["retention"] },
    });
    expect(unset.body.policy.auto_hibernation).toEqual({ grace_minutes: 9 });
    expect((await configOf(nest)).auto_hibernation.retention).toEqual({ keep_newest: 3, keep_days: null });
    await api("DELETE", "/api/policies", { token: user.token });
    expect((await configOf(nest)).sources.grace_minutes).toBe("default");
    const listed = await api<AnswerOf<"listPolicies">>("GET", "/api/policies", { token: user.token });
    expect(listed.body.policies).toEqual([]);
  });

  it("are one user's own, and refuse what is no setting", async () => {
    const bea = await newUser("Bea");
    const nest = await bare();
    await put({ not_now_minutes: 12 }, null, bea);
    expect((await configOf(nest)).sources.not_now_minutes).toBe("default");
    const refuse = (json: object) => outcome("PUT", "/api/policies", { token: user.token, json });
    expect(await refuse({ auto_hibernation: { naps: 3 } })).toBe("400 invalid_input");
    expect(await refuse({ unset: ["naps"] })).toBe("400 invalid_input");
    expect(await refuse({ gpu_type: "", auto_hibernation: {} })).toBe("400 invalid_input");
    const { body } = await api<ErrorBody>("PUT", `${nest.path}/config`, {
      token: user.token,
      json: { unset: ["retention.keep_week"] },
    });
    expect(body.error.issues).toMatchObject([{ path: "unset.0" }]);
  });

  it("an instance that could not be told is told by the cron, and an older word never replaces a newer one", async () => {
    const nest = await bare();
    const take = vi.spyOn(InstanceObject.prototype, "takePolicies").mockRejectedValue(new Error("the object died"));
    expect((await put({ not_now_minutes: 12 })).instances).toEqual({ told: 0, waiting: 1 });
    take.mockRestore();
    expect((await configOf(nest)).sources.not_now_minutes).toBe("default");
    await worker.scheduled(createScheduledController({ cron: "* * * * *", scheduledTime: new Date() }), env);
    expect((await configOf(nest)).sources.not_now_minutes).toBe("user");
    await stubOf(nest.id).takePolicies({ version: 0, user: { not_now_minutes: 1 }, gpuTypes: {} });
    expect((await configOf(nest)).auto_hibernation.not_now_minutes).toBe(12);
    await settle(nest.id);
    const row = await env.DB.prepare("SELECT policy_version FROM instance_status WHERE instance_id = ?")
      .bind(nest.id)
      .first();
    expect(row).toEqual({ policy_version: 1 });
  });

  it("an instance of before keeps what it had set; what equals the defaults may be decided by a policy", async () => {
    const nest = await bare();
    await runInDurableObject(stubOf(nest.id), (_, { storage }) => {
      const [row] = storage.sql.exec("SELECT state FROM instance").toArray();
      const { own: _own, policies: _policies, ...old } = JSON.parse(row!.state as string);
      storage.sql.exec("UPDATE instance SET state = ?", JSON.stringify(old));
    });
    await evictDurableObject(stubOf(nest.id));
    await put({ grace_minutes: 9, not_now_minutes: 12 });
    await put({ grace_minutes: 8 });
    expect(await configOf(nest)).toMatchObject({
      auto_hibernation: { grace_minutes: 0, not_now_minutes: 12 },
      sources: { grace_minutes: "instance", not_now_minutes: "user" },
    });
  });

  it("a fork takes over what its origin set itself, and follows the policies in the rest", async () => {
    const { nest, agent } = await runningInstance(vast, user, { keep_awake_max_hours: 2 });
    await fallAsleep(nest, agent);
    await put({ not_now_minutes: 12 });
    const json = { from: { instance: nest.id }, start: false };
    const { body } = await api<InstanceView>("POST", "/api/instances", { token: user.token, json });
    const config = await api<Config>("GET", `/api/instances/${body.id}/config`, { token: user.token });
    expect(config.body.sources).toMatchObject({ keep_awake_max_hours: "instance", not_now_minutes: "user" });
  });
});
