import { expect, test } from "vitest";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import { noise } from "../testing/workspace.ts";
import type { CoderPool } from "./coder-pool.ts";
import type { WriteTask } from "./coder-tasks.ts";
import type { PartNeeds } from "./part-needs.ts";
import { PartRooms } from "./part-rooms.ts";
import { nodePrimitives, sha256Hex } from "./primitives.ts";
import type { FileWriter, Target } from "./restore-files.ts";
import { writePart } from "./restore-parts.ts";

test("a part with many places is in memory once, and each place is named once", async () => {
  const plain = noise(30_000, 1);
  const builder = new PartBuilder("data");
  const ids = [0, 1].map((n) => nodePrimitives.chunkId(plain.subarray(n)));
  for (const id of ids) builder.add(plain, plain.length, [{ id, plainBytes: plain.length }]);
  const { bytes, table } = await builder.finish(nodePrimitives);
  const part = { key: sha256Hex(bytes), bytes: bytes.length, frames: table.frames };

  // As a thread: what it is given is gone here, and another buffer comes back.
  const seen: WriteTask[] = [];
  const run = async (task: WriteTask) => {
    const { buffer, byteOffset, length } = task.bytes;
    const rest = new Uint8Array((buffer as ArrayBuffer).transfer(), byteOffset, length);
    seen.push({ ...task, bytes: rest.slice() });
    return { damaged: [], lacking: [], rest };
  };
  const open = new Set(ids);
  const targets = (id: string) =>
    Array.from({ length: 6_000 }, (_, n) => ({ id, offset: n, plainBytes: plain.length }) as Target);
  const needs = { has: (id: string) => open.has(id), targets, finish: (id: string) => open.delete(id) };
  let made = 0;
  const rooms = new PartRooms(bytes.length, 4);
  const take = (length: number) => {
    made++;
    return rooms.take(length);
  };
  const store: Pick<SnapshotStore, "get"> = {
    get: async (_, __, options) => {
      const room = options!.room!(bytes.length);
      room.set(bytes);
      return room;
    },
  };
  const written: Target[] = [];
  await writePart(
    {
      store: store as SnapshotStore,
      id: "i-parts",
      part,
      needs: needs as unknown as PartNeeds,
      writer: { target: ({ offset }: Target) => ({ offset }) } as unknown as FileWriter,
      coders: { run } as unknown as CoderPool,
      rooms: Object.assign(Object.create(rooms), { take, own: rooms.own.bind(rooms), give: rooms.give.bind(rooms) }),
      isEncrypted: false,
      root: "/nowhere",
      deleteExtras: false,
    },
    () => {},
    async (done) => void written.push(...done),
  );

  expect(made).toBe(1);
  expect(seen.length).toBe(12);
  for (const { bytes: given } of seen) expect(Buffer.compare(given, bytes)).toBe(0);
  expect(written.length).toBe(12_000);
  expect(new Set(written.map(({ id, offset }) => `${id}.${offset}`)).size).toBe(12_000);
  expect(open.size).toBe(0);
});
