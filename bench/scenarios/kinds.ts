/** Each kind of data alone: what is stored of it. */
import { copyFileSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { type Context, removeFolder, startCourse } from "../course.ts";
import { listFiles } from "../data/day.ts";
import { type Kind, kinds, writeWorkspace } from "../data/workspace.ts";
import { measure } from "../measure.ts";

export async function runKinds(context: Context): Promise<void> {
  const source = join(context.workDir, "kinds-source");
  mkdirSync(source);
  writeWorkspace(source, await context.inputs());
  const paths = listFiles(source);
  for (const kind of Object.keys(kinds) as Kind[]) {
    const dir = join(context.workDir, "kinds-data");
    let plainBytes = 0;
    for (const path of paths) {
      const name = path.slice(source.length + 1);
      if (!kinds[kind].test(name)) continue;
      mkdirSync(dirname(join(dir, name)), { recursive: true });
      copyFileSync(path, join(dir, name));
      plainBytes += statSync(path).size;
    }
    context.say(`kinds: ${kind}, ${(plainBytes / 1e6).toFixed(1)} MB`);
    const note = (step: string, sample: { plainBytes?: number; storedBytes?: number }) =>
      context.results.samples.push({ scenario: "kinds", step, tool: "data", round: 0, ...sample });
    note(kind, { plainBytes });
    const tools = context.tools.filter(({ name }) => name !== "tar-zstd-T0");
    const course = await startCourse(context, { scenario: "kinds", dir, tools, isTimed: false });
    await course.snapshot(kind);
    course.end();
    if (kind === "code") {
      note("code: one zstd -3 frame a file", { storedBytes: framesOfFiles(listFiles(dir)) });
      if (tools.some(({ name }) => name === "tar-zstd")) {
        const long = { script: `tar -C "$1" -cf - . | zstd -3 --long -q -c | wc -c`, args: [dir] };
        const { stdout } = await measure(long, { scratch: context.workDir, signal: context.signal });
        note("code: tar | zstd -3 --long", { storedBytes: Number(stdout) });
      }
    }
    removeFolder(dir);
  }
  removeFolder(source);
}

/** As a tool stores that compresses each file by itself and each content once. */
function framesOfFiles(paths: string[]): number {
  const frames = new Map<string, number>();
  for (const path of paths) {
    const bytes = readFileSync(path);
    const key = bytes.toString("base64");
    if (!frames.has(key)) frames.set(key, Math.min(bytes.length, zstdCompressSync(bytes).length));
  }
  return [...frames.values()].reduce((sum, bytes) => sum + bytes, 0);
}
