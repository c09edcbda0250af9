/** One part at a restore: the whole object, or only ranges of it where little of it is needed. */
import { type FrameInfo, openFrame } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { partObjectKey, type SnapshotStore } from "../../core/snapshot/store.ts";
import { FormatError } from "../../core/snapshot/error.ts";
import type { Gate } from "./in-flight.ts";
import { fetchPart } from "./meta.ts";
import { nodePrimitives } from "./primitives.ts";

export interface PartInput {
  store: SnapshotStore;
  id: string;
  part: IndexedPart;
  wanted: { has(id: string): boolean };
  decoding: Gate;
  signal?: AbortSignal | undefined;
}

/** Below this share of needed bytes, ranges are asked for. */
const wholeShare = 0.4;
/** Two ranges this near are one. */
const gapBytes = 256 * 1024;

/**
 * Gives every chunk of the frames that hold a wanted one, each checked against its id. `bytes` are valid until the
 * returned promise resolves. Errors: FormatError or Stop when the bytes stay wrong after a second reading.
 */
export async function openPartFrames(
  input: PartInput,
  onChunk: (id: string, bytes: Uint8Array) => Promise<void>,
  onReceived: (bytes: number) => void,
): Promise<void> {
  const { part, wanted } = input;
  const frames = part.frames.filter((frame) => frame.chunks.some((chunk) => wanted.has(chunk.id)));
  const needed = frames.reduce((sum, frame) => sum + frame.storedBytes, 0);
  for (const run of needed < part.bytes * wholeShare ? groupFrames(frames) : [null]) {
    if (run) {
      await readRun(input, run, onChunk, onReceived);
      continue;
    }
    const bytes = await fetchPart(input.store, input.id, part.key, part.bytes, input.signal);
    onReceived(bytes.length);
    for (const frame of frames) await openOne(input, frame, bytes, 0, onChunk);
  }
}

async function readRun(
  input: PartInput,
  run: FrameInfo[],
  onChunk: (id: string, bytes: Uint8Array) => Promise<void>,
  onReceived: (bytes: number) => void,
): Promise<void> {
  const { store, id, part, signal } = input;
  const from = run[0]!.offset;
  const to = run.at(-1)!.offset + run.at(-1)!.storedBytes;
  for (let attempt = 1; ; attempt++) {
    const bytes = await store.get(partObjectKey(id, part.key), { offset: from, length: to - from }, { signal });
    onReceived(bytes.length);
    try {
      for (const frame of run) await openOne(input, frame, bytes, from, onChunk);
      return;
    } catch (error) {
      if (!(error instanceof FormatError) || attempt === 2) throw error;
    }
  }
}

async function openOne(input: PartInput, frame: FrameInfo, bytes: Uint8Array, base: number, onChunk: (id: string, bytes: Uint8Array) => Promise<void>): Promise<void> {
  await input.decoding.run(async () => {
    const from = frame.offset - base;
    const chunks = await openFrame(bytes.subarray(from, from + frame.storedBytes), frame, nodePrimitives);
    for (const [i, chunk] of frame.chunks.entries()) await onChunk(chunk.id, chunks[i]!);
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
