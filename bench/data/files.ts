/** Contents that a training machine has besides weights and code: logs, a database, text, pictures, archives. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { crc32, deflateSync, gzipSync } from "node:zlib";
import { createRandom, noise } from "../random.ts";
import type { SourceFile } from "./sources.ts";

/** Lines of a training run from step `from` on, until there are `bytes` of them. */
export function trainingLog(seed: string, from: number, bytes: number): string {
  const random = createRandom(`${seed}-${from}`);
  const lines: string[] = [];
  for (let [step, length] = [from, 0]; length < bytes; step++) {
    const at = new Date(1_760_000_000_000 + step * 731).toISOString();
    const loss = (2.5 / Math.sqrt(1 + step / 50) + 0.02 * random.gauss()).toFixed(6);
    const line =
      random.next() < 0.02
        ? `${at} WARNING dataloader worker ${random.below(8)} was slow: ${(random.next() * 3).toFixed(2)} s\n`
        : `${at} INFO step=${step} loss=${loss} lr=${(2e-5 * (1 - step / 1e6)).toExponential(4)} grad_norm=${(1 + 0.3 * random.gauss()).toFixed(4)} tokens/s=${(41_000 + 900 * random.gauss()).toFixed(1)} mem=${(61.2 + 0.1 * random.gauss()).toFixed(2)}GiB\n`;
    lines.push(line);
    length += line.length;
  }
  return lines.join("");
}

/** Adds `rows` rows of metrics to the SQLite database at `path`, made when missing. */
export function addMetrics(path: string, seed: string, rows: number): void {
  const random = createRandom(seed);
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF");
  database.exec(
    "CREATE TABLE IF NOT EXISTS metrics (id INTEGER PRIMARY KEY, run TEXT, name TEXT, step INT, value REAL)",
  );
  database.exec("CREATE INDEX IF NOT EXISTS by_run ON metrics (run, name, step)");
  const insert = database.prepare("INSERT INTO metrics (run, name, step, value) VALUES (?, ?, ?, ?)");
  database.exec("BEGIN");
  for (let i = 0; i < rows; i++) {
    const name = random.pick(["train/loss", "eval/loss", "eval/accuracy", "lr", "grad_norm", "gpu/util", "gpu/mem"]);
    insert.run(`${seed}-run-${i >> 12}`, name, i, random.gauss());
  }
  database.exec("COMMIT");
  database.close();
}

/** JSON lines of real text (the packages' documents), as a set of training examples has. */
export function textCorpus(files: readonly SourceFile[], bytes: number): string {
  const lines: string[] = [];
  let length = 0;
  for (const file of files) {
    if (length >= bytes) break;
    const line = `${JSON.stringify({ source: file.path, text: file.load().toString() })}\n`;
    lines.push(line);
    length += line.length;
  }
  return lines.join("").slice(0, bytes);
}

/** A picture: smooth colours and the noise of a sensor, RGB, 8 bits. */
export function png(seed: string, side: number): Buffer {
  const random = createRandom(seed);
  const grain = noise(side * side * 3, seed);
  const [fx, fy, turn] = [random.next() * 6, random.next() * 6, random.next() * 6];
  const rows = Buffer.alloc(side * (side * 3 + 1));
  for (let [y, at, from] = [0, 0, 0]; y < side; y++) {
    rows[at++] = 0;
    const wave = Math.sin((fy * y) / side + turn);
    for (let x = 0; x < side; x++) {
      const shade = 128 + 60 * (Math.sin((fx * x) / side) + wave * 0.5);
      for (let c = 0; c < 3; c++) rows[at++] = shade + 12 * c + (grain[from++]! & 31);
    }
  }
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2], 8);
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows, { level: 1 })),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** What a JPEG is to a coder: markers, then bytes without a pattern. No picture comes out of it. */
export function jpegLike(seed: string, bytes: number): Buffer {
  const body = noise(bytes - 4, seed);
  return Buffer.concat([Buffer.from([0xff, 0xd8]), body, Buffer.from([0xff, 0xd9])]);
}

/** A .tar.gz of the files, made once and kept in the cache. `bytes` is about what comes out. */
export function archive(cacheDir: string, name: string, files: readonly SourceFile[], bytes: number): Buffer {
  const kept = join(cacheDir, `${name}-${files.length}-${bytes}.tar.gz`);
  if (existsSync(kept)) return readFileSync(kept);
  const folder = `${kept}.tmp-${process.pid}`;
  try {
    for (let [i, plain] = [0, 0]; i < files.length && plain < 4 * bytes; i++) {
      const content = files[i]!.load();
      const path = join(folder, files[i]!.path);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, content);
      plain += content.length;
    }
    const fixed = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"];
    const tar = spawnSync("tar", [...fixed, "-C", folder, "-cf", "-", "."], { maxBuffer: 2 ** 31 });
    if (tar.status !== 0) throw new Error(`tar: ${tar.error?.message ?? tar.stderr.toString()}`);
    writeFileSync(`${kept}.new`, gzipSync(tar.stdout).subarray(0, bytes));
    renameSync(`${kept}.new`, kept);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return readFileSync(kept);
}
