/** Random changes to a workspace, from a seed: what people and programs do to their files between two nights. */
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createRandom, noise, type Random } from "../../bench/random.ts";

const mostBytes = 1_500_000;
const largest = 150_000;

interface Tree {
  files: string[];
  folders: string[];
  bytes: number;
}

/** What every workspace begins with. */
export function writeFirst(root: string, seed: string): void {
  const random = createRandom(seed);
  for (let i = 0; i < 25; i++) {
    const folder = join(root, `run-${i % 4}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${i}.bin`), noise(random.below(20_000), `${seed} ${i}`));
  }
  writeFileSync(join(root, "notes.txt"), "what was tried\n".repeat(200));
}

/** Makes `count` changes below `root`. `live/` is left alone. The result follows from the seed and from what is there. */
export function change(root: string, seed: string, count: number): void {
  const random = createRandom(seed);
  for (let i = 0; i < count; i++) {
    const tree = read(root);
    const act = tree.bytes > mostBytes ? remove : random.pick(acts);
    act({ root, random, tree, name: `${random.pick(names)}${random.below(1_000)}`, seed: `${seed} ${i}` });
  }
}

interface Scene {
  root: string;
  random: Random;
  tree: Tree;
  name: string;
  seed: string;
}

const names = ["checkpoint-", "log ", "é", "-rf", "a\nb", "..x", ".hidden", "data_"];

const acts: ((scene: Scene) => void)[] = [
  create,
  create,
  append,
  append,
  overwrite,
  replace,
  rename,
  remove,
  makeFolder,
  links,
  sparse,
  rights,
  times,
];

function create({ root, random, tree, name, seed }: Scene): void {
  const text = random.next() < 0.3 ? Buffer.alloc(random.below(50_000), "epoch 1 loss 0.5\n") : null;
  put(join(root, random.pick(tree.folders), name), text ?? noise(random.below(largest), seed));
}

function append({ root, random, tree, seed }: Scene): void {
  if (tree.files.length > 0) appendFileSync(join(root, random.pick(tree.files)), noise(1 + random.below(20_000), seed));
}

/** In place, the size stays. */
function overwrite({ root, random, tree, seed }: Scene): void {
  if (tree.files.length === 0) return;
  const path = join(root, random.pick(tree.files));
  const { size } = lstatSync(path);
  if (size === 0) return;
  const file = openSync(path, "r+");
  const at = random.below(size);
  writeSync(file, noise(Math.min(size - at, 1 + random.below(5_000)), seed), 0, undefined, at);
  closeSync(file);
}

/** As programs save: written beside, then renamed over. */
function replace({ root, random, tree, seed }: Scene): void {
  if (tree.files.length === 0) return;
  const path = join(root, random.pick(tree.files));
  writeFileSync(`${path}.new`, noise(random.below(100_000), seed));
  renameSync(`${path}.new`, path);
}

function rename({ root, random, tree, name }: Scene): void {
  const from = random.pick([...tree.files, ...tree.folders.slice(1)]);
  const folder = random.pick(tree.folders);
  const to = join(folder, name);
  if (from === undefined || to.startsWith(`${from}/`) || existsSync(join(root, to))) return;
  renameSync(join(root, from), join(root, to));
}

function remove({ root, random, tree }: Scene): void {
  const all = [...tree.files, ...tree.folders.slice(1)];
  if (all.length > 0) rmSync(join(root, random.pick(all)), { recursive: true, force: true });
}

function makeFolder({ root, random, tree, name }: Scene): void {
  mkdirSync(join(root, random.pick(tree.folders), name, "empty"), { recursive: true });
}

function links({ root, random, tree, name }: Scene): void {
  const target = tree.files.length > 0 ? random.pick(tree.files) : "nowhere";
  const path = join(root, random.pick(tree.folders), name);
  if (lstatSync(path, { throwIfNoEntry: false })) return;
  if (random.next() < 0.5 && tree.files.length > 0) linkSync(join(root, target), path);
  else symlinkSync(target, path);
}

function sparse({ root, random, tree, name, seed }: Scene): void {
  const path = join(root, random.pick(tree.folders), name);
  if (existsSync(path)) return;
  const file = openSync(path, "w");
  ftruncateSync(file, 900_000 + random.below(600_000));
  writeSync(file, noise(1 + random.below(3_000), seed), 0, undefined, random.below(900_000));
  closeSync(file);
}

function rights({ root, random, tree }: Scene): void {
  const path = join(root, random.pick([...tree.files, ...tree.folders.slice(1), "notes.txt"]));
  if (!existsSync(path)) return;
  chmodSync(
    path,
    lstatSync(path).isDirectory() ? random.pick([0o755, 0o700, 0o1777]) : random.pick([0o600, 0o4755, 0o444, 0]),
  );
  if (process.getuid?.() === 0) spawnSync("chown", ["-h", `${1000 + random.below(3)}:${random.below(3)}`, path]);
}

function times({ root, random, tree }: Scene): void {
  if (tree.files.length === 0) return;
  lutimesSync(join(root, random.pick(tree.files)), 1, random.below(2_000_000_000) + random.below(1_000) / 1_000);
}

function put(path: string, content: Buffer): void {
  if (existsSync(path) && lstatSync(path).isDirectory()) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** Sorted, so that the same tree is read the same on every file system. */
function read(root: string): Tree {
  const tree: Tree = { files: [], folders: ["."], bytes: 0 };
  const queue = ["."];
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    for (const name of readdirSync(join(root, folder)).sort()) {
      const path = join(folder, name);
      if (path === "live") continue;
      const stat = lstatSync(join(root, path));
      if (stat.isDirectory()) {
        tree.folders.push(path);
        queue.push(path);
      } else if (stat.isFile()) {
        tree.files.push(path);
        tree.bytes += stat.blocks * 512;
      }
    }
  }
  return { files: tree.files.sort(), folders: [".", ...tree.folders.slice(1).sort()], bytes: tree.bytes };
}
