/**
 * What a verify asks of a part's bytes: that they are those of its name, that its table is what a segment says, and with
 * `isDeep` that every frame decodes to the chunks of its ids. The same for a coder thread and for the main one.
 */
import { ByteWriter, equalBytes } from "../../core/snapshot/bytes.ts";
import type { SnapshotCipher } from "../../core/snapshot/cipher.ts";
import { damaged } from "../../core/snapshot/error.ts";
import { encodeFrames } from "../../core/snapshot/frame-table.ts";
import { openFrame } from "../../core/snapshot/open-frame.ts";
import { decodePart } from "../../core/snapshot/part.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";
import type { CheckAnswer, CheckTask, VerifyAnswer, VerifyTask } from "./coder-tasks.ts";
import { sha256Hex } from "./primitives.ts";
import { openBases } from "./reference.ts";
import { Stop } from "./stop.ts";

export interface CheckTools {
  primitives: Primitives;
  cipher: SnapshotCipher | null;
  /** The memory of all that was decoded may go. */
  release: () => void;
  /** Has the memory of these bytes go with it. */
  keep: <Bytes extends Uint8Array>(bytes: Bytes) => Bytes;
  /** Where a frame may be decoded: at least so long, and nobody else's until its chunks are checked. */
  room: (length: number) => Uint8Array;
}

/** Errors: Stop `part_damaged` for other bytes than its name's, FormatError for wrong ones that have it. */
export async function checkPart(
  { bytes, key, frames, isDeep, isWanted }: Omit<VerifyTask, "kind">,
  { primitives, cipher, release, keep, room }: CheckTools,
): Promise<VerifyAnswer> {
  if (sha256Hex(bytes) !== key) throw partDamaged(key);
  const { table, open } = await decodePart(bytes, primitives, cipher);
  const own = new ByteWriter(frames.length + 16);
  encodeFrames(own, table.frames);
  if (!equalBytes(own.view(), frames)) throw damaged(`a segment describes the part ${key} wrongly`);
  for (const [n, frame] of isDeep ? table.frames.entries() : []) {
    if (frame.bases.length > 0) continue;
    const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
    const opener = cipher ? (i: number, piece: Uint8Array) => keep(open(i, piece)) : open;
    await openFrame(stored, frame, primitives, n, opener, undefined, room(frame.plainBytes));
    release();
  }
  return { rest: isWanted ? bytes : null };
}

/** One frame with bases. Errors: FormatError. */
export async function checkBased(
  { bytes, frame, baseFrames }: Omit<CheckTask, "kind">,
  { primitives, keep, room }: CheckTools,
): Promise<CheckAnswer> {
  const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
  const readBase = await openBases(bytes, baseFrames, primitives, (length) => keep(new Uint8Array(length)));
  await openFrame(stored, frame, primitives, 0, undefined, readBase, room(frame.plainBytes));
  return {};
}

export function partDamaged(key: string): Stop {
  return new Stop("part_damaged", `The part ${key} does not have the bytes of its name.`, false);
}
