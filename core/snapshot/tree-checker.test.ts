import fc from "fast-check";
import { expect, test } from "vitest";
import { FormatError } from "./error.ts";
import { type Entry, TreeChecker } from "./tree.ts";

const names = fc.constantFrom("a", "a!", "a-b", "a.", "a0", "b", "\xff", "-");
const paths = fc.array(
  fc.array(names, { minLength: 1, maxLength: 4 }).map((path) => path.join("/")),
  { maxLength: 30 },
);
const entryOf = (path: string, type: string): Entry =>
  ({ path, type, mode: 0, uid: 0, gid: 0, mtimeNs: 0n, xattrs: [] }) as Entry;

test("an entry is taken exactly where its parent is a folder before it", () => {
  fc.assert(
    fc.property(paths, fc.infiniteStream(fc.boolean()), (list, isFolder) => {
      const types = new Map([["", "d"]]);
      const checker = new TreeChecker((path) => types.get(path));
      checker.check(entryOf("", "d"));
      for (const path of [...new Set(list)].sort((a, b) => (a < b ? -1 : 1))) {
        const type = isFolder.next().value ? "d" : "p";
        const isGood = types.get(path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "") === "d";
        const check = () => checker.check(entryOf(path, type));
        // What is refused ends a tree: here the next entries are looked at as if it had not come.
        if (isGood) {
          expect(check).not.toThrow();
          types.set(path, type);
        } else expect(check).toThrow(FormatError);
      }
    }),
    { numRuns: 3000 },
  );
});
