/** Loaded before a program: every inode number is as large as those of Lustre, where doubles are 32 apart. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const first = 0x200000400000000n;
for (const name of ["lstatSync", "fstatSync"]) {
  const plain = fs[name];
  fs[name] = (path, options) => {
    const exact = plain(path, { ...options, bigint: true });
    if (!exact) return exact;
    exact.ino += first;
    if (options?.bigint) return exact;
    return Object.assign(plain(path, options), { ino: Number(exact.ino) });
  };
}
syncBuiltinESMExports();
