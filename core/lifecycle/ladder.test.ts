/** The ladder: what each rung asks, when it is skipped, and which offer is the best. */
import { describe, expect, it } from "vitest";
import {
  type ClimbFacts,
  chooseOffers,
  climbWords,
  cudaOf,
  ladder,
  planRung,
  type RungPlan,
  rankOffers,
} from "./ladder.ts";
import type { MachineSpec } from "./types.ts";

const spec = (change: Partial<MachineSpec> = {}): MachineSpec => ({
  gpuType: "RTX 4090",
  gpuCount: 1,
  region: "BR",
  diskGb: 50,
  image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04",
  maxMicroUsdPerHour: 2_000_000,
  ...change,
});
const usual = { gpuType: "RTX 4090", gpuCount: 1, gpuRamMb: 24_564, microUsdPerHour: 400_000 };
const facts = (change: Partial<ClimbFacts> = {}): ClimbFacts => ({
  reach: "cap",
  usual,
  workspaceBytes: 0,
  ...change,
});

function plans(wanted: MachineSpec, known: ClimbFacts, seenRamMb: number | null = null): Record<string, RungPlan> {
  return Object.fromEntries(ladder.map((rung) => [rung.name, planRung(rung, wanted, known, seenRamMb)]));
}

const skipped = (plan: RungPlan | undefined) => (plan && "skipped" in plan ? plan.skipped : null);
const query = (plan: RungPlan | undefined) => {
  if (!plan || "skipped" in plan) throw new Error(`skipped: ${skipped(plan)}`);
  return plan.query;
};

describe("the rungs", () => {
  it("same GPU and region, the same GPU elsewhere, GPUs of that memory, up to the cap", () => {
    const all = plans(spec(), facts());
    expect(query(all.same)).toMatchObject({ gpuType: "RTX 4090", region: "BR", usualLimit: 800_000, minCuda: 12.4 });
    expect(query(all.elsewhere)).toMatchObject({ gpuType: "RTX 4090", region: null, usualLimit: 800_000 });
    const memory = { gpuType: null, region: null, minGpuRamMb: 24_564, moreGpus: true };
    expect(query(all.other_gpus)).toMatchObject({ ...memory, usualLimit: 800_000, maxMicroUsdPerHour: 2_000_000 });
    expect(query(all.cap)).toMatchObject({ ...memory, usualLimit: null, maxMicroUsdPerHour: 2_000_000 });
  });

  it("the cap is in every search", () => {
    for (const plan of Object.values(plans(spec(), facts()))) expect(query(plan).maxMicroUsdPerHour).toBe(2_000_000);
  });

  it("climb no further than the reach", () => {
    for (const [reach, open] of [
      ["same", 1],
      ["elsewhere", 2],
      ["other_gpus", 3],
      ["cap", 4],
    ] as const) {
      const all = Object.values(plans(spec(), facts({ reach })));
      expect(all.filter((plan) => skipped(plan) === null)).toHaveLength(open);
    }
  });

  it.each([
    ["elsewhere", { region: null }, {}, "no region was asked for"],
    ["cap", { maxMicroUsdPerHour: null }, {}, "no price cap is set"],
    ["cap", { maxMicroUsdPerHour: 700_000 }, {}, "the rungs before went up to the cap"],
    ["cap", {}, { usual: null }, "the rungs before went up to the cap"],
    ["other_gpus", { gpuType: null }, {}, "any GPU was asked for already"],
    ["other_gpus", {}, { usual: null }, "the memory of RTX 4090 is not known yet"],
    ["other_gpus", { gpuType: "H100" }, {}, "the memory of H100 is not known yet"],
  ])("%s is skipped, with the reason: %o", (rung, change, known, reason) => {
    expect(skipped(plans(spec(change), facts(known))[rung])).toBe(reason);
  });

  it("a GPU whose memory only its offers told is climbed by that", () => {
    const all = plans(spec({ gpuType: "H100" }), facts(), 80_000);
    expect(query(all.other_gpus)).toMatchObject({ gpuType: null, minGpuRamMb: 80_000, usualLimit: null });
  });

  it("the price of another GPU, or of another number of them, is not what is usual", () => {
    expect(query(plans(spec({ gpuType: "H100" }), facts()).same).usualLimit).toBeNull();
    expect(query(plans(spec({ gpuCount: 2 }), facts()).same).usualLimit).toBeNull();
    expect(query(plans(spec({ gpuType: null }), facts()).same).usualLimit).toBe(800_000);
  });

  it("every filter is a setting", () => {
    const rent = {
      verified_only: false,
      min_reliability: 0.97,
      min_cuda: 12.8,
      max_traffic_micro_usd_per_gb: 5_000,
      max_times_usual_price: null,
    };
    expect(query(plans(spec({ rent }), facts()).same)).toMatchObject({
      verifiedOnly: false,
      minReliability: 0.97,
      minCuda: 12.8,
      maxTrafficMicroUsdPerGb: 5_000,
      usualLimit: null,
    });
  });
});

it("reads the CUDA version off an image's name, and nothing else", () => {
  expect(cudaOf("nvidia/cuda:12.4.1-runtime-ubuntu22.04")).toBe(12.4);
  expect(cudaOf("pytorch/pytorch:2.4.0-cuda11.8-cudnn9-runtime")).toBe(11.8);
  expect(cudaOf("vastai/base-image:cuda-12.8.1-auto")).toBe(12.8);
  for (const image of ["ubuntu:22.04", "nvidia/cuda:latest", "me/barracuda:3.1"]) {
    expect(cudaOf(image)).toBe(image.includes("barracuda") ? 3.1 : null);
  }
});

describe("the order", () => {
  const offer = (id: number, microUsdPerHour: number, up: number | null, down: number | null) => ({
    id,
    machineId: id,
    microUsdPerHour,
    upMicroUsdPerGb: up,
    downMicroUsdPerGb: down,
  });
  const ids = (offers: { id: number }[]) => offers.map((one) => one.id);

  it("counts the traffic of the workspace, there and back, beside the hours", () => {
    // 4 h: 1.60 + 100 GB x 0.03 = 4.60 against 2.00 + 100 GB x 0.004 = 2.40.
    const offers = [offer(1, 400_000, 15_000, 15_000), offer(2, 500_000, 2_000, 2_000)];
    expect(ids(rankOffers(offers, 100e9, 4))).toEqual([2, 1]);
    expect(ids(rankOffers(offers, 1e9, 4))).toEqual([1, 2]);
    expect(ids(rankOffers(offers, 100e9, 100))).toEqual([1, 2]);
  });

  it("takes an unknown traffic price for the dearest that is known", () => {
    const offers = [offer(1, 400_000, null, null), offer(2, 410_000, 1_000, 1_000), offer(3, 420_000, 20_000, 20_000)];
    expect(ids(rankOffers(offers, 100e9, 4))).toEqual([2, 1, 3]);
  });

  it("leaves out and counts what is avoided, dearer than usual, or above the cap", () => {
    const wanted = query(plans(spec({ maxMicroUsdPerHour: 700_000 }), facts()).same);
    const offers = [offer(1, 100_000, 0, 0), offer(2, 710_000, 0, 0), offer(3, 650_000, 0, 0), offer(4, 900_000, 0, 0)];
    const chosen = chooseOffers(offers, wanted, [1], facts(), undefined);
    expect(chosen).toMatchObject({ offers: [{ id: 3 }], tooDear: 2, avoided: 1 });
  });
});

it("one line tells the climb", () => {
  const none = { offers: 0, tooDear: 0, avoided: 0, skipped: null };
  expect(
    climbWords([
      { ...none, rung: "same", tooDear: 2, avoided: 1 },
      { ...none, rung: "elsewhere", skipped: "no region was asked for" },
      { ...none, rung: "other_gpus", offers: 1, taken: 2 },
      { ...none, rung: "cap", offers: 5 },
    ]),
  ).toBe(
    "same: no offers, 2 dearer than is usual, 1 on hosts that are avoided; elsewhere: skipped, no region was asked for; other_gpus: 1 offer, 2 refused or asked for a moment ago; cap: 5 offers",
  );
});
