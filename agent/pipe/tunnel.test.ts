import { expect, it } from "vitest";
import type { Cloudflared, CloudflaredState, TunnelOrder } from "./cloudflared.ts";
import { createTunnelPipes } from "./tunnel.ts";

/** One that does as it is told, and keeps what it was told. */
function fake(answers: Awaited<ReturnType<Cloudflared["run"]>>[] = []) {
  const told: string[] = [];
  const state: CloudflaredState = { phase: "stopped", protocol: "quic", pid: null, starts: 0, tail: [] };
  const cloudflared: Cloudflared = {
    async run({ token }: TunnelOrder) {
      told.push(`run ${token}`);
      return answers.shift() ?? { ok: true };
    },
    switchProtocol() {},
    async stop() {
      told.push("stop");
    },
    state: () => state,
  };
  return { cloudflared, told, state };
}
const settle = (ms = 0) => new Promise((resolve) => setTimeout(resolve, ms));

it("is open while cloudflared is connected, and says why it is not", async () => {
  const { cloudflared, told, state } = fake();
  const pipe = createTunnelPipes(cloudflared)({ token: "a" });
  await settle();
  expect([pipe.isOpen(), pipe.trouble()]).toEqual([false, "cloudflared is not connected yet"]);
  Object.assign(state, { phase: "starting", tail: ["ERR Failed to dial"] });
  expect(pipe.trouble()).toBe("ERR Failed to dial");
  state.phase = "connected";
  expect([pipe.isOpen(), pipe.trouble()]).toEqual([true, null]);
  await pipe.stop();
  expect([pipe.isOpen(), told]).toEqual([false, ["run a", "stop"]]);
});

it("one that is stopped after the next was ordered leaves that one alone", async () => {
  const { cloudflared, told, state } = fake();
  const open = createTunnelPipes(cloudflared);
  const [first, second] = [open({ token: "a" }), open({ token: "b" })];
  await first.stop();
  state.phase = "connected";
  expect([first.isOpen(), second.isOpen(), told]).toEqual([false, true, ["run a", "run b"]]);
  await second.stop();
  await second.stop();
  expect(told).toEqual(["run a", "run b", "stop"]);
});

it("a program that cannot be had is looked for again, until it is not wanted any more", async () => {
  const none = { ok: false, code: "no_cloudflared", message: "there is none" } as const;
  const { cloudflared, told } = fake([none, none]);
  const pipe = createTunnelPipes(cloudflared, 10)({ token: "a" });
  await settle();
  expect(pipe.trouble()).toBe("there is none");
  await settle(60);
  expect(told).toEqual(["run a", "run a", "run a"]);
  const other = fake([none]);
  const ended = createTunnelPipes(other.cloudflared, 10)({ token: "a" });
  await settle();
  await ended.stop();
  await settle(40);
  expect(other.told).toEqual(["run a", "stop"]);
});
