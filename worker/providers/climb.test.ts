/** The climb with searches that answer, hold nothing, or fail. */
import { describe, expect, it } from "vitest";
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import { climbLadder, noOfferWords } from "./climb.ts";
import type { Offer, OfferQuery, ProviderAnswer } from "./provider.ts";

const spec: MachineSpec = {
  gpuType: "RTX 4090",
  gpuCount: 1,
  region: "BR",
  diskGb: 50,
  image: "ubuntu:22.04",
  maxMicroUsdPerHour: null,
};
const facts = { reach: "cap" as const, usual: null, workspaceBytes: 0 };

const offer = (id: number, change: Partial<Offer> = {}): Offer => ({
  id,
  machineId: id,
  hostId: null,
  gpuType: "RTX 4090",
  gpuCount: 1,
  gpuRamMb: 24_564,
  microUsdPerHour: 400_000,
  upMicroUsdPerGb: null,
  downMicroUsdPerGb: null,
  region: "BR",
  reliability: 0.99,
  verified: true,
  ...change,
});

function market(...answers: ProviderAnswer<{ offers: Offer[] }>[]) {
  const asked: OfferQuery[] = [];
  const search = async (query: OfferQuery) => {
    asked.push(query);
    return answers.shift() ?? { ok: true as const, offers: [] };
  };
  return { asked, search };
}

it("stops at the first rung that has an offer", async () => {
  const { asked, search } = market({ ok: true, offers: [offer(1, { microUsdPerHour: 500_000 }), offer(2)] });
  const end = await climbLadder(search, { spec, avoid: [], facts });
  expect(end).toMatchObject({ ok: true, offer: { id: 2 }, climb: [{ rung: "same", offers: 2 }] });
  expect(asked).toHaveLength(1);
});

it("learns the memory of the GPU from offers that may not be rented", async () => {
  const elsewhere = offer(3, { machineId: 13 });
  const { asked, search } = market(
    { ok: true, offers: [] },
    { ok: true, offers: [elsewhere] },
    { ok: true, offers: [offer(4, { gpuType: "A6000", gpuRamMb: 49_140 })] },
  );
  const end = await climbLadder(search, { spec, avoid: [13], facts });
  expect(end).toMatchObject({ ok: true, offer: { id: 4 } });
  expect(asked.map((one) => [one.gpuType, one.region, one.minGpuRamMb])).toEqual([
    ["RTX 4090", "BR", null],
    ["RTX 4090", null, null],
    [null, null, 24_564],
  ]);
});

describe("offers that are taken", () => {
  const without = (taken: number[]) => async (offers: readonly Offer[]) =>
    offers.filter((one) => !taken.includes(one.id));

  it("leave the next of their rung, or the next rung", async () => {
    const near = [offer(1), offer(2, { microUsdPerHour: 500_000 })];
    const first = market({ ok: true, offers: near });
    expect(await climbLadder(first.search, { spec, avoid: [], facts }, without([1]))).toMatchObject({
      offer: { id: 2 },
      climb: [{ rung: "same", offers: 1, taken: 1 }],
    });
    const second = market({ ok: true, offers: near }, { ok: true, offers: [...near, offer(3)] });
    expect(await climbLadder(second.search, { spec, avoid: [], facts }, without([1, 2]))).toMatchObject({
      offer: { id: 3 },
      climb: [
        { rung: "same", offers: 0, taken: 2 },
        { rung: "elsewhere", offers: 1, taken: 2 },
      ],
    });
  });

  it("are asked for all the same where there is no other: a list that shows some never says that there are none", async () => {
    const { asked, search } = market({ ok: true, offers: [] }, { ok: true, offers: [offer(1), offer(2)] });
    const end = await climbLadder(search, { spec, avoid: [], facts }, without([1, 2]));
    expect(end).toMatchObject({ offer: { id: 1 }, climb: [{ rung: "same" }, { rung: "elsewhere", offers: 2 }] });
    expect(asked).toHaveLength(3);
  });
});

it("a search that fails fails the climb: no rung is taken for empty", async () => {
  const down = { ok: false, code: "provider_unavailable", message: "no answer", retryable: true } as const;
  const { asked, search } = market({ ok: true, offers: [] }, down);
  expect(await climbLadder(search, { spec, avoid: [], facts })).toEqual(down);
  expect(asked).toHaveLength(2);
});

it("says what was wanted and which rungs were looked at", async () => {
  const { search } = market();
  const end = await climbLadder(search, { spec, avoid: [], facts });
  if (!end.ok || end.offer) throw new Error("there is no offer");
  expect(noOfferWords(spec, end.climb)).toBe(
    "No offer for RTX 4090, in BR, 50 GB disk (same: no offers; elsewhere: no offers; other_gpus: skipped, the memory of RTX 4090 is not known yet; cap: skipped, no price cap is set).",
  );
});
