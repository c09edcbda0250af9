/** A coder thread: takes one task after another until it is ended. It holds no state of its own between tasks. */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { ByteWriter, equalBytes, isAllZero } from "../../core/snapshot/bytes.ts";
import { encodeFrame, encodeFrameAgainst } from "../../core/snapshot/codec.ts";
import { damaged } from "../../core/snapshot/error.ts";
import { decodePart, encodeFrames, openFrame } from "../../core/snapshot/part.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";
import {
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

let kept = new Uint8Array(0);

function room(plainBytes: number): Uint8Array {
  if (kept.length < plainBytes) kept = new Uint8Array(plainBytes);
  return kept;
}

async function encode({ buffer, plainBytes, level, against }: EncodeTask): Promise<EncodeAnswer> {
  const plain = new Uint8Array(buffer, 0, plainBytes);
  const reference = against && !isAllZero(plain) ? readReference(against.root, against.bases, plainBytes, idOf) : null;
  const { frame, bases } = reference
    ? await encodeFrameAgainst(plain, against!.bases, reference, primitives, level)
    : { frame: await encodeFrame(plain, primitives, level), bases: [] };
  new Uint8Array(buffer).set(frame);
  const storedBytes = frame.length;
  // Given back at once, as everything of this size: a thread makes more than the garbage collector notices in time.
  if (frame.buffer instanceof ArrayBuffer) frame.buffer.transfer(0);
  if (reference) (reference.buffer as ArrayBuffer).transfer(0);
  return { storedBytes, bases };
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
      return writeFrames(task, { primitives, cipher, keep, release, room });
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
  const rest = response.ok && "rest" in response.answer ? response.answer.rest : null;
  if (task.kind !== "encode" && !rest) (task.bytes.buffer as ArrayBuffer).transfer(0);
  parentPort!.postMessage(response, rest ? [rest.buffer as ArrayBuffer] : []);
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
