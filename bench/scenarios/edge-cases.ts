/** A folder of everything that is hard to keep, through every tool; what each of them loses. */
import { closeSync, constants, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { native } from "../../agent/fs/native.ts";
import { makeHardWorkspace } from "../../agent/testing/workspace.ts";
import { describeTree, setInodeFlags } from "../compare.ts";
import { type Context, removeFolder, rest, startCourse } from "../course.ts";

const [nodump, noatime] = [0x40, 0x80];

export async function runEdgeCases(context: Context): Promise<void> {
  const dir = join(context.workDir, "edge-cases-data");
  const hard = await makeHardWorkspace(dir);
  try {
    makeDeepTree(dir, 30, 200);
    const many = join(dir, "very many");
    mkdirSync(many);
    for (let i = 0; i < context.size.manyEntries; i++) writeFileSync(join(many, String(i)), "");
    if (native) {
      // user::rw-, user:1234:rwx, group::r--, mask::rwx, other::r--: an access list as the kernel keeps it.
      const acl = "0200000001000600ffffffff02000700d204000004000400ffffffff10000700ffffffff20000400ffffffff";
      native.setXattr(join(dir, "many/7"), "system.posix_acl_access", Buffer.from(acl, "hex"));
    }
    writeFileSync(join(dir, "flagged"), "not dumped");
    if (!setInodeFlags(join(dir, "flagged"), nodump | noatime)) context.say("  this file system keeps no inode flags");
    const course = await startCourse(context, { scenario: "edge-cases", dir, tools: context.hardTools });
    await rest(context);
    await course.snapshot("first");
    await course.restore("restore", describeTree(dir));
    await course.verify("verify");
    await course.verifyData("verify --data");
    course.end();
  } finally {
    await hard.close();
    removeFolder(dir);
  }
}

/** `levels` folders of `nameBytes` inside one another, a file in the last: deeper than PATH_MAX, so by descriptors. */
export function makeDeepTree(root: string, levels: number, nameBytes: number): void {
  let folder = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  for (let level = 0; level < levels; level++) {
    const path = `/proc/self/fd/${folder}/${String(level).padStart(nameBytes, "p")}`;
    mkdirSync(path);
    const next = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
    closeSync(folder);
    folder = next;
  }
  writeFileSync(`/proc/self/fd/${folder}/deep file`, "below PATH_MAX");
  closeSync(folder);
}
