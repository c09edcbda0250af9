/**
 * The second wave of a restore: frames with bases. Their reference is read back from the folder, where the first wave has
 * put nearly all of it; only what is not there (a sibling that the snapshot does not hold) is fetched from the store.
 */
import { FormatError } from "../../core/snapshot/error.ts";
import { type FrameInfo, headerBytes, type LooseFrame } from "../../core/snapshot/frame-table.ts";
import type { Entry } from "../../core/snapshot/tree.ts";
import { type BaseFrames, getRange } from "./base-frames.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { ownBytes } from "./coder-pool.ts";
import type { WriteAnswer, WriteFrame } from "./coder-tasks.ts";
import type { ChunkPlace } from "./reference.ts";
import type { OnWritten, PartInput } from "./restore-parts.ts";
import { Stop } from "./stop.ts";

/** Stored bytes that are fetched and given to a thread at once. */
const runBytes = 8 * 1024 * 1024;
/** Two frames this near are fetched together. */
const gapBytes = 256 * 1024;
/** Files in which one base is looked for. */
const maxPlaces = 4;

export interface BasedInput extends PartInput {
  index: ChunkIndex;
  baseFrames: BaseFrames;
  /** Where in the folder the chunks of bases lie once the first wave is done. */
  places: ReadonlyMap<string, ChunkPlace[]>;
}

/** `wanted`: ids of chunks with bases. `pathsOf`: where a file is or may be while it is restored. */
export function placesOfBases(
  index: ChunkIndex,
  wanted: Iterable<string>,
  entries: Iterable<Entry>,
  pathsOf: (path: string) => string[],
): Map<string, ChunkPlace[]> {
  const places = new Map<string, ChunkPlace[]>();
  for (const id of wanted) for (const base of index.frameOf(id)!.bases) places.set(base, []);
  for (const entry of entries) {
    if (entry.type !== "f") continue;
    let offset = 0;
    for (const { id, plainBytes } of entry.chunks) {
      const known = places.get(id);
      if (known && known.length < maxPlaces) {
        for (const path of pathsOf(entry.path)) known.push({ path, offset });
      }
      offset += plainBytes;
    }
  }
  return places;
}

/** As `writePart`, for the chunks of the part that are stored with bases. */
export async function writeBasedPart(
  input: BasedInput,
  onReceived: (bytes: number) => void,
  onWritten: OnWritten,
): Promise<void> {
  const { part, needs, index, store, id, isEncrypted, signal } = input;
  const frames = part.frames.filter(
    (frame) => needs.has(frame.chunks.idAt(0)) && index.frameOf(frame.chunks.idAt(0)) === frame,
  );
  const front = { offset: 0, length: headerBytes };
  const header = isEncrypted ? await getRange(store, id, part.key, front, signal) : null;
  const finish = async (chunk: string) => {
    await onWritten([...needs.targets(chunk)]);
    needs.finish(chunk);
  };
  for (const run of groupFrames(frames)) {
    const from = run[0]!.offset;
    const length = run.at(-1)!.offset + run.at(-1)!.storedBytes - from;
    const bytes = ownBytes(await getRange(store, id, part.key, { offset: from, length }, signal));
    onReceived(length);
    const moved = run.map((frame) => toWriteFrame(input, frame, { ...frame, offset: frame.offset - from }, []));
    const answer = await write(input, bytes, header, moved);
    const open = new Set([...answer.lacking, ...answer.damaged]);
    for (const frame of run) {
      const chunk = frame.chunks.idAt(0);
      const isWritten =
        !open.has(chunk) || (await writeOne(input, frame, false)) || (await writeOne(input, frame, true));
      if (isWritten) await finish(chunk);
    }
  }
}

/** One frame with those of its bases, all from the store. False when its bytes are damaged. */
async function writeOne(input: BasedInput, info: FrameInfo, isFresh: boolean): Promise<boolean> {
  const { part, baseFrames } = input;
  try {
    const joined = await baseFrames.join(info, await baseFrames.read(part, info), isFresh);
    const frame = toWriteFrame(input, info, joined.frame, joined.baseFrames);
    const answer = await write(input, joined.bytes, null, [frame]);
    return answer.damaged.length === 0;
  } catch (error) {
    const isLost = error instanceof Stop && error.code === "part_missing";
    if (isLost || (error instanceof FormatError && error.code === "snapshot_damaged")) return false;
    throw error;
  }
}

function write(
  { coders, root, deleteExtras }: BasedInput,
  bytes: Uint8Array,
  header: Uint8Array | null,
  frames: WriteFrame[],
): Promise<WriteAnswer> {
  return coders.run({ kind: "write", bytes, header, root, deleteExtras, frames, isWanted: false });
}

/** `info`: as the index has it; then as it lies in the task's bytes. */
function toWriteFrame(
  { part, needs, writer, index, places }: BasedInput,
  info: FrameInfo,
  { offset, storedBytes }: Pick<FrameInfo, "offset" | "storedBytes">,
  baseFrames: LooseFrame[],
): WriteFrame {
  const { plainBytes, bases, chunks } = info;
  const { id, plainBytes: chunkBytes } = chunks.at(0);
  return {
    n: part.frames.indexOf(info),
    offset,
    storedBytes,
    plainBytes,
    chunks: [{ id, at: 0, plainBytes: chunkBytes, targets: [...needs.targets(id)].map((one) => writer.target(one)) }],
    based: {
      bases,
      frames: baseFrames,
      placed: baseFrames.length > 0 ? [] : [...new Set(bases)].map((base) => placedBase(index, places, base)),
    },
  };
}

function placedBase(index: ChunkIndex, places: ReadonlyMap<string, ChunkPlace[]>, id: string) {
  return { id, plainBytes: index.plainBytesOf(id)!, places: places.get(id) ?? [] };
}

function groupFrames(frames: FrameInfo[]): FrameInfo[][] {
  const runs: FrameInfo[][] = [];
  for (const frame of frames) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const isNear = last && frame.offset - (last.offset + last.storedBytes) <= gapBytes;
    if (run && isNear && frame.offset + frame.storedBytes - run[0]!.offset <= runBytes) run.push(frame);
    else runs.push([frame]);
  }
  return runs;
}
