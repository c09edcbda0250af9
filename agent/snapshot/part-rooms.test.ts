import { expect, test } from "vitest";
import { PartRooms } from "./part-rooms.ts";

test("a room that was given back is taken again, also after it was in a thread", () => {
  const rooms = new PartRooms(10_000, 2);
  const first = rooms.take(600);
  expect([first.length, first.buffer.byteLength]).toEqual([600, 10_000]);
  expect(rooms.own(first)).toBe(first);
  const back = structuredClone(first, { transfer: [first.buffer as ArrayBuffer] });
  rooms.give(first);
  rooms.give(back);
  const second = rooms.take(10_000);
  expect(second.buffer).toBe(back.buffer);
  expect(rooms.take(10).buffer).not.toBe(back.buffer);
});

test("no more are kept than was said, and none of another size", () => {
  const rooms = new PartRooms(10_000, 1);
  const all = [rooms.take(5), rooms.take(5), rooms.take(20_000), new Uint8Array(10_000)];
  expect(all[2]!.length).toBe(20_000);
  for (const bytes of all) rooms.give(bytes);
  expect(all.map((bytes) => bytes.buffer.byteLength)).toEqual([10_000, 0, 0, 0]);
});

test("bytes that share their memory are copied before a thread takes them", () => {
  const rooms = new PartRooms(1000, 1);
  const shared = new Uint8Array(100).subarray(10, 20);
  expect(rooms.own(shared).buffer).not.toBe(shared.buffer);
});

test("small bytes from Node's pool leave it to those who use the rest of it", () => {
  for (const capacity of [100, Buffer.poolSize]) {
    const rooms = new PartRooms(capacity, 1);
    const small = Buffer.from("a part of few bytes");
    const neighbour = Buffer.from("somebody else's");
    expect(small.buffer).toBe(neighbour.buffer);
    rooms.give(small);
    rooms.take(capacity).fill(0);
    expect(neighbour.toString()).toBe("somebody else's");
    expect(Buffer.from("the next").toString()).toBe("the next");
  }
});
