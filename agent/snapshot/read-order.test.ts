import { describe, expect, it } from "vitest";
import { ReadOrder } from "./read-order.ts";

function order(paths: string[], files = paths.map((_, n) => n)) {
  const found = new ReadOrder();
  for (const n of files) found.add(paths[n]!, n);
  return [...found].map((n) => paths[n]);
}

describe("the order in which small files are read", () => {
  it("is that of the tree where no two have the same names", () => {
    const paths = ["a", "b/a", "b/b", "c/a", "c/d/a"];
    expect(order(paths)).toEqual(paths);
  });

  it("has files of one name in folders of one name after each other, the others where they were", () => {
    expect(
      order(["LICENSE", "v1/lib/a.py", "v1/lib/b.py", "v1/x.py", "v2/lib/a.py", "v2/lib/b.py", "v3/lib/b.py", "z"]),
    ).toEqual(["LICENSE", "v1/lib/a.py", "v2/lib/a.py", "v1/lib/b.py", "v2/lib/b.py", "v3/lib/b.py", "v1/x.py", "z"]);
  });

  it("has the first of all among those that others follow", () => {
    expect(order(["a/b/c", "a/c", "b/b/c"])).toEqual(["a/b/c", "b/b/c", "a/c"]);
  });

  it("asks for the whole of both names", () => {
    const paths = ["1/ab/c", "2/b/c", "3/xb/c", "c"];
    expect(order(paths)).toEqual(paths);
  });

  it("is of those alone that are to be read, each once", () => {
    const paths = ["", "a", "a/lib", "a/lib/x", "a/lib/y", "b", "b/lib", "b/lib/x", "b/lib/y"];
    expect(order(paths, [4, 7, 8])).toEqual(["a/lib/y", "b/lib/y", "b/lib/x"]);
    expect(order(paths, [])).toEqual([]);
    const many = Array.from({ length: 5_000 }, (_, n) => `${n}/${n % 7}/${n % 500}`);
    expect(order(many).sort()).toEqual([...many].sort());
  });
});
