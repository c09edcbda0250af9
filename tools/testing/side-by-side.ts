/**
 * The order of test files. Those of e2e wait for most of their time, the others compute: side by side they take little more
 * than either alone. Too many clouds at once run into the limits of their tests, so a file of e2e begins with a seat
 * (e2e/testing/seat.ts), and the order is such that hardly one waits for it.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

export class SideBySide extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const of = (names: string[]) => sorted.filter(({ project }) => names.includes(project.name));
    const clouds = of(["e2e"]);
    const others = of(["node", "worker"]);
    // While two files of e2e run there is one worker for the others: half of them is through when e2e is.
    const between = Math.floor(others.length / 2 / Math.max(1, clouds.length));
    const mixed = clouds.slice(2).flatMap((file) => [...others.splice(0, between), file]);
    // Those without isolation share a process as long as they follow each other.
    return [...clouds.slice(0, 2), ...of(["pure"]), ...mixed, ...others];
  }
}
