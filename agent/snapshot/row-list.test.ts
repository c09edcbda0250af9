import { expect, test } from "vitest";
import { ByteWriter } from "../../core/snapshot/bytes.ts";
import { encodeRecord } from "../../core/snapshot/tree.ts";
import { RowList } from "./row-list.ts";
import { bytesOf, pathOf, RowShelf } from "./rows.ts";

const noHoles = new Uint8Array(0);

function listOf(paths: string[], shelf = new RowShelf()): RowList {
  const list = new RowList();
  for (const path of paths) {
    const writer = new ByteWriter();
    encodeRecord(writer, { path, type: "d", mode: 0o755, uid: 0, gid: 0, mtimeNs: 0n, xattrs: [] });
    list.push(shelf.add([1, 2, 3, 4, 5, 6], 0, writer.view(), noHoles));
  }
  return list;
}

/** More than one slab, and more rows than the list begins with room for. */
const paths = Array.from({ length: 20_000 }, (_, n) => `folder/\xffname-${String(n).padStart(6, "0")}`);

test("finds each of many rows, in their order, in any other, and none that is not there", () => {
  const list = listOf(paths);
  expect(list.length).toBe(paths.length);
  expect(paths.map((path) => pathOf(list.find(path)!))).toEqual(paths);
  for (let n = 0; n < paths.length; n += 97)
    expect(pathOf(list.find(paths[paths.length - 1 - n]!)!)).toBe(paths.at(-1 - n));
  for (const path of ["", "folder", "folder/\xffname-", "folder/\xffname-0000001", "g"])
    expect(list.find(path)).toBeUndefined();
  expect(list.find(paths[0]!)).toBeDefined();
  expect([...list].map(pathOf)).toEqual(paths);
});

test("is read from the rows' bytes; one that is cut off is an error", () => {
  const bytes = Buffer.concat([Buffer.from("head"), ...[...listOf(["a", "b", "c"])].map(bytesOf)]);
  const list = RowList.read(bytes, 4);
  expect([...list].map(pathOf)).toEqual(["a", "b", "c"]);
  for (const cut of [1, 20, 70])
    expect(() => RowList.read(bytes.subarray(0, bytes.length - cut), 4)).toThrow(RangeError);
});

test("is the same as a list of the very same rows, not of equal ones", () => {
  const list = listOf(["a", "b"]);
  const again = new RowList();
  for (const row of list) again.push(row);
  expect(list.isSame(again)).toBe(true);
  expect(list.isSame(listOf(["a", "b"]))).toBe(false);
  expect(list.isSame(listOf(["a"]))).toBe(false);
});
