/** A day's work on the workspace: what changes between an evening and the next. */
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createRandom } from "../random.ts";
import { addMetrics, jpegLike, trainingLog } from "./files.ts";
import { type Inputs, writeCheckpoint } from "./workspace.ts";

export interface Day {
  newBytes: number;
  edited: number;
  deleted: number;
  renamedFolders: number;
}

/** Changes the workspace in place; deterministic. */
export function workForADay(root: string, inputs: Inputs): Day {
  const random = createRandom("day");
  const day: Day = { newBytes: 0, edited: 0, deleted: 0, renamedFolders: 0 };
  const write = (path: string, content: Uint8Array) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    day.newBytes += content.length;
  };
  writeCheckpoint(inputs.checkpoints.at(-1)!, write);
  for (let i = 0; i < 3; i++) {
    const lines = trainingLog(`run-${i}`, 1_000_000, inputs.size.bytes.logs / 100);
    appendFileSync(join(root, `logs/run-${i}/train.log`), lines);
    day.newBytes += lines.length;
  }
  addMetrics(join(root, "text/metrics.sqlite"), "day", Math.ceil(inputs.size.bytes.text / 10_000));
  for (let i = 0; i < 10; i++) write(`images/today/${i}.jpg`, jpegLike(`today-${i}`, inputs.size.bytes.images / 2_000));

  const files = listFiles(join(root, "code"));
  for (let i = 0; i < Math.ceil(files.length / 500); i++) {
    const path = random.pick(files);
    const text = readFileSync(path, "latin1");
    const at = random.below(text.length + 1);
    writeFileSync(path, `${text.slice(0, at)}\n// changed ${i}\n${text.slice(at)}`, "latin1");
    day.edited++;
  }
  for (let i = 0; i < Math.ceil(files.length / 1000); i++) {
    unlinkSync(files.splice(random.below(files.length), 1)[0]!);
    day.deleted++;
  }
  const folders = readdirSync(join(root, "code")).sort();
  for (const name of [folders[0]!, folders.at(-1)!]) {
    renameSync(join(root, "code", name), join(root, "code", `${name}-renamed`));
    day.renamedFolders++;
  }
  mkdirSync(join(root, "images/archive"));
  renameSync(join(root, "images/0"), join(root, "images/archive/0"));
  day.renamedFolders++;
  changeOneByte(largestFile(join(root, "models/fp16")));
  day.edited++;
  return day;
}

/** In the middle of the file, in place. */
export function changeOneByte(path: string): void {
  const file = openSync(path, "r+");
  const at = Math.floor(statSync(path).size / 2);
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  writeSync(file, Buffer.from([byte[0]! ^ 0x55]), 0, 1, at);
  closeSync(file);
}

/** Sorted, whole paths. */
export function listFiles(root: string): string[] {
  return readdirSync(root, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function largestFile(root: string): string {
  return listFiles(root).reduce((a, b) => (statSync(b).size > statSync(a).size ? b : a));
}
