/** A coder thread: takes one task after another until it is ended. It holds no state of its own between tasks. */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { ByteWriter, equalBytes, isAllZero } from "../../core/snapshot/bytes.ts";
import { encodeFrameAgainst, encodeFrameInPlace } from "../../core/snapshot/codec.ts";
import { damaged } from "../../core/snapshot/error.ts";
import { decodePart, encodeFrames, openFrame } from "../../core/snapshot/part.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";
import {
  type AnswerOf,
  type CheckAnswer,
  type CheckTask,
  type CoderData,
  type CoderRequest,
  type CoderResponse,
  type CoderTask,
  type EncodeAnswer,
  type EncodeTask,
  packError,
  threadLoaded,
  type VerifyAnswer,
  type VerifyTask,
} from "./coder-tasks.ts";
import { Keyring } from "./keyring.ts";
import { makeSyncPrimitives, sha256Hex } from "./primitives.ts";
import { openBases, readReference } from "./reference.ts";
import { writeFrames } from "./restore-write.ts";
import { Stop } from "./stop.ts";

const { isBackground, dataKey } = workerData as CoderData;
const { cipher, idOf } = new Keyring(dataKey);
const { primitives: keyless, release, keep } = makeSyncPrimitives();
const primitives: Primitives = { ...keyless, chunkId: idOf };

async function encode({ buffer, plainBytes, level, against }: EncodeTask): Promise<EncodeAnswer> {
  const room = new Uint8Array(buffer);
  const plain = room.subarray(0, plainBytes);
  const reference = against && !isAllZero(plain) ? readReference(against.root, against.bases, plainBytes, idOf) : null;
  if (!reference) {
    const { storedBytes, made } = await encodeFrameInPlace(room, plainBytes, primitives, level);
    // Given back at once, as everything of this size: a thread makes more than the garbage collector notices in time.
    (made?.buffer as ArrayBuffer | undefined)?.transfer(0);
    return { buffer, storedBytes, bases: [] };
  }
  const { frame, bases } = await encodeFrameAgainst(plain, against!.bases, reference, primitives, level);
  room.set(frame);
  const storedBytes = frame.length;
  (frame.buffer as ArrayBuffer).transfer(0);
  (reference.buffer as ArrayBuffer).transfer(0);
  return { buffer, storedBytes, bases };
}

async function verify({ bytes, key, frames }: VerifyTask): Promise<VerifyAnswer> {
  if (sha256Hex(bytes) !== key)
    throw new Stop("part_damaged", `The part ${key} does not have the bytes of its name.`, false);
  const { table, open } = await decodePart(bytes, primitives, cipher);
  if (frames) {
    const own = new ByteWriter(frames.length + 16);
    encodeFrames(own, table.frames);
    if (!equalBytes(own.view(), frames)) throw damaged(`a segment describes the part ${key} wrongly`);
  }
  let plainBytes = 0;
  let hasBases = false;
  for (const [n, frame] of table.frames.entries()) {
    if (frames && frame.bases.length > 0) {
      hasBases = true;
      continue;
    }
    const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
    await openFrame(stored, frame, primitives, n, cipher ? (i, piece) => keep(open(i, piece)) : open);
    release();
    plainBytes += frame.plainBytes;
  }
  return { plainBytes, rest: hasBases ? bytes : null };
}

async function check({ bytes, frame, baseFrames }: CheckTask): Promise<CheckAnswer> {
  const stored = bytes.subarray(frame.offset, frame.offset + frame.storedBytes);
  await openFrame(stored, frame, primitives, 0, undefined, await openBases(bytes, baseFrames, primitives));
  return { plainBytes: frame.plainBytes };
}

async function perform(task: CoderTask) {
  switch (task.kind) {
    case "encode":
      return encode(task);
    case "verify":
      return verify(task);
    case "check":
      return check(task);
    case "write":
      return writeFrames(task, { primitives, cipher, keep, release });
  }
}

async function respond({ n, task }: CoderRequest): Promise<void> {
  let response: CoderResponse;
  try {
    response = { n, ok: true, answer: await perform(task) };
  } catch (error) {
    response = { n, ok: false, error: packError(error) };
  }
  release();
  const given = response.ok ? givenBack(response.answer) : null;
  if (!given) (task.kind === "encode" ? task.buffer : (task.bytes.buffer as ArrayBuffer)).transfer(0);
  parentPort!.postMessage(response, given ? [given] : []);
}

function givenBack(answer: AnswerOf<CoderTask>): ArrayBuffer | null {
  if ("buffer" in answer) return answer.buffer;
  return "rest" in answer && answer.rest ? (answer.rest.buffer as ArrayBuffer) : null;
}

/** For this thread alone: Linux keeps a priority for each. */
function beNice(): void {
  const tid = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  if (tid > 0) setPriority(tid, 19);
}

try {
  if (isBackground) beNice();
} catch {
  // No /proc, or not allowed: it works at the usual priority.
}
parentPort!.on("message", (request: CoderRequest) => void respond(request));
parentPort!.postMessage(threadLoaded);
