/** Hosts that failed. */
import { expect, it } from "vitest";
import { avoidedHosts, blameHost, praiseHost } from "./avoid.ts";
import { createInstance } from "./birth.ts";
import { birth } from "./testing/fixtures.ts";
import { defaultTimings } from "./timings.ts";
import type { State } from "./types.ts";

const hour = 3_600_000;
const at = (now: number) => ({ now, timings: defaultTimings });
const fresh = (): State => createInstance(birth(), at(0)).state;
const left = (state: State, now: number) => (state.avoid.find((one) => one.machineId === 7)?.until ?? now) - now;

it("each failure doubles the time, up to a week", () => {
  let state = fresh();
  const times = [];
  for (let i = 0; i < 8; i++) {
    state = blameHost(state, 7, at(1_000));
    times.push(left(state, 1_000) / hour);
  }
  expect(times).toEqual([6, 12, 24, 48, 96, 168, 168, 168]);
  expect(avoidedHosts(state, 1_000)).toEqual([7]);
});

it("a failure after its time counts on, unless it kept quiet for as long again", () => {
  const state = blameHost(fresh(), 7, at(0));
  expect(avoidedHosts(state, 6 * hour)).toEqual([]);
  expect(left(blameHost(state, 7, at(11 * hour)), 11 * hour)).toBe(12 * hour);
  const forgotten = blameHost(state, 8, at(12 * hour));
  expect(forgotten.avoid.map((one) => one.machineId)).toEqual([8]);
});

it("a success halves the next time, and forgets the host in the end", () => {
  let state = blameHost(blameHost(fresh(), 7, at(0)), 7, at(0));
  state = praiseHost(state, 7, at(13 * hour));
  expect(avoidedHosts(state, 13 * hour)).toEqual([]);
  expect(left(blameHost(state, 7, at(13 * hour)), 13 * hour)).toBe(12 * hour);
  expect(praiseHost(state, 7, at(13 * hour)).avoid).toEqual([]);
});

it("remembers fifty hosts, the newest", () => {
  let state = fresh();
  for (let host = 1; host <= 60; host++) state = blameHost(state, host, at(0));
  expect(avoidedHosts(state, 1)).toEqual(Array.from({ length: 50 }, (_, i) => i + 11));
  expect(blameHost(state, null, at(0)).avoid).toHaveLength(50);
});
