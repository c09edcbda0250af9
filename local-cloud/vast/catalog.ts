/**
 * The offers of the stand-in: a fixed, plausible market. The same ids, hosts and prices at every start, more than 64 of
 * them so that the real cap of an answer shows, and some that a careful client must leave alone (unverified, external,
 * unreliable, about to end, small disk).
 */

export interface GpuKind {
  /** As vast.ai spells it in rows and filters. */
  name: string;
  /** As nvidia-smi spells it. */
  smiName: string;
  ramMb: number;
  usdPerHour: number;
  computeCap: number;
  powerWatts: number;
  dlperf: number;
  tflops: number;
}

export interface CatalogOffer {
  id: number;
  machineId: number;
  hostId: number;
  gpu: GpuKind;
  gpuCount: number;
  country: string;
  geolocation: string;
  diskGb: number;
  cpuCores: number;
  ramMb: number;
  /** GPUs only, $/h. */
  dphBase: number;
  /** $/GB/month. */
  storageCost: number;
  inetUp: number;
  inetDown: number;
  inetUpCost: number;
  inetDownCost: number;
  reliability: number;
  verification: "verified" | "unverified";
  external: boolean;
  durationSeconds: number;
  directPortCount: number;
}

export const DRIVER_VERSION = "570.86.16";
export const CUDA_VERSION = "12.8";

const GPUS: Record<string, GpuKind> = Object.fromEntries(
  (
    [
      ["RTX 3090", "NVIDIA GeForce RTX 3090", 24576, 0.19, 860, 350, 38, 35.6],
      ["RTX 4090", "NVIDIA GeForce RTX 4090", 24564, 0.36, 890, 450, 92, 82.6],
      ["RTX 5090", "NVIDIA GeForce RTX 5090", 32607, 0.58, 1200, 575, 140, 104.8],
      ["RTX A6000", "NVIDIA RTX A6000", 49140, 0.44, 860, 300, 47, 38.7],
      ["L40S", "NVIDIA L40S", 46068, 0.71, 890, 350, 88, 91.6],
      ["A100 PCIE", "NVIDIA A100-PCIE-40GB", 40960, 0.62, 800, 250, 61, 19.5],
      ["A100 SXM4", "NVIDIA A100-SXM4-80GB", 81920, 0.92, 800, 400, 72, 19.5],
      ["H100 PCIE", "NVIDIA H100 PCIe", 81559, 1.72, 900, 350, 150, 51.2],
      ["H100 SXM", "NVIDIA H100 80GB HBM3", 81559, 1.98, 900, 700, 190, 66.9],
      ["H200", "NVIDIA H200", 143771, 2.61, 900, 700, 210, 66.9],
    ] as const
  ).map(([name, smiName, ramMb, usdPerHour, computeCap, powerWatts, dlperf, tflops]) => [
    name,
    { name, smiName, ramMb, usdPerHour, computeCap, powerWatts, dlperf, tflops },
  ]),
);

/** gpu, how many of it per machine, how many such machines. */
const STOCK: readonly (readonly [string, number, number])[] = [
  ["RTX 3090", 1, 18],
  ["RTX 3090", 2, 4],
  ["RTX 3090", 4, 3],
  ["RTX 4090", 1, 24],
  ["RTX 4090", 2, 6],
  ["RTX 4090", 4, 3],
  ["RTX 4090", 8, 1],
  ["RTX 5090", 1, 10],
  ["RTX 5090", 2, 2],
  ["RTX A6000", 1, 5],
  ["L40S", 1, 4],
  ["A100 PCIE", 1, 5],
  ["A100 SXM4", 1, 6],
  ["A100 SXM4", 4, 2],
  ["A100 SXM4", 8, 1],
  ["H100 PCIE", 1, 4],
  ["H100 SXM", 1, 5],
  ["H100 SXM", 2, 2],
  ["H100 SXM", 8, 1],
  ["H200", 1, 2],
];

const PLACES: readonly (readonly [string, string])[] = [
  ["Sweden", "SE"],
  ["California", "US"],
  ["Germany", "DE"],
  ["Quebec", "CA"],
  ["São Paulo", "BR"],
  ["Poland", "PL"],
  ["Texas", "US"],
  ["Japan", "JP"],
  ["Norway", "NO"],
  ["Taiwan", "TW"],
  ["Netherlands", "NL"],
  ["Australia", "AU"],
  ["Czechia", "CZ"],
  ["South Africa", "ZA"],
  ["South Korea", "KR"],
];

/** Odd offers, by position in the list of all. */
const ODD: Record<number, Partial<CatalogOffer>> = {
  3: { verification: "unverified", reliability: 0.71 },
  7: { durationSeconds: 6 * 3600 },
  21: { reliability: 0.62 },
  28: { external: true },
  33: { verification: "unverified" },
  41: { diskGb: 12 },
  46: { durationSeconds: 3 * 3600 },
  60: { directPortCount: 0 },
};

/** A fixed sequence of numbers in [0, 1): the market must not change between two starts. */
function makeSequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const round = (value: number, digits: number) => Number(value.toFixed(digits));

export function buildCatalog(): CatalogOffer[] {
  const next = makeSequence(20261124);
  const offers: CatalogOffer[] = [];
  for (const [gpuName, gpuCount, machines] of STOCK) {
    const gpu = GPUS[gpuName]!;
    for (let n = 0; n < machines; n++) {
      const index = offers.length;
      const [place, country] = PLACES[(index * 7 + n) % PLACES.length]!;
      const inetDown = round(300 + next() * 2200, 1);
      offers.push({
        id: 7_100_001 + index * 13,
        machineId: 4200 + index,
        hostId: 70 + Math.floor(index / 3),
        gpu,
        gpuCount,
        country,
        geolocation: `${place}, ${country}`,
        diskGb: round(200 + next() * 1800, 1),
        cpuCores: gpuCount * (8 + 4 * Math.floor(next() * 5)),
        ramMb: gpuCount * (32 + 32 * Math.floor(next() * 4)) * 1000,
        dphBase: round(gpu.usdPerHour * gpuCount * (0.85 + next() * 0.6), 4),
        storageCost: round(0.08 + next() * 0.17, 3),
        inetUp: round(inetDown * (0.5 + next() * 0.5), 1),
        inetDown,
        inetUpCost: round(next() * 0.008, 4),
        inetDownCost: round(next() * 0.006, 4),
        reliability: round(0.95 + next() * 0.0495, 4),
        verification: "verified",
        external: false,
        durationSeconds: Math.round((5 + next() * 80) * 86_400),
        directPortCount: 8 + Math.floor(next() * 120),
        ...ODD[index],
      });
    }
  }
  return offers;
}
