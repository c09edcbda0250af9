/** One part at a restore: the whole object, or only ranges of it where little of it is needed. */
import { decodeFrame } from "../../core/snapshot/codec.ts";
import { FormatError } from "../../core/snapshot/error.ts";
import { checkChunk, type FrameInfo } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { partObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import type { Breather } from "./breather.ts";
import type { Gate } from "./in-flight.ts";
import { nodePrimitives } from "./primitives.ts";
import { Stop } from "./stop.ts";

export interface PartInput {
  store: SnapshotStore;
  id: string;
  part: IndexedPart;
  wanted: { has(id: string): boolean };
  decoding: Gate;
  breather: Breather;
  signal?: AbortSignal | undefined;
}

/** Below this share of needed bytes, ranges are asked for. */
const wholeShare = 0.4;
/** Two ranges this near are one. */
const gapBytes = 256 * 1024;

/**
 * Gives every wanted chunk of the part, checked against its id (so the part's own hash is not computed). `bytes` are
 * valid until the returned promise resolves. Errors: FormatError or Stop when the bytes stay wrong after a second reading.
 */
export async function openPartFrames(
  input: PartInput,
  onChunk: (id: string, bytes: Uint8Array) => Promise<void>,
  onReceived: (bytes: number) => void,
): Promise<void> {
  const { part, wanted } = input;
  const frames = part.frames.filter((frame) => frame.chunks.some((chunk) => wanted.has(chunk.id)));
  const needed = frames.reduce((sum, frame) => sum + frame.storedBytes, 0);
  const isWhole = needed >= part.bytes * wholeShare;
  for (const run of isWhole ? [frames] : groupFrames(frames)) {
    for (let attempt = 1; ; attempt++) {
      const { bytes, base } = await readRun(input, run, isWhole);
      onReceived(bytes.length);
      try {
        for (const frame of run) await openOne(input, frame, bytes, base, onChunk);
        break;
      } catch (error) {
        if (!(error instanceof FormatError) || attempt === 2) throw error;
      }
    }
  }
}

async function readRun(
  input: PartInput,
  run: FrameInfo[],
  isWhole: boolean,
): Promise<{ bytes: Uint8Array; base: number }> {
  const { store, id, part, signal } = input;
  const base = isWhole ? 0 : run[0]!.offset;
  const range = isWhole ? undefined : { offset: base, length: run.at(-1)!.offset + run.at(-1)!.storedBytes - base };
  try {
    return { bytes: await store.get(partObjectKey(id, part.key), range, { signal }), base };
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "object_not_found") throw error;
    throw new Stop("part_missing", `The store has lost the part ${part.key}.`, false);
  }
}

async function openOne(
  input: PartInput,
  frame: FrameInfo,
  bytes: Uint8Array,
  base: number,
  onChunk: (id: string, bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const { wanted, breather } = input;
  await input.decoding.run(async () => {
    const from = frame.offset - base;
    const plain = await decodeFrame(bytes.subarray(from, from + frame.storedBytes), frame.plainBytes, nodePrimitives);
    let at = 0;
    for (const { id, plainBytes } of frame.chunks) {
      const chunk = plain.subarray(at, at + plainBytes);
      at += plainBytes;
      if (!wanted.has(id)) continue;
      if (breather.due) await breather.rest();
      checkChunk(chunk, id, nodePrimitives);
      await onChunk(id, chunk);
    }
  });
}

function groupFrames(frames: FrameInfo[]): FrameInfo[][] {
  const runs: FrameInfo[][] = [];
  for (const frame of frames) {
    const last = runs.at(-1)?.at(-1);
    if (last && frame.offset - (last.offset + last.storedBytes) <= gapBytes) runs.at(-1)!.push(frame);
    else runs.push([frame]);
  }
  return runs;
}
