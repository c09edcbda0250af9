/** One chunk of a big file: read, cut and named in one go, while its bytes are near the processor. */
import { readSync } from "node:fs";
import { fileChunker } from "../../core/snapshot/chunker.ts";
import { searchCut } from "../../core/snapshot/kernels/cut.ts";
import type { CutAnswer, CutTask } from "./coder-tasks.ts";

/** Little of what is read belongs to the next chunk, which reads it again. */
const stepBytes = 512 * 1024;

/** Errors: throws a system error. */
export function cutChunk(
  { fd, offset, end, buffer }: Omit<CutTask, "kind">,
  idOf: (bytes: Uint8Array) => string,
): CutAnswer {
  const most = Math.min(fileChunker.max, end - offset);
  const bytes = new Uint8Array(buffer, 0, most);
  let plainBytes = 0;
  for (let filled = 0; plainBytes === 0; ) {
    const want = Math.min(filled === 0 ? 2 * stepBytes : stepBytes, most - filled);
    const got = want === 0 ? 0 : readSync(fd, bytes, filled, want, offset + filled);
    plainBytes = got === 0 ? filled : searchCut(bytes, 0, filled, filled + got, fileChunker);
    filled += got;
    if (got === 0) break;
  }
  return { id: plainBytes === 0 ? "" : idOf(bytes.subarray(0, plainBytes)), plainBytes };
}
