import { expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { defaultPolicies, numberOptions, readPolicies, readWorld } from "./options.ts";

test("without options it is the machine that docs/SIMULATE.md tells of", () => {
  expect(readWorld({})).toMatchObject({
    microUsdPerHour: 400_000,
    storedBytes: 55.3e9,
    uploadBytes: 55.3e9,
    upBytesPerSecond: 100e6,
    downBytesPerSecond: 140e6,
    bootMs: 120_000,
    intervalMs: 30_000,
    memory: "unknown",
    isMeasured: true,
  });
});

test("options are in people's units", () => {
  const world = readWorld({ price: "1.5", "workspace-gb": "10", "stored-ratio": "0.5", "upload-gb": "2", cold: true });
  expect(world).toMatchObject({ microUsdPerHour: 1_500_000, storedBytes: 5e9, uploadBytes: 2e9, isMeasured: false });
});

test("policies", () => {
  expect(readPolicies([]).map((one) => one.name)).toEqual(defaultPolicies);
  expect(readPolicies(["fixed:0.5", "never"])).toEqual([
    { name: "fixed:0.5", policy: { kind: "fixed", minutes: 0.5 } },
    { name: "never", policy: { kind: "never" } },
  ]);
  for (const bad of [["fixed"], ["fixed:"], ["fixed:soon"], ["fixed:0"], ["fixed:-3"], ["magic"], ["auto", "auto"]])
    expect(() => readPolicies(bad)).toThrow(Failure);
});

test("values that make no sense are refused by name", () => {
  for (const name of Object.keys(numberOptions) as (keyof typeof numberOptions)[]) {
    expect(() => readWorld({ [name]: "much" })).toThrow(`--${name}`);
    expect(() => readWorld({ [name]: "-1" })).toThrow(`--${name}`);
  }
  expect(() => readWorld({ "gpu-memory": "some" })).toThrow("--gpu-memory");
});
