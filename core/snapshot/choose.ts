/**
 * Which codec for a frame: nothing is known of its bytes but the bytes. Symbols coded one by one (planes) beat zstd on
 * numbers and lose to it by a factor of two or three on text, so both are tried on a sample; the whole is given to
 * zstd only where the sample does not settle it.
 */
import { ByteWriter, isAllZero } from "./bytes.ts";
import { codecs } from "./frame-head.ts";
import { limits } from "./limits.ts";
import { encodePlanes } from "./planes/body.ts";
import type { Kernels } from "./planes/kernels.ts";
import { type Plan, planBlocks, probedLayouts, probePieces } from "./planes/plan.ts";
import type { Primitives } from "./primitives.ts";

/** What a codec must save, or the bytes are stored as they are and decode for nothing. */
const zstdWorthwhile = 0.99;
const worthwhile = 0.985;
/** Noise has no piece below this; a little text in it has, and zstd makes three times as much of that. */
const noiseShare = 0.997;
/** What planes must save against zstd: zstd is what every tool reads. */
const planesWorthwhile = 0.99;
/** Where a sample says less than this difference, it settles nothing. */
const clearly = 0.97;
/** More repeats than these, and only the whole tells what zstd makes of them. */
const fewRepeats = 8;
const repeatedShare = 0.01;
const runBytes = 32 * 1024;
const maxRuns = 8;
/** Below this the sample would be the whole. */
const minBytesToSample = 256 * 1024;
const minZstdBytes = 64;
const minPlanesBytes = 2048;

/** What the frame of `plain`, which is not empty, holds after its head: maybe `plain` itself. Valid until the next call. */
export async function chooseBody(
  plain: Uint8Array,
  primitives: Primitives,
  level: number,
  kernels: Kernels,
): Promise<{ codec: number; body: Uint8Array }> {
  if (isAllZero(plain)) return { codec: codecs.zero, body: new Uint8Array(0) };
  const raw = () => ({ codec: codecs.raw, body: plain });
  const withZstd = async () => {
    const body = await primitives.zstdCompress(plain, level);
    return body.length < plain.length * zstdWorthwhile ? { codec: codecs.zstd, body } : raw();
  };
  if (plain.length < minZstdBytes) return raw();
  if (plain.length < minPlanesBytes) return withZstd();

  const sample = plain.length < minBytesToSample ? null : await trySample(plain, primitives, level, kernels);
  if (sample?.zstdWins) return withZstd();
  const plan = planBlocks(plain.length, probePieces(plain, kernels));
  const repeats = hasRepeats(kernels);
  if (plan.estimatedBytes >= plain.length * worthwhile) {
    const isNoise = sample?.nothingWins && !repeats && plan.estimatedBytes >= plain.length * noiseShare;
    return isNoise ? raw() : withZstd();
  }
  if (sample && plan.estimatedBytes > plain.length * sample.zstdShare) return withZstd();

  const body = encodeWith(plan, plain, kernels);
  const planes = { codec: codecs.planes, body };
  const isGood = body.length < plain.length * worthwhile;
  if (isGood && !repeats && sample?.planesWin && body.length < plain.length * sample.zstdShare * clearly) return planes;
  const other = await withZstd();
  return isGood && body.length < other.body.length * planesWorthwhile ? planes : other;
}

/** Whether `probePieces` saw more repeats than a sample can speak for. */
export function hasRepeats({ repeatCounts: [looked, again] }: Kernels): boolean {
  return again! > Math.max(fewRepeats, looked! * repeatedShare);
}

/** One for all, since fresh memory is set to zero first. Pages of it that are never written cost nothing. */
let writer: ByteWriter | undefined;

function encodeWith(plan: Plan, plain: Uint8Array, kernels: Kernels): Uint8Array {
  writer ??= new ByteWriter(limits.chunkBytes + (limits.chunkBytes >> 4));
  writer.clear();
  encodePlanes(writer, plain, plan, kernels);
  return writer.view();
}

interface Sample {
  /** Of the sampled bytes. */
  zstdShare: number;
  /** In each run, clearly. */
  zstdWins: boolean;
  planesWin: boolean;
  nothingWins: boolean;
}

/** The middle of each of some equal parts, at a place where a piece begins. `plain` is longer than all of them. */
function sampleRuns(plain: Uint8Array): Uint8Array[] {
  const runs = Math.min(maxRuns, Math.max(2, plain.length >> 20));
  return Array.from({ length: runs }, (_, run) => {
    const from = Math.floor(((run + 0.5) * plain.length) / runs - runBytes / 2) & ~7;
    return plain.subarray(from, from + runBytes);
  });
}

/** What zstd makes of all of `plain`, as far as a sample tells. */
export async function estimateZstd(plain: Uint8Array, primitives: Primitives, level: number): Promise<number> {
  const sampled = plain.length < minBytesToSample ? [plain] : sampleRuns(plain);
  let from = 0;
  let to = 0;
  for (const bytes of sampled) {
    from += bytes.length;
    to += (await primitives.zstdCompress(bytes, level)).length;
  }
  return (plain.length * to) / from;
}

async function trySample(plain: Uint8Array, primitives: Primitives, level: number, kernels: Kernels): Promise<Sample> {
  const sampled = sampleRuns(plain);
  const runs = sampled.length;
  const planes = sampled.map((bytes) => estimatePlanes(bytes, kernels));
  const zstd = await Promise.all(sampled.map(async (bytes) => (await primitives.zstdCompress(bytes, level)).length));
  const every = (holds: (planes: number, zstd: number) => boolean) =>
    planes.every((bytes, run) => holds(bytes, zstd[run]!));
  return {
    zstdShare: zstd.reduce((sum, bytes) => sum + bytes) / (runs * runBytes),
    zstdWins: every((p, z) => z < p * clearly),
    planesWin: every((p, z) => p < z * clearly),
    nothingWins: every((p, z) => p >= runBytes * worthwhile && z >= runBytes * worthwhile),
  };
}

/** In bytes, each piece under its best layout. */
function estimatePlanes(bytes: Uint8Array, kernels: Kernels): number {
  const costs = probePieces(bytes, kernels);
  let bits = 0;
  for (let from = 0; from < costs.length; from += probedLayouts.length) {
    bits += Math.min(...costs.subarray(from, from + probedLayouts.length));
  }
  return bits / 8;
}
