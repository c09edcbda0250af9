/** The bytes of one file of a snapshot, chunk after chunk, each checked by its hash before it is passed on. */
import { textOfPath } from "../../core/protocol/browse-path.ts";
import { AppError } from "../../core/protocol/errors.ts";
import type { ChunkRef } from "../../core/snapshot/chunk-list.ts";
import { damaged } from "../../core/snapshot/error.ts";
import { nameOf } from "./entry-view.ts";
import { FrameFeed } from "./frame-feed.ts";
import { chunkOf } from "./frames.ts";
import type { Snapshot } from "./open.ts";
import { pathOf } from "./path.ts";

/** Different ones of a file: with 2 MiB each, 32 GiB. What is known of each takes about a kilobyte. */
const mostChunks = 16_384;

export interface FileContent {
  /** As the API spells it. */
  name: string;
  sizeBytes: number;
  /** Ends with an error where the rest cannot be read or is not what it should be. */
  chunks: AsyncGenerator<Uint8Array, void>;
}

/** Errors: invalid_input, object_not_found, snapshot_too_large, and what the tree throws. */
export async function openFile({ tree, segments, parts }: Snapshot, text: string): Promise<FileContent> {
  const path = pathOf(text, "path");
  const entry = await tree.find(path);
  if (!entry) throw new AppError("object_not_found", { path: text });
  const inode = await tree.inodeOf(entry);
  if (inode.type !== "f") throw new AppError("object_not_found", { path: text, detail: "it is no file" });
  const { chunks, size } = inode;
  const ids = new Set(chunks.map((chunk) => chunk.id));
  if (ids.size > mostChunks) throw new AppError("snapshot_too_large", { path: text });

  const frames = ids.size === 0 ? new Map() : await segments.locate(ids);
  const own = chunks.map(({ id }) => frames.get(id)!);
  const bases = own.flatMap(({ info }) => info.bases);
  const baseFeed = new FrameFeed(
    parts,
    bases.map((id) => frames.get(id)!),
  );
  const feed = new FrameFeed(parts, own, async (id) => {
    const frame = frames.get(id);
    if (!frame) throw damaged("a base is not where the index says");
    return chunkOf(await baseFeed.take(frame), frame.info, id);
  });
  if (feed.requests + baseFeed.requests > parts.requests.left) throw new AppError("snapshot_too_large", { path: text });

  async function* read(refs: ChunkRef[]): AsyncGenerator<Uint8Array, void> {
    try {
      for (const { id, plainBytes } of refs) {
        const frame = frames.get(id)!;
        const chunk = await chunkOf(await feed.take(frame), frame.info, id);
        if (chunk.length !== plainBytes) throw damaged("a file has another size for a chunk than its part");
        yield chunk;
      }
    } finally {
      await Promise.all([feed.cancel(), baseFeed.cancel()]);
    }
  }
  return { name: textOfPath(nameOf(path)), sizeBytes: size, chunks: read(chunks) };
}
