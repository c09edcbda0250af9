/** Examples of the routes of snapshots and of what they hold. */
import type { Examples } from "./example.ts";

export const snapshotExamples: Examples = {
  listSnapshots: {
    answer: {
      snapshots: [
        {
          snapshot_id: "i-k3v7q2m4xa@4",
          seq: 4,
          epoch: 1,
          digest: "blake3:",
          created_at: "2026-11-28T21:03:10.000Z",
          plain_bytes: 2147483648,
          stored_bytes: 1610612736,
          entries: 60000,
          parts: 26,
          proved_at: "2026-11-28T21:06:40.000Z",
          torn: 0,
          kind: "sleep",
          is_current: true,
          files: 57300,
          new_stored_bytes: 104857600,
          proof: null,
          damaged: null,
        },
      ],
    },
  },
  listFiles: {
    answer: {
      snapshot_id: "i-k3v7q2m4xa@90",
      path: "",
      entries: [
        {
          path: "kept",
          name: "kept",
          kind: "file",
          size_bytes: 9,
          entries: null,
          total_bytes: null,
          modified_at: "2020-09-13T12:26:40.000Z",
          mode: "0644",
          target: null,
        },
        {
          path: "old",
          name: "old",
          kind: "file",
          size_bytes: 4,
          entries: null,
          total_bytes: null,
          modified_at: "2020-09-13T12:26:40.000Z",
          mode: "0644",
          target: null,
        },
        {
          path: "pieces",
          name: "pieces",
          kind: "file",
          size_bytes: 7340032,
          entries: null,
          total_bytes: null,
          modified_at: "2020-09-13T12:26:40.000Z",
          mode: "0644",
          target: null,
        },
      ],
      next_after: null,
    },
  },
  listChanges: {
    answer: {
      snapshot_id: "i-k3v7q2m4xa@91",
      since_snapshot_id: "i-k3v7q2m4xa@90",
      changes: [
        { path: "", what: "changed", kind: "folder", size_before_bytes: null, size_after_bytes: null },
        { path: "new", what: "added", kind: "file", size_before_bytes: null, size_after_bytes: 5 },
        { path: "old", what: "removed", kind: "file", size_before_bytes: 4, size_after_bytes: null },
      ],
      next_after: null,
      totals: { added: 1, removed: 1, changed: 1 },
    },
  },
};
