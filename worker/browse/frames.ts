/** Frames out of parts, decoded, and chunks out of frames, each checked by its hash. */
import { decompress } from "fzstd";
import { latin1FromBytes } from "../../core/snapshot/bytes.ts";
import { decodeFrame } from "../../core/snapshot/codec.ts";
import { damaged } from "../../core/snapshot/error.ts";
import type { FrameInfo } from "../../core/snapshot/frame-table.ts";
import { basesOf, joinReference, type ReadBase } from "../../core/snapshot/open-frame.ts";
import { createScriptKernels } from "../../core/snapshot/planes/script-kernels.ts";
import { useKernels } from "../../core/snapshot/planes/thread-kernels.ts";

/** A frame and the key of its part. */
export interface Frame {
  part: string;
  info: FrameInfo;
}

/**
 * Without Node's whole API workerd has no zstd. The caller has checked that the frame announces the size that it must
 * have; so much is made at once. No buffer is handed over: fzstd would write it out as text to compare it with 1.
 */
export const zstd = { zstdDecompress: async (bytes: Uint8Array) => decompress(bytes) };

let hasKernels = false;

/** A worker may not compile WebAssembly at run time. Made at the first use, as they hold 2 MB. */
function readyKernels(): void {
  if (hasKernels) return;
  useKernels(createScriptKernels());
  hasKernels = true;
}

export async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
}

/** Unchecked: its chunks are. `stored`: exactly the frame. Errors: FormatError, and what `readBase` throws. */
export async function decodeStored(stored: Uint8Array, info: FrameInfo, readBase?: ReadBase): Promise<Uint8Array> {
  readyKernels();
  if (info.bases.length === 0) return decodeFrame(stored, info.plainBytes, zstd);
  if (!readBase) throw damaged("a frame has bases where none may be");
  const reference = await joinReference(basesOf(stored, info), info.plainBytes, readBase);
  return decodeFrame(stored, info.plainBytes, zstd, reference);
}

/** A view of `plain`, the frame's bytes. Errors: FormatError unless it has the hash of its id. */
export async function chunkOf(plain: Uint8Array, { chunks }: FrameInfo, id: string): Promise<Uint8Array> {
  const n = chunks.indexOf(id);
  if (n < 0) throw damaged("a chunk is not where the index says");
  let at = 0;
  for (let i = 0; i < n; i++) at += chunks.plainBytesAt(i);
  const chunk = plain.subarray(at, at + chunks.plainBytesAt(n));
  if (latin1FromBytes(await sha256(chunk)) !== id) throw damaged("a chunk does not have the hash of its id");
  return chunk;
}
