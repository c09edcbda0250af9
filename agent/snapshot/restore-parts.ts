/** One part at a restore: the whole object, or only ranges of it where little of it is needed. */
import { type FrameInfo, headerBytes } from "../../core/snapshot/frame-table.ts";
import type { IndexedPart } from "../../core/snapshot/segment.ts";
import { partObjectKey, type SnapshotStore, StoreError } from "../../core/snapshot/store.ts";
import type { CoderPool } from "./coder-pool.ts";
import type { WriteChunk, WriteFrame } from "./coder-tasks.ts";
import type { PartNeeds } from "./part-needs.ts";
import type { PartRooms } from "./part-rooms.ts";
import type { FileWriter, Target } from "./restore-files.ts";
import { Stop } from "./stop.ts";

export interface PartInput {
  store: SnapshotStore;
  id: string;
  part: IndexedPart;
  /** What each chunk is for; those that are in place are taken out. */
  needs: PartNeeds;
  writer: FileWriter;
  coders: CoderPool;
  rooms: PartRooms;
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
/** Places that one message to a coder thread names: a part of tiny files has a hundred thousand, and more memory than its bytes. */
const mostTargets = 1024;
/** Two ranges this near are one. */
const gapBytes = 256 * 1024;

export type OnWritten = (targets: Target[]) => Promise<void>;

/**
 * Brings every wanted chunk of the part to its places, checked against its id (so the part's own hash is not computed).
 * What is damaged is read once more; what stays so is left in `needs`. `onWritten` is told the places.
 */
export async function writePart(
  input: PartInput,
  onReceived: (bytes: number) => void,
  onWritten: OnWritten,
): Promise<void> {
  const { part, needs } = input;
  const frames = part.frames.filter((frame) => frame.bases.length === 0 && frame.chunks.someId((id) => needs.has(id)));
  const needed = frames.reduce((sum, frame) => sum + frame.storedBytes, 0);
  const isWhole = !input.isInPieces && needed >= part.bytes * wholeShare;
  for (const run of isWhole ? [frames] : groupFrames(frames)) {
    const isOpen = await writeRun(input, run, isWhole, onReceived, onWritten);
    if (isOpen) await writeRun(input, run, isWhole, onReceived, onWritten);
  }
}

/** Whether a chunk was damaged. */
async function writeRun(
  input: PartInput,
  run: FrameInfo[],
  isWhole: boolean,
  onReceived: (bytes: number) => void,
  onWritten: OnWritten,
): Promise<boolean> {
  const { store, id, part, needs, coders, rooms, isEncrypted, root, deleteExtras, signal } = input;
  const base = isWhole ? 0 : run[0]!.offset;
  const range = isWhole ? undefined : { offset: base, length: run.at(-1)!.offset + run.at(-1)!.storedBytes - base };
  const key = partObjectKey(id, part.key);
  let bytes: Uint8Array;
  let header: Uint8Array | null = null;
  try {
    bytes = await store.get(key, range, { signal, room: isWhole ? rooms.take : undefined });
    // The salt lies in the header: another small read where only a range is wanted.
    const front = { offset: 0, length: headerBytes };
    if (isEncrypted) header = isWhole ? bytes.slice(0, headerBytes) : await store.get(key, front, { signal });
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== "object_not_found") throw error;
    throw new Stop("part_missing", `The store has lost the part ${part.key}.`, false);
  }
  onReceived(bytes.length);
  const damaged = new Set<string>();
  // Each group's thread gives them back for the next one: never two copies of a part.
  bytes = rooms.own(bytes);
  for (const { frames, targets, ended } of groupsOf(input, run)) {
    const moved = frames.map((frame) => ({ ...frame, offset: frame.offset - base }));
    const task = { bytes, header, root, deleteExtras, frames: moved, isWanted: true };
    const answer = await coders.run({ kind: "write", ...task });
    bytes = answer.rest!;
    for (const chunk of answer.damaged) damaged.add(chunk);
    await onWritten(targets.filter((target) => !damaged.has(target.id)));
    for (const chunk of ended) if (!damaged.has(chunk)) needs.finish(chunk);
  }
  rooms.give(bytes);
  return damaged.size > 0;
}

interface Group {
  /** Offsets are those of the part. */
  frames: WriteFrame[];
  targets: Target[];
  /** Chunks of which no later group has a place. */
  ended: string[];
}

/** The first place of each wanted chunk. Many places of one frame are in several groups, each of which decodes it. */
function* groupsOf({ part, needs, writer }: PartInput, run: FrameInfo[]): Generator<Group, void> {
  const numbers = new Map(part.frames.map((frame, n) => [frame, n]));
  const seen = new Set<string>();
  const newGroup = (): Group => ({ frames: [], targets: [], ended: [] });
  let group = newGroup();
  for (const info of run) {
    const { offset, storedBytes, plainBytes, chunks } = info;
    let frame: WriteFrame | null = null;
    let at = 0;
    for (const { id, plainBytes: chunkBytes } of chunks) {
      let open: WriteChunk | null = null;
      for (const target of seen.has(id) ? [] : needs.targets(id)) {
        if (group.targets.length >= mostTargets) {
          yield group;
          group = newGroup();
          frame = open = null;
        }
        if (!frame) {
          frame = { n: numbers.get(info)!, offset, storedBytes, plainBytes, chunks: [] };
          group.frames.push(frame);
        }
        if (!open) {
          open = { id, at, plainBytes: chunkBytes, targets: [] };
          frame.chunks.push(open);
        }
        open.targets.push(writer.target(target));
        group.targets.push(target);
      }
      if (open) {
        seen.add(id);
        group.ended.push(id);
      }
      at += chunkBytes;
    }
  }
  if (group.targets.length > 0) yield group;
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
