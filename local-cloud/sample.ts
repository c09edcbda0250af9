/** A small workspace of the kind that an ML engineer has, made from fixed seeds: real files, not filler. */
import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

const day = 86_400;
/** A fixed moment, so that the same workspace comes out each time. */
const madeAt = 1_790_000_000;

/** Fills `root` (which exists) with about 24 MB in some 250 entries. */
export function writeSampleWorkspace(root: string): void {
  const put = (path: string, content: string | Uint8Array, ageDays = 0) => {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
    utimesSync(file, madeAt, madeAt - ageDays * day + 0.123456);
    return file;
  };

  put("README.md", "# digits\n\nA small classifier, trained on the machine that this folder lives on.\n", 9);
  put("train.py", trainScript, 4);
  chmodSync(put("run.sh", "#!/bin/sh\nexec python3 train.py --epochs 40\n", 4), 0o755);
  chmodSync(put(".env", "WANDB_MODE=offline\n", 9), 0o600);
  for (let i = 0; i < 160; i++) put(`data/labels/${String(i).padStart(4, "0")}.json`, labelFile(i), 12);
  for (let i = 0; i < 24; i++) put(`runs/2026-09-2${i % 10}/events.${i}.log`, logFile(i), 3);
  for (const [i, step] of [1000, 2000, 3000].entries())
    put(`checkpoints/step-${step}.bin`, weights(i + 1, 2_000_000), 2 - i);
  linkSync(join(root, "checkpoints/step-3000.bin"), join(root, "checkpoints/best.bin"));
  symlinkSync("step-3000.bin", join(root, "checkpoints/latest"));
  symlinkSync("/datasets/not-mounted", join(root, "data/raw"));
  lutimesSync(join(root, "data/raw"), madeAt, madeAt - 30 * day);
  put("notes/prüfung – año.txt", "Names with other letters are names too.\n", 1);
  mkdirSync(join(root, "tmp/empty"), { recursive: true });
  chmodSync(join(root, "tmp/empty"), 0o700);
  // A sparse file: a megabyte that takes no room.
  truncateSync(put("cache/index.db", "sparse"), 1_048_576);
}

/** A service for the machine that this workspace lives on: `node serve.mjs PORT`. */
export function writeSampleService(root: string): void {
  writeFileSync(join(root, "serve.mjs"), serviceScript);
}

/** Numbers of a normal distribution as BF16, the way that weights look. */
function weights(seed: number, count: number): Uint8Array {
  const random = mulberry32(seed);
  const bytes = new Uint8Array(count * 2);
  const float = new Float32Array(1);
  const raw = new Uint8Array(float.buffer);
  for (let i = 0; i < count; i++) {
    float[0] = 0.02 * Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random());
    bytes[2 * i] = raw[2]!;
    bytes[2 * i + 1] = raw[3]!;
  }
  return bytes;
}

function labelFile(i: number): string {
  const random = mulberry32(i + 77);
  const boxes = Array.from({ length: 12 }, () => ({
    x: Math.round(random() * 640),
    y: Math.round(random() * 480),
    class: Math.floor(random() * 10),
  }));
  return `${JSON.stringify({ image: `img_${i}.png`, boxes }, null, 2)}\n`;
}

function logFile(i: number): string {
  const random = mulberry32(i + 999);
  const lines = Array.from(
    { length: 2000 },
    (_, step) => `step=${step * 10} loss=${(2.3 * Math.exp(-step / 700) + 0.05 * random()).toFixed(4)} lr=0.0003\n`,
  );
  return lines.join("");
}

function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const serviceScript = `// Answers what it has: the newest checkpoint, and the digit that it sees in a text.
import { readdirSync, statSync } from "node:fs";
import { createServer } from "node:http";

createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  const newest = readdirSync("checkpoints").filter((name) => name.startsWith("step-")).sort().at(-1);
  const { size } = statSync("checkpoints/" + newest);
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ model: newest, bytes: size, digit: /\\d/.exec(text)?.[0] ?? null }) + "\\n");
}).listen(Number(process.argv[2]), "127.0.0.1");
`;

const trainScript = `import argparse
import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=10)
args = parser.parse_args()

model = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)).cuda()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
for epoch in range(args.epochs):
    torch.save(model.state_dict(), f"checkpoints/epoch-{epoch}.pt")
`;
