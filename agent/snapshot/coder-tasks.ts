/** What the coder threads are asked and what they answer. No bytes are copied: they are shared, or belong to the thread. */
import { FormatError } from "../../core/snapshot/error.ts";
import type { LooseFrame } from "../../core/snapshot/frame-table.ts";
import type { Hole } from "../../core/snapshot/tree.ts";
import type { PlacedBase } from "./reference.ts";
import { Stop } from "./stop.ts";

/** The first `plainBytes` of `buffer` become a frame in the same place. */
export interface EncodeTask {
  kind: "encode";
  /** Shared: nobody else looks at it until the answer. The garbage collector does not count shared memory as its own. */
  buffer: SharedArrayBuffer;
  plainBytes: number;
  level: number;
  /** What it may be coded against; `root`: a byte string, symlinks resolved. */
  against?: { root: string; bases: PlacedBase[] } | null;
}
export interface EncodeAnswer {
  storedBytes: number;
  /** Ids of the chunks that it was coded against; none where that gains too little, or they are not there any more. */
  bases: string[];
}

/**
 * The next chunk of an open big file: read to the front of `buffer`, which has room for the largest, cut and named. As for
 * `encode`, nobody else looks at the buffer meanwhile.
 */
export interface CutTask {
  kind: "cut";
  fd: number;
  /** Where it begins, and where the file ended when it was opened: nothing behind that is read. */
  offset: number;
  end: number;
  buffer: SharedArrayBuffer;
}
export interface CutAnswer {
  /** Empty where the file has no more bytes. */
  id: string;
  plainBytes: number;
}

/** The name of a part. */
export interface SealTask {
  kind: "seal";
  /** In shared memory, so that it stays where it is: what goes over and back counts as garbage of both threads. */
  part: Uint8Array<SharedArrayBuffer>;
}
export interface SealAnswer {
  /** 64 hex digits. */
  sha256: string;
}

/** A whole part: the hash of its name, its table, and with `isDeep` every frame without bases and its chunk ids. */
export interface VerifyTask {
  kind: "verify";
  /** An ArrayBuffer of its own, which the thread takes. */
  bytes: Uint8Array;
  key: string;
  /** The frames that a segment says it has, as in a table. */
  frames: Uint8Array;
  isDeep: boolean;
  /** Whether its bytes are wanted back. */
  isWanted: boolean;
}
export interface VerifyAnswer {
  /** The part's bytes, where they are wanted. */
  rest: Uint8Array | null;
}

/** One frame with bases: `frame` lies in `bytes` at its offset, and so do those that hold its bases. */
export interface CheckTask {
  kind: "check";
  /** An ArrayBuffer of its own, which the thread takes. */
  bytes: Uint8Array;
  frame: LooseFrame;
  baseFrames: LooseFrame[];
}
export type CheckAnswer = Record<string, never>;

/** Where a chunk goes. */
export interface WriteTarget {
  path: string;
  /** A whole small file, which is made; false: a place in a big one that is there. */
  isWhole: boolean;
  offset: number;
  size: number;
  holes: Hole[];
  /** What a small file gets at once: its mode, and its owner where it is not this process's. Null: it stays 0600. */
  attributes: { mode: number; owner: { uid: number; gid: number } | null } | null;
}

export interface WriteChunk {
  id: string;
  /** From the first plain byte of its frame. */
  at: number;
  plainBytes: number;
  targets: WriteTarget[];
}

export interface WriteFrame {
  /** Its number in the part. */
  n: number;
  /** From the first byte of `bytes`. */
  offset: number;
  storedBytes: number;
  plainBytes: number;
  chunks: WriteChunk[];
  /** Where its reference comes from; for frames with bases only. */
  based?: WriteBases;
}

/** Either `frames` that lie in the task's bytes, or places in files below its root. */
export interface WriteBases {
  /** Ids, as the table names them. */
  bases: readonly string[];
  frames: LooseFrame[];
  placed: Omit<PlacedBase, "skip" | "take">[];
}

/** Decodes frames, checks the wanted chunks by their ids and writes them to their places below `root`. */
export interface WriteTask {
  kind: "write";
  /** An ArrayBuffer of its own, which the thread takes. */
  bytes: Uint8Array;
  /** The part's first 24 bytes, where it is encrypted. */
  header: Uint8Array | null;
  /** A byte string, symlinks resolved. */
  root: string;
  deleteExtras: boolean;
  frames: WriteFrame[];
  /** Whether its bytes are wanted back. */
  isWanted: boolean;
}
export interface WriteAnswer {
  /** Ids of chunks whose bytes are damaged: nothing of them was written. */
  damaged: string[];
  /** Ids of chunks whose bases were not found in their places. */
  lacking: string[];
  /** The task's bytes, where they are wanted. */
  rest: Uint8Array | null;
}

interface Answers {
  encode: EncodeAnswer;
  cut: CutAnswer;
  seal: SealAnswer;
  verify: VerifyAnswer;
  check: CheckAnswer;
  write: WriteAnswer;
}
export type CoderTask = EncodeTask | CutTask | SealTask | VerifyTask | CheckTask | WriteTask;
export type AnswerOf<T extends CoderTask> = Answers[T["kind"]];

/** What of a task goes over to the thread for good. */
export function ownedBy(task: CoderTask): ArrayBuffer | null {
  return "bytes" in task ? (task.bytes.buffer as ArrayBuffer) : null;
}

/** What a thread begins with. */
export interface CoderData {
  isBackground: boolean;
  dataKey: Uint8Array | null;
}

/** What a thread says first. */
export const threadLoaded = "loaded";

export interface CoderRequest {
  n: number;
  task: CoderTask;
}
export type CoderResponse =
  | { n: number; ok: true; answer: Answers[keyof Answers] }
  | { n: number; ok: false; error: PackedError };

/** The errors that mean something to the caller, as plain data. */
type PackedError =
  | { kind: "stop"; code: string; message: string; retryable: boolean; paths: string[] | undefined }
  | { kind: "format"; code: FormatError["code"]; message: string }
  | { kind: "system"; code: string; syscall: string | undefined; message: string }
  | { kind: "bug"; message: string };

export function packError(error: unknown): PackedError {
  if (error instanceof Stop) {
    const { code, message, retryable, paths } = error;
    return { kind: "stop", code, message, retryable, paths };
  }
  if (error instanceof FormatError) return { kind: "format", code: error.code, message: error.message };
  const { code, syscall, message, stack } = error as NodeJS.ErrnoException;
  if (typeof code === "string" && /^E[A-Z0-9]+$/.test(code)) return { kind: "system", code, syscall, message };
  return { kind: "bug", message: stack ?? String(message ?? error) };
}

export function unpackError(packed: PackedError): Error {
  switch (packed.kind) {
    case "stop":
      return new Stop(packed.code, packed.message, packed.retryable, packed.paths);
    case "format":
      return new FormatError(packed.code, packed.message);
    case "system":
      return Object.assign(new Error(packed.message), { code: packed.code, syscall: packed.syscall });
    case "bug":
      return new Error(`in a coder thread: ${packed.message}`);
  }
}
