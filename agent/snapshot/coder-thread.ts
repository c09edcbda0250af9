/** A coder thread: takes one task after another until it is ended. It holds no state of its own between tasks. */
import { readlinkSync } from "node:fs";
import { setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { isAllZero } from "../../core/snapshot/bytes.ts";
import { encodeFrameAgainst, encodeFrameInPlace } from "../../core/snapshot/codec.ts";
import { useCopy } from "../../core/snapshot/kernels/instance.ts";
import { limits } from "../../core/snapshot/limits.ts";
import type { Primitives } from "../../core/snapshot/primitives.ts";
import { type CheckTools, checkBased, checkPart } from "./check-part.ts";
import {
  type CoderData,
  type CoderRequest,
  type CoderResponse,
  type CoderTask,
  type EncodeAnswer,
  type EncodeTask,
  ownedBy,
  packError,
  threadLoaded,
} from "./coder-tasks.ts";
import { cutChunk } from "./cut-chunk.ts";
import { Keyring } from "./keyring.ts";
import { copyBytes, makeSyncPrimitives, sha256Hex } from "./primitives.ts";
import { readReference } from "./reference.ts";
import { writeFrames } from "./restore-write.ts";

const { isBackground, dataKey } = workerData as CoderData;
const { cipher, idOf } = new Keyring(dataKey);
const { primitives: keyless, release, keep } = makeSyncPrimitives();
const primitives: Primitives = { ...keyless, chunkId: idOf };
const tools: CheckTools = { primitives, cipher, release, keep, room };

// Frames come in shared memory.
useCopy(copyBytes);

let scratch = new Uint8Array(0);

/** One for all frames: fresh memory costs half as much as decoding into it, and a task ends before the next begins. */
function room(length: number): Uint8Array {
  if (scratch.length < length) scratch = new Uint8Array(limits.chunkBytes);
  return scratch;
}

async function encode({ buffer, plainBytes, level, against }: EncodeTask): Promise<EncodeAnswer> {
  const bytes = new Uint8Array(buffer);
  const plain = bytes.subarray(0, plainBytes);
  const reference = against && !isAllZero(plain) ? readReference(against.root, against.bases, plainBytes, idOf) : null;
  if (!reference) {
    return { storedBytes: await encodeFrameInPlace(bytes, plainBytes, primitives, level, copyBytes), bases: [] };
  }
  const { frame, bases } = await encodeFrameAgainst(plain, against!.bases, reference, primitives, level);
  copyBytes(bytes, 0, frame);
  const storedBytes = frame.length;
  // Given back at once, as everything of this size: a thread makes more than the garbage collector notices in time.
  (frame.buffer as ArrayBuffer).transfer(0);
  (reference.buffer as ArrayBuffer).transfer(0);
  return { storedBytes, bases };
}

async function perform(task: CoderTask) {
  switch (task.kind) {
    case "encode":
      return encode(task);
    case "cut":
      return cutChunk(task, idOf);
    case "seal":
      return { sha256: sha256Hex(task.part) };
    case "verify":
      return checkPart(task, tools);
    case "check":
      return checkBased(task, tools);
    case "write":
      return writeFrames(task, tools);
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
  if (!rest) ownedBy(task)?.transfer(0);
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
