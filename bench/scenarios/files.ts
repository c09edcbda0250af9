/** Courses with one question each: bytes that nothing can shrink, one changed byte, a rename, a second checkpoint, small files, memory. */
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describeTree } from "../compare.ts";
import { type Context, folderBytes, removeFolder, rest, startCourse } from "../course.ts";
import { changeOneByte } from "../data/day.ts";
import { jpegLike } from "../data/files.ts";
import { bf16OfFp32 } from "../data/weights.ts";
import { noise } from "../random.ts";
import { rotated } from "../statistics.ts";

const piece = 16 * 1024 * 1024;

const withoutTwin = (context: Context) => context.tools.filter(({ name }) => name !== "tar-zstd-T0");

function makeFolder(context: Context, name: string): string {
  const dir = join(context.workDir, name);
  mkdirSync(dir);
  return dir;
}

/** Pictures of 300 kB and video-like files of 16 MiB, half of the bytes each. */
export async function runIncompressible(context: Context): Promise<void> {
  const dir = makeFolder(context, "incompressible");
  const half = context.size.incompressibleBytes / 2;
  for (let [i, bytes] = [0, 0]; bytes < half; i++, bytes += 300_000)
    writeFileSync(join(dir, `${i}.jpg`), jpegLike(`incompressible-${i}`, 300_000));
  for (let [i, bytes] = [0, 0]; bytes < half; i++, bytes += piece)
    writeFileSync(join(dir, `${i}.mp4`), jpegLike(`video-${i}`, piece));
  note(context, "incompressible", { plainBytes: folderBytes(dir) });
  const course = await startCourse(context, { scenario: "incompressible", dir, tools: withoutTwin(context) });
  await course.snapshot("first");
  course.end();
  removeFolder(dir);
}

export async function runOneByte(context: Context): Promise<void> {
  const dir = makeFolder(context, "one-byte");
  const path = join(dir, "model.bin");
  for (let bytes = 0; bytes < context.size.bigFileBytes; bytes += piece)
    appendFileSync(path, noise(piece, `big-${bytes}`));
  note(context, "one-byte", { plainBytes: folderBytes(dir) });
  const course = await startCourse(context, { scenario: "one-byte", dir, tools: withoutTwin(context) });
  await rest(context);
  await course.snapshot("first");
  changeOneByte(path);
  await rest(context);
  await course.snapshot("one byte changed");
  course.end();
  removeFolder(dir);
}

/** A folder of small files is renamed, a big file renamed, a folder of files moved elsewhere. */
export async function runRenamed(context: Context): Promise<void> {
  const dir = makeFolder(context, "renamed");
  const { sources } = await context.inputs();
  const write = (path: string, content: Uint8Array) => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), content);
  };
  for (const file of sources.code(Math.ceil(context.size.codeFiles / 10))) write(`code/${file.path}`, file.load());
  write("models/big.bin", noise(4 * piece, "renamed"));
  for (let i = 0; i < 5; i++) write(`data/deep/${i}.bin`, noise(1_000_000, `moved-${i}`));
  const course = await startCourse(context, { scenario: "renamed", dir, tools: withoutTwin(context) });
  await rest(context);
  await course.snapshot("first");
  renameSync(join(dir, "code"), join(dir, "source"));
  renameSync(join(dir, "models/big.bin"), join(dir, "models/best.bin"));
  mkdirSync(join(dir, "archive"));
  renameSync(join(dir, "data/deep"), join(dir, "archive/deep"));
  await rest(context);
  await course.snapshot("renamed");
  course.end();
  removeFolder(dir);
}

/** BF16 weights of one network after 100, 150 and 160 steps, each added to the last. */
export async function runSecondCheckpoint(context: Context): Promise<void> {
  const dir = makeFolder(context, "second-checkpoint");
  const { checkpoints } = await context.inputs();
  const course = await startCourse(context, { scenario: "second-checkpoint", dir, tools: withoutTwin(context) });
  const steps = ["first", "50 steps later", "10 steps later"];
  for (const [i, { step, weights }] of checkpoints.entries()) {
    const folder = join(dir, `checkpoint-${step}`);
    mkdirSync(folder);
    const bytes = bf16OfFp32(weights);
    writeFileSync(join(folder, "model.bf16"), bytes);
    if (i === 0) note(context, "second-checkpoint", { plainBytes: bytes.length });
    await rest(context);
    await course.snapshot(steps[i]!);
  }
  course.end();
  removeFolder(dir);
}

export async function runSmallFiles(context: Context): Promise<void> {
  const dir = makeFolder(context, "small-files");
  const { sources } = await context.inputs();
  const files = sources.code(Math.min(50_000, context.size.codeFiles));
  for (const file of files) {
    mkdirSync(dirname(join(dir, file.path)), { recursive: true });
    writeFileSync(join(dir, file.path), file.load());
  }
  note(context, "small-files", { count: files.length, plainBytes: folderBytes(dir) });
  const source = describeTree(dir);
  for (let round = 0; round < context.rounds; round++) {
    const tools = rotated(withoutTwin(context), round);
    const course = await startCourse(context, { scenario: "small-files", round, dir, tools });
    await rest(context);
    await course.snapshot("first");
    await course.snapshot("unchanged");
    await course.restore("restore", source);
    course.end();
  }
  removeFolder(dir);
}

/** The engine alone, on an amount of data and on three times that amount: big files of weights, and small ones. */
export async function runMemory(context: Context): Promise<void> {
  const tools = context.tools.filter(({ name }) => name === "soneca");
  for (const times of [1, 3]) {
    const dir = makeFolder(context, `memory-${times}`);
    const total = times * context.size.memoryBytes;
    for (let [i, left] = [0, total]; left > 0; i++, left -= piece) {
      const bytes = Math.min(piece, left);
      const weights = noise(bytes, `memory-${times}-${i}`);
      // Every second byte has few values, as the exponents of BF16 weights do.
      for (let at = 1; at < bytes; at += 2) weights[at] = 0x30 | (weights[at]! & 0x0f);
      writeFileSync(join(dir, `weights-${i}.bin`), weights);
      mkdirSync(join(dir, `small-${i}`));
      for (let j = 0; j < 64; j++)
        writeFileSync(join(dir, `small-${i}/${j}`), weights.subarray(j * 4096, (j + 1) * 4096));
    }
    const course = await startCourse(context, { scenario: "memory-3x", round: 0, dir, tools });
    await course.snapshot(`${times}x first`);
    await course.restore(`${times}x restore`, describeTree(dir));
    await course.verify(`${times}x verify`);
    await course.verifyData(`${times}x verify --data`);
    course.end();
    removeFolder(dir);
  }
}

function note(context: Context, scenario: string, sample: { plainBytes?: number; count?: number }): void {
  context.results.samples.push({ scenario, step: "plain", tool: "data", round: 0, ...sample });
}
