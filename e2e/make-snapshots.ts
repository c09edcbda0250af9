/**
 * Makes snapshots with the real engine in `DIR/store`, and beside them what each workspace held, in `DIR/truth`: for tests
 * that read them with another reader. `node e2e/make-snapshots.ts DIR`
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openFolderStore } from "../agent/snapshot/store-folder.ts";
import { takeSnapshot } from "../agent/snapshot/take.ts";
import { checkpointOf, Weights } from "../agent/testing/weights.ts";
import { makeHardWorkspace, noise } from "../agent/testing/workspace.ts";

const mib = 1024 * 1024;
const dir = process.argv[2]!;
const at = (...names: string[]) => join(dir, ...names);

/** Of one path; `path` in hexadecimal. */
interface Truth {
  path: string;
  type: "file" | "folder" | "link" | "fifo" | "device";
  size: number;
  sha256: string | null;
  mode: string;
  mtimeMs: number;
  target: string | null;
}

async function take(id: string, seq: number): Promise<void> {
  const root = at("work", id);
  const store = openFolderStore(at("store"));
  const taken = await takeSnapshot({ root, id, epoch: 1, seq, store, stateDir: at("state") });
  if (!taken.ok) throw new Error(taken.message);
  mkdirSync(at("truth"), { recursive: true });
  writeFileSync(at("truth", `${id}-${seq}.json`), JSON.stringify(describe(root)));
}

function describe(root: string): Truth[] {
  const found: Truth[] = [];
  const visit = (path: string) => {
    const full = Buffer.from(path === "" ? root : `${root}/${path}`, "latin1");
    const stat = lstatSync(full);
    if (stat.isSocket()) return;
    const type = stat.isFile()
      ? "file"
      : stat.isDirectory()
        ? "folder"
        : stat.isSymbolicLink()
          ? "link"
          : stat.isFIFO()
            ? "fifo"
            : "device";
    found.push({
      path: Buffer.from(path, "latin1").toString("hex"),
      type,
      size: type === "file" ? stat.size : 0,
      sha256: type === "file" ? createHash("sha256").update(readFileSync(full)).digest("hex") : null,
      mode: (stat.mode & 0o7777).toString(8).padStart(4, "0"),
      mtimeMs: Math.floor(stat.mtimeMs),
      target: type === "link" ? readlinkSync(full, { encoding: "hex" as "utf8" }) : null,
    });
    if (type !== "folder") return;
    for (const name of readdirSync(full, { encoding: "latin1" })) visit(path === "" ? name : `${path}/${name}`);
  };
  visit("");
  return found;
}

/** Old enough that nothing is said to have moved under the reader. */
function write(path: string, bytes: string | Uint8Array): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, bytes);
  utimesSync(path, 1_600_000_000, 1_600_000_000);
}

async function makeNasty(): Promise<void> {
  const root = at("work", "nasty");
  const workspace = await makeHardWorkspace(root);
  write(join(root, "100% of it"), "percent");
  // Random, text and zeros: chunks of each codec, seventy megabytes.
  const text = Buffer.alloc(20 * mib, "a line of a log that is much like the next one\n");
  write(join(root, "seventy"), Buffer.concat([noise(28 * mib, 7), text, Buffer.alloc(22 * mib), noise(777, 8)]));
  // The same chunks again, farther apart than a reader keeps them.
  write(join(root, "twice"), Buffer.concat([noise(15 * mib, 9), noise(15 * mib, 9)]));
  for (let i = 0; i < 4000; i++) write(join(root, "crowd", `file-${i}`), `number ${i}`);
  for (let i = 0; i < 30; i++) write(join(root, "crowd", `sub-${i}`, "inner", "file"), `inner ${i}`);
  // One coded against the other.
  const weights = new Weights(4 * mib);
  write(join(root, "run", "checkpoint-1100", "model.safetensors"), checkpointOf(weights.bf16(), "{head of 1100}"));
  weights.train(10, 3e-6);
  write(join(root, "run", "checkpoint-1200", "model.safetensors"), checkpointOf(weights.bf16(), "{a longer head}"));
  write(join(root, "run", "fp32.bin"), new Weights(mib, 3).fp32());
  await take("nasty", 1);

  write(join(root, "a", "x"), "other bytes below a");
  rmSync(join(root, "crowd", "file-77"));
  write(join(root, "crowd", "file-78x"), "new");
  chmodSync(join(root, "crowd", "file-80"), 0o600);
  renameSync(join(root, "run", "fp32.bin"), join(root, "run", "fp32-moved.bin"));
  await take("nasty", 2);
  await workspace.close();
}

async function makeSmall(): Promise<void> {
  const root = at("work", "small");
  write(join(root, "kept"), "as it was");
  // Some chunks, in a part of their own.
  write(join(root, "pieces"), Buffer.concat([noise(5 * mib, 5), new Weights(mib, 6).bf16()]));
  write(join(root, "old"), "goes");
  await take("small", 90);
  rmSync(join(root, "old"));
  write(join(root, "new"), "comes");
  await take("small", 91);
}

await makeSmall();
await makeNasty();
