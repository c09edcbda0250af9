/** Writes the mixed workspace of a training machine. The same size and sources give the same bytes. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { addMetrics, archive, jpegLike, png, textCorpus, trainingLog } from "./files.ts";
import type { Checkpoint } from "./mlp.ts";
import type { Size } from "./sizes.ts";
import type { Sources } from "./sources.ts";
import { bf16OfFp32, type Dtype, toBf16, type WeightFile } from "./weights.ts";

export interface Inputs {
  size: Size;
  sources: Sources;
  /** As `size.mlp.steps`. */
  checkpoints: Checkpoint[];
  cacheDir: string;
}

export const kinds = {
  bf16: /^models\/bf16\//,
  fp16: /^models\/fp16\//,
  fp32: /^models\/fp32\/|^checkpoints\/step-\d*0100\/model\.fp32$|^checkpoints\/step-\d*2\/model\.fp32$/,
  int8: /^models\/int8\//,
  optimizer: /^checkpoints\/[^/]+\/adam/,
  code: /^code\//,
  libraries: /^libraries\//,
  logs: /^logs\//,
  text: /^text\//,
  images: /^images\//,
  archives: /^archives\//,
} as const;

export type Kind = keyof typeof kinds;

/** Calls `write` for every file. Paths are relative; the order is fixed. The database is written by its path alone. */
export function writeWorkspace(root: string, inputs: Inputs): { files: number; bytes: number } {
  const { size, sources, checkpoints, cacheDir } = inputs;
  const total = { files: 0, bytes: 0 };
  const write = (path: string, content: Uint8Array | string) => {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, content);
    total.files++;
    total.bytes += typeof content === "string" ? Buffer.byteLength(content) : content.length;
  };
  const taken = (dtype: Dtype, bytes: number) => withinBudget(sources.weights(dtype), bytes);
  for (const file of taken("fp16", size.bytes.bf16)) write(`models/bf16/${file.name}.bf16`, toBf16(file));
  for (const file of taken("fp16", size.bytes.fp16)) write(`models/fp16/${file.name}`, file.load());
  for (const file of taken("fp32", size.bytes.fp32)) write(`models/fp32/${file.name}`, file.load());
  for (const file of taken("int8", size.bytes.int8)) write(`models/int8/${file.name}`, file.load());
  for (const checkpoint of checkpoints.slice(0, -1)) writeCheckpoint(checkpoint, write);

  const code = sources.code(size.codeFiles);
  for (const file of code) write(`code/${file.path}`, file.load());
  let left = size.bytes.libraries;
  for (const file of sources.libraries()) {
    const content = file.load();
    if (content.length > left) continue;
    left -= content.length;
    write(`libraries/${file.path}`, content);
  }
  for (let i = 0; i < 10; i++) write(`logs/run-${i}/train.log`, trainingLog(`run-${i}`, 0, size.bytes.logs / 10));
  const documents = code.filter(({ path }) => /\.(md|d\.ts|txt)$/.test(path));
  write("text/corpus.jsonl", textCorpus(documents.length > 0 ? documents : code, size.bytes.text / 2));
  addMetrics(join(root, "text/metrics.sqlite"), "metrics", Math.floor(size.bytes.text / 2 / 100));
  total.files++;

  for (let [i, bytes] = [0, 0]; bytes < size.bytes.images; i++) {
    const content = i % 2 === 0 ? png(`image-${i}`, 256) : jpegLike(`image-${i}`, 150_000 + ((i * 7919) % 200_000));
    write(`images/${Math.floor(i / 100)}/${i}.${i % 2 === 0 ? "png" : "jpg"}`, content);
    bytes += content.length;
  }
  write("archives/code.tar.gz", archive(cacheDir, `${sources.kind}-code`, code, size.bytes.archives));
  return total;
}

export function writeCheckpoint(checkpoint: Checkpoint, write: (path: string, content: Uint8Array) => void): void {
  const folder = `checkpoints/step-${String(checkpoint.step).padStart(6, "0")}`;
  const bytes = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  write(`${folder}/model.bf16`, bf16OfFp32(checkpoint.weights));
  write(`${folder}/model.fp32`, bytes(checkpoint.weights));
  write(`${folder}/adam_m.fp32`, bytes(checkpoint.adamM));
  write(`${folder}/adam_v.fp32`, bytes(checkpoint.adamV));
}

/** Largest first, each that still fits. */
function withinBudget(files: WeightFile[], bytes: number): WeightFile[] {
  let left = bytes;
  return files.filter((file) => {
    const size = file.extents.reduce((sum, extent) => sum + extent.bytes, 0);
    if (size > left) return false;
    left -= size;
    return true;
  });
}
