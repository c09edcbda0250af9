/** The mixed workspace of a training machine through an evening, an idle night, a day's work, a restore and a check. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describeTree } from "../compare.ts";
import { type Context, removeFolder, rest, startCourse } from "../course.ts";
import { workForADay } from "../data/day.ts";
import { writeWorkspace } from "../data/workspace.ts";

export async function runMixed(context: Context): Promise<void> {
  const inputs = await context.inputs();
  for (let round = 0; round < context.rounds; round++) {
    const dir = join(context.workDir, `workspace-${round}`);
    mkdirSync(dir);
    const workspace = writeWorkspace(dir, inputs);
    context.results.data.workspace = workspace;
    context.say(`mixed, round ${round + 1}: ${workspace.files} files, ${(workspace.bytes / 1e6).toFixed(0)} MB`);
    const course = await startCourse(context, { scenario: "mixed", round, dir });
    await rest(context);
    await course.snapshot("first");
    await course.snapshot("unchanged");
    const day = workForADay(dir, inputs);
    context.say(
      `  a day's work: ${(day.newBytes / 1e6).toFixed(1)} MB new, ${day.edited} files edited, ${day.deleted} deleted, ${day.renamedFolders} folders renamed`,
    );
    await rest(context);
    await course.snapshot("day");
    await course.restore("restore", describeTree(dir));
    await course.verify("verify");
    await course.verifyData("verify --data");
    course.end();
    if (!context.keep) removeFolder(dir);
  }
}
