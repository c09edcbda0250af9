import { beforeEach, describe, expect, it, afterEach, vi } from "vitest";
import { alarmAfter, fallAsleep, newUser, runningInstance, startClock, type TestUser } from "./helpers.ts";
import { FakeVast } from "./vast.ts";

let vast: FakeVast;
let user: TestUser;
beforeEach(async () => {
  startClock();
  vast = new FakeVast();
  vast.install();
  user ??= await newUser();
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a whole night", () => {
  it("x", async () => {
    const { nest, agent } = await runningInstance(vast, user);
    expect((await nest.view()).state).toBe("running");
    await fallAsleep(nest, agent);
    console.log(JSON.stringify(await nest.eventTypes()), vast.calls);
  });
});
