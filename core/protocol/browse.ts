/**
 * What a snapshot holds, without a machine. In a path, bytes that are not UTF-8, and `%`, stand as `%XX`; no path begins
 * with `/`, and the workspace itself is the empty one.
 */
import * as z from "zod";
import { route } from "./route.ts";
import { time } from "./views.ts";

const bytes = z.number().int().min(0);
const path = z.string().max(65_536);
const pageFields = {
  /** The `next_after` of the page before. A page may have fewer entries than its limit, even none, and a next one all the same. */
  after: z.string().max(65_536).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(200),
};

const filesQuery = z.strictObject({
  /** A folder; what lies in it is listed, and not what lies in its folders. */
  path: path.default(""),
  /** In place of a folder's own entries: everything below it whose path holds this text, whatever its case. */
  search: z.string().trim().min(1).max(200).optional(),
  ...pageFields,
});

export const entrySchema = z.object({
  path: z.string(),
  /** The last part of the path. */
  name: z.string(),
  kind: z.enum(["file", "folder", "link", "fifo", "device", "other"]),
  /** Of a file; null for what has none. */
  size_bytes: bytes.nullable(),
  /** Below a folder, itself not counted; null, as `total_bytes`, where that is too much to count for one answer. */
  entries: z.number().int().nullable(),
  /** Of all files below a folder. */
  total_bytes: bytes.nullable(),
  modified_at: time.nullable(),
  /** As in `ls -l`, four octal digits. */
  mode: z.string().nullable(),
  /** Where a link points. */
  target: z.string().nullable(),
});
export type EntryView = z.infer<typeof entrySchema>;

const filesAnswer = z.object({
  snapshot_id: z.string(),
  path: z.string(),
  /** Folders first, each by name; a search by path. */
  entries: z.array(entrySchema),
  next_after: z.string().nullable(),
});

const changesQuery = z.strictObject({
  /** Number of the snapshot that it is compared with. */
  since: z.coerce.number().int().min(1).max(99_999_999),
  ...pageFields,
});

const changesAnswer = z.object({
  snapshot_id: z.string(),
  since_snapshot_id: z.string(),
  /** By path. */
  changes: z.array(
    z.object({
      path: z.string(),
      what: z.enum(["added", "removed", "changed"]),
      kind: entrySchema.shape.kind,
      /** In the older and in the newer one; null where it has none. */
      size_before_bytes: bytes.nullable(),
      size_after_bytes: bytes.nullable(),
    }),
  ),
  next_after: z.string().nullable(),
  /** Of all pages; null while the two differ in more than one request can count. */
  totals: z
    .object({
      added: z.number().int(),
      removed: z.number().int(),
      changed: z.number().int(),
    })
    .nullable(),
});

const fileQuery = z.strictObject({ path: path.min(1) });

export const browseRoutes = {
  listFiles: route({
    method: "GET",
    path: "/api/instances/:id/snapshots/:seq/files",
    principal: "user",
    role: "viewer",
    summary: "What lies in a folder of a snapshot, or what a search finds in it",
    query: filesQuery,
    status: 200,
    answer: filesAnswer,
  }),
  getFile: route({
    method: "GET",
    path: "/api/instances/:id/snapshots/:seq/file",
    principal: "user",
    role: "operator",
    summary: "The bytes of one file of a snapshot",
    query: fileQuery,
    status: 200,
    answer: z.unknown(),
    isFile: true,
  }),
  listChanges: route({
    method: "GET",
    path: "/api/instances/:id/snapshots/:seq/changes",
    principal: "user",
    role: "viewer",
    summary: "What two snapshots of an instance do not share",
    query: changesQuery,
    status: 200,
    answer: changesAnswer,
  }),
} as const;
