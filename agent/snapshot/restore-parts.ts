/** One part at a restore: the whole object, or only ranges of it where little of it is needed. */
import { type FrameInfo, headerBytes } from "../../core/snapshot/part.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { partObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import { type CoderPool, ownBytes } from "./coder-pool.ts";
import type { WriteFrame, WriteTarget } from "./coder-tasks.ts";
import { Stop } from "./stop.ts";

export interface PartInput {
  store: SnapshotStore;
  id: string;
  part: IndexedPart;
  /** What each chunk is for. */
  wanted: Map<string, WriteTarget[]>;
  coders: CoderPool;
  isEncrypted: boolean;
  /** A byte string, symlinks resolved. */
  root: string;
  deleteExtras: boolean;
  /** The rest of the part is fetched at another time. */
  isInPieces?: boolean;
  signal?: AbortSignal | undefined;
}

/** Below this share of needed bytes, ranges are asked for. */
const wholeShare = 0.4;
/** Places that one message to a coder thread names, about. */
const mostTargets = 4096;
/** Two ranges this near are one. */
const gapBytes = 256 * 1024;

/**
 * Brings every wanted chunk of the part to its places, checked against its id (so the part's own hash is not computed).
 * What is damaged is read once more. `onWritten` is told the ids; returns those that stay damaged.
 */
export async function writePart(
  input: PartInput,
  onReceived: (bytes: number) => void,
  onWritten: (ids: string[]) => Promise<void>,
): Promise<string[]> {
  const { part, wanted } = input;
  const frames = part.frames.filter(
    (frame) => frame.bases.length === 0 && frame.chunks.some((chunk) => wanted.has(chunk.id)),
  );
  const needed = frames.reduce((sum, frame) => sum + frame.storedBytes, 0);
  const isWhole = !input.isInPieces && needed >= part.bytes * wholeShare;
  const lost: string[] = [];
  for (const run of isWhole ? [frames] : groupFrames(frames)) {
    let left = toWriteFrames(part, run, wanted, null);
    for (let attempt = 1; left.length > 0; attempt++) {
      const damaged = await writeRun(input, run, isWhole, left, onReceived, onWritten);
      if (attempt === 2) lost.push(...damaged);
      left = attempt === 1 ? toWriteFrames(part, run, wanted, damaged) : [];
    }
  }
  return lost;
}

/** Returns the ids of damaged chunks. */
async function writeRun(
  input: PartInput,
  run: FrameInfo[],
  isWhole: boolean,
  frames: WriteFrame[],
  onReceived: (bytes: number) => void,
  onWritten: (ids: string[]) => Promise<void>,
): Promise<Set<string>> {
  const { store, id, part, coders, isEncrypted, root, deleteExtras, signal } = input;
  const base = isWhole ? 0 : run[0]!.offset;
  const range = isWhole ? undefined : { offset: base, length: run.at(-1)!.offset + run.at(-1)!.storedBytes - base };
  const key = partObjectKey(id, part.key);
  let bytes: Uint8Array;
  let header: Uint8Array | null = null;
  try {
    bytes = await store.get(key, range, { signal });
    // The salt lies in the header: another small read where only a range is wanted.
    const front = { offset: 0, length: headerBytes };
    if (isEncrypted) header = isWhole ? bytes.slice(0, headerBytes) : await store.get(key, front, { signal });
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "object_not_found") throw error;
    throw new Stop("part_missing", `The store has lost the part ${part.key}.`, false);
  }
  onReceived(bytes.length);
  const damaged = new Set<string>();
  const tasks = groupByTargets(frames);
  for (const group of tasks) {
    const from = tasks.length === 1 ? 0 : group[0]!.offset - base;
    const last = group.at(-1)!;
    const piece = bytes.subarray(from, tasks.length === 1 ? bytes.length : last.offset - base + last.storedBytes);
    const own = ownBytes(piece);
    const moved = group.map((frame) => ({ ...frame, offset: frame.offset - base - from }));
    const answer = await coders.run({ kind: "write", bytes: own, header, root, deleteExtras, frames: moved });
    for (const chunk of answer.damaged) damaged.add(chunk);
    await onWritten(group.flatMap((frame) => frame.chunks.map((chunk) => chunk.id)).filter((one) => !damaged.has(one)));
  }
  return damaged;
}

/** A part of tiny files names a hundred thousand places; in one message they would take more memory than the part. */
function groupByTargets(frames: WriteFrame[]): WriteFrame[][] {
  const groups: WriteFrame[][] = [];
  let targets = mostTargets;
  for (const frame of frames) {
    if (targets >= mostTargets) {
      groups.push([]);
      targets = 0;
    }
    groups.at(-1)!.push(frame);
    for (const chunk of frame.chunks) targets += chunk.targets.length;
  }
  return groups;
}

/** The first place of each wanted chunk; with `only`, of those among them. Offsets are those of the part. */
function toWriteFrames(
  part: IndexedPart,
  run: FrameInfo[],
  wanted: Map<string, WriteTarget[]>,
  only: Set<string> | null,
): WriteFrame[] {
  const numbers = new Map(part.frames.map((frame, n) => [frame, n]));
  const seen = new Set<string>();
  const frames: WriteFrame[] = [];
  for (const info of run) {
    const { offset, storedBytes, plainBytes, chunks } = info;
    const frame: WriteFrame = { n: numbers.get(info)!, offset, storedBytes, plainBytes, chunks: [] };
    let at = 0;
    for (const chunk of chunks) {
      const targets = wanted.get(chunk.id);
      if (targets && !seen.has(chunk.id) && (only?.has(chunk.id) ?? true))
        frame.chunks.push({ id: chunk.id, at, plainBytes: chunk.plainBytes, targets });
      if (targets) seen.add(chunk.id);
      at += chunk.plainBytes;
    }
    if (frame.chunks.length > 0) frames.push(frame);
  }
  return frames;
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
