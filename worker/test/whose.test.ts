/** Whose machine is it, and is it gone: lists that are short, answers that are another's, labels that were lost. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { reconcile } from "../cron.ts";
import {
  advance,
  alarmAfter,
  fallAsleep,
  outcome,
  runningInstance,
  type Sleeper,
  settle,
  type TestUser,
  upToSeal,
} from "./helpers.ts";
import { endScene, setScene } from "./scene.ts";
import { type FakeVast, type VastMachine, vastErrors } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;

beforeEach(async () => {
  ({ vast, user } = await setScene());
});
afterEach(endScene);

const emptyList = () => Response.json({ success: true, total_instances: 0, next_token: null, instances: [] });
const noSuchInstance = () =>
  Response.json({ success: false, error: "no_such_instance", msg: "no such instance" }, { status: 404 });

async function upToDestroy(): Promise<Sleeper> {
  const { nest, agent } = await runningInstance(vast, user);
  const ref = await upToSeal(nest, agent);
  await agent.beat({ gpu: 0, seal: agent.sealOf(ref) });
  return nest;
}

describe("a machine is gone", () => {
  it("not because one list lacks it after a destroy that was accepted and ignored", async () => {
    vast.once("destroy", () => Response.json({ success: true }));
    const nest = await upToDestroy();
    await settle(nest.id);
    vast.once("list", emptyList);
    await alarmAfter(nest.id, 3_500);
    expect(await nest.view()).toMatchObject({ state: "destroying" });
    expect(vast.count("destroy")).toBe(2);
    await alarmAfter(nest.id, 13_000);
    expect(await nest.view()).toMatchObject({ state: "hibernated", retiring_machines: [] });
    expect(vast.machines.size).toBe(0);
  });

  it("not because one destroy says that there is no such machine", async () => {
    vast.once("destroy", noSuchInstance);
    const nest = await upToDestroy();
    await settle(nest.id);
    expect(await nest.view()).toMatchObject({ state: "destroying" });
    expect(vast.machines.size).toBe(1);
    await alarmAfter(nest.id, 7_000);
    await alarmAfter(nest.id, 7_000);
    expect(await nest.view()).toMatchObject({ state: "hibernated" });
    expect(vast.machines.size).toBe(0);
  });

  it("not because one list lacks it while it is silent", async () => {
    const { nest } = await runningInstance(vast, user);
    // Silence, then a look.
    await alarmAfter(nest.id, 181_000);
    expect((await nest.view()).state).toBe("unreachable");
    vast.once("list", emptyList);
    await alarmAfter(nest.id, 31_000);
    expect((await nest.view()).state).toBe("unreachable");
    vast.machines.clear();
    await alarmAfter(nest.id, 31_000);
    expect((await nest.view()).state).toBe("failed");
  });
});

describe("a create that is carried out twice", () => {
  const twice: Record<string, (body: Record<string, unknown>) => Response> = {
    "the answer names the first": (body) => {
      const answer = vast.effect("create", 7001, body);
      vast.effect("create", 7002, body);
      return answer;
    },
    "the answer names the second": (body) => {
      vast.effect("create", 7001, body);
      return vast.effect("create", 7002, body);
    },
    "the answer is lost": (body) => {
      vast.effect("create", 7001, body);
      vast.effect("create", 7002, body);
      return vastErrors.down();
    },
  };

  it.each(Object.keys(twice))("%s: one is used and heard, the other ended", async (how) => {
    const nest = await asleep();
    vast.once("create", (_id, body) => twice[how]!(body));
    await nest.post("wake");
    await settle(nest.id);
    await alarmAfter(nest.id, 5_500);
    await alarmAfter(nest.id, 7_000);
    expect(vast.ofInstance(nest.id)).toHaveLength(1);
    const [left] = vast.ofInstance(nest.id);
    expect(await nest.view()).toMatchObject({
      state: "provisioning",
      machine: { epoch: 2, vast_instance_id: left!.id },
      retiring_machines: [],
    });
    const agent = nest.agent();
    const beatFrom = (container: number) => {
      const report = agent.report();
      const json = { ...report, agent: { ...(report.agent as object), container } };
      return outcome("POST", "/api/agent/status", { token: agent.token, json });
    };
    expect(await beatFrom(left!.id + 1)).toBe("403 epoch_fenced");
    expect((await nest.view()).state).toBe("provisioning");
    expect(await beatFrom(left!.id)).toBe("200");
    expect((await nest.view()).state).toBe("restoring");
  });

  it("and is refused the second time: the first one's machine is used, and no other is asked for", async () => {
    const nest = await asleep();
    vast.once("create", (id, body) => {
      vast.effect("create", id, body);
      return vastErrors.offerGone();
    });
    const before = vast.count("create");
    await nest.post("wake");
    await settle(nest.id);
    const [made] = vast.ofInstance(nest.id);
    expect(await nest.view()).toMatchObject({
      state: "provisioning",
      machine: { epoch: 2, vast_instance_id: made!.id },
    });
    expect(vast.count("create")).toBe(before + 1);
  });
});

describe("an answer to a create", () => {
  it("that is another call's does not make another's machine ours", async () => {
    const other = await runningInstance(vast, user);
    advance(10_000);
    const theirs = vast.ofInstance(other.nest.id)[0]!;
    const nest = await asleep();
    vast.once("create", (id, body) => {
      vast.effect("create", id, body);
      return Response.json({ success: true, new_contract: theirs.id });
    });
    await nest.post("wake");
    await settle(nest.id);
    expect((await nest.view()).machine!.vast_instance_id).toBe(vast.withLabel(`soneca:${nest.id}:2`)[0]!.id);
    await nest.post("hibernate");
    await settle(nest.id);
    await alarmAfter(nest.id, 7_000);
    expect(vast.machines.has(theirs.id)).toBe(true);
    expect(vast.ofInstance(nest.id)).toEqual([]);
  });

  const failed = (id: number) =>
    Response.json({ success: false, error: "invalid_args", msg: "no", new_contract: id }, { status: 400 });

  it("that failed and names somebody's machine does not end that one", async () => {
    const nest = await asleep();
    const stranger = vast.add("my own");
    vast.once("create", () => failed(stranger.id));
    await nest.post("wake");
    for (let i = 0; i < 6; i++) await alarmAfter(nest.id, 5_500);
    expect(vast.machines.has(stranger.id)).toBe(true);
  });

  it("that failed and left a machine with our label: that one is ended, also when its destroy fails at first", async () => {
    const nest = await asleep();
    vast.once("destroy", vastErrors.down);
    vast.once("create", (id, body) => {
      vast.effect("create", id, body);
      const [made] = vast.withLabel(String(body.label));
      made!.status = "exited";
      return failed(made!.id);
    });
    await nest.post("wake");
    for (let i = 0; i < 6; i++) await alarmAfter(nest.id, 5_500);
    expect(vast.withLabel(`soneca:${nest.id}:2`)).toEqual([]);
    expect(await nest.view()).toMatchObject({ state: "provisioning", machine: { epoch: 3 } });
  });
});

describe("a label that was lost", () => {
  const unnamed = (body: Record<string, unknown>): VastMachine => {
    vast.effect("create", 7001, { ...body, label: null });
    return [...vast.machines.values()].at(-1)!;
  };

  it.each(["with its answer", "without its answer"])(
    "%s: the environment tells it, and it is set again",
    async (how) => {
      const nest = await asleep();
      let made: VastMachine | null = null;
      vast.once("create", (_id, body) => {
        made = unnamed(body);
        return how === "with its answer" ? Response.json({ success: true, new_contract: made.id }) : vastErrors.lost();
      });
      const before = vast.count("create");
      await nest.post("wake");
      await settle(nest.id);
      await alarmAfter(nest.id, 5_500);
      expect((await nest.view()).machine).toMatchObject({ epoch: 2, vast_instance_id: made!.id });
      expect(made!.label).toBe(`soneca:${nest.id}:2`);
      expect(vast.count("create")).toBe(before + 1);
    },
  );

  it("of a rental that was given up: it is ended when it turns up", async () => {
    const nest = await asleep();
    let asked: Record<string, unknown> = {};
    vast.once("create", (_id, body) => {
      asked = body;
      return vastErrors.down();
    });
    await nest.post("wake");
    await settle(nest.id);
    await nest.post("hibernate");
    for (let i = 0; i < 8; i++) await alarmAfter(nest.id, 5_500);
    const late = unnamed(asked);
    await reconcile(env as never);
    await settle(nest.id);
    await alarmAfter(nest.id, 7_000);
    expect(vast.machines.has(late.id)).toBe(false);
  });

  it("of somebody's copy of a machine of ours: it is left alone", async () => {
    const { nest } = await runningInstance(vast, user);
    const copy = unnamed({ env: vast.ofInstance(nest.id)[0]!.env });
    await reconcile(env as never);
    await settle(nest.id);
    await alarmAfter(nest.id, 10_000);
    expect(vast.machines.has(copy.id)).toBe(true);
    // Instances of earlier tests may still end their own machines here.
    const ended = vast.calls.filter((one) => one.operation === "destroy").map((one) => one.id);
    expect(ended).not.toContain(copy.id);
    expect(ended).not.toContain(vast.ofInstance(nest.id)[0]!.id);
  });
});

// --- small things -------------------------------------------------------------------------------------------------------

async function asleep(): Promise<Sleeper> {
  const { nest, agent } = await runningInstance(vast, user, { delete_after_pause_minutes: 60 });
  await fallAsleep(nest, agent);
  advance(61_000);
  return nest;
}
