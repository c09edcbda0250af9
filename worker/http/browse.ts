/** The routes that look into snapshots without a machine. */
import { plainOf } from "../../core/protocol/browse-path.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { snapshotId } from "../../core/protocol/ids.ts";
import { FormatError } from "../../core/snapshot/error.ts";
import { type FileContent, openFile } from "../browse/file.ts";
import { listChanges } from "../browse/list-changes.ts";
import { listFiles } from "../browse/list-files.ts";
import { openSnapshot } from "../browse/open.ts";
import { Requests } from "../browse/parts.ts";
import { log } from "../log.ts";
import { objectOf, orThrow } from "./ask.ts";
import { type App, type AppContext, askerOf } from "./context.ts";
import { idOf } from "./instances.ts";
import { mount } from "./mount.ts";

export function mountBrowse(app: App): void {
  mount(app, "listFiles", (c, { query }) =>
    told(async () => {
      const { snapshot, snapshot_id } = await open(c);
      return { snapshot_id, path: query.path, ...(await listFiles(snapshot.tree, query)) };
    }),
  );

  mount(app, "getFile", (c, { query }) =>
    told(async () => {
      const { snapshot } = await open(c);
      return fileAnswer(c, await openFile(snapshot, query.path));
    }),
  );

  mount(app, "listChanges", (c, { query }) =>
    told(async () => {
      const { snapshot, snapshot_id, openAnother } = await open(c);
      const older = await openAnother(query.since);
      const since_snapshot_id = snapshotId(idOf(c), query.since);
      return { snapshot_id, since_snapshot_id, ...(await listChanges(older.tree, snapshot.tree, query)) };
    }),
  );
}

/** The instance's object says first whether it is the user's. */
async function open(c: AppContext) {
  const id = idOf(c);
  const known = orThrow(await objectOf(c, id).history(askerOf(c)));
  const requests = new Requests();
  const openAnother = (seq: number) => openSnapshot(c.env.SNAPSHOTS, id, seq, known, requests);
  const seq = seqOf(c);
  return { snapshot: await openAnother(seq), snapshot_id: snapshotId(id, seq), openAnother };
}

function seqOf(c: AppContext): number {
  const text = c.req.param("seq") ?? "";
  if (!/^[1-9]\d{0,7}$/.test(text)) throw new AppError("snapshot_not_found", { snapshot: text });
  return Number(text);
}

/** Bytes that break the format are the snapshot's damage, whatever their reader was asked for. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new AppError("snapshot_damaged", { detail: error.message }, { cause: error });
  }
}

async function fileAnswer(c: AppContext, { name, sizeBytes, chunks }: FileContent): Promise<Response> {
  const headers = {
    "content-type": "application/octet-stream",
    "content-length": String(sizeBytes),
    "content-disposition": dispositionOf(name),
    // Never a page of ours, whatever it holds.
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
  };
  if (c.req.method === "HEAD" || sizeBytes === 0) return new Response(null, { headers });
  // Before the head, so that damage at once is an answer and no broken download.
  const first = await chunks.next();
  return new Response(streamOf(sizeBytes, first, chunks), { headers });
}

/** With its length announced: a body that ends before it is a failure to everyone who reads it. */
function streamOf(
  sizeBytes: number,
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncGenerator<Uint8Array, void>,
): ReadableStream {
  let next: Promise<IteratorResult<Uint8Array, void>> = Promise.resolve(first);
  const source = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await next;
          if (done) return controller.close();
          controller.enqueue(value);
          next = rest.next();
          // Whoever pulls sees the error.
          next.catch(() => {});
        } catch (error) {
          log.warn("download_broken", { error });
          controller.error(error);
        }
      },
      cancel: async () => void (await rest.return()),
    },
    { highWaterMark: 0 },
  );
  const { readable, writable } = new FixedLengthStream(sizeBytes);
  // Its failure is the reader's: the body breaks.
  source.pipeTo(writable).catch(() => {});
  return readable;
}

/**
 * RFC 6266: the exact name for who reads RFC 5987, one without anything but ASCII for the rest. `spelled`: as the API has it.
 */
function dispositionOf(spelled: string): string {
  const name = plainOf(spelled);
  const fallback = name.replace(/[^A-Za-z0-9 ._-]/g, "_");
  const exact = encodeURIComponent(name).replace(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${fallback}"; filename*=UTF-8''${exact}`;
}
