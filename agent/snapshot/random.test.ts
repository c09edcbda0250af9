/** Random workspaces, random edits, a witness that shares no code with the engine. Needs root and python3. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { clearFlags } from "../fs/flags.ts";
import { Folders } from "../fs/folders.ts";
import { removeTree } from "../fs/remove.ts";
import { countDeepTree, makeDeepTree } from "../testing/deep-tree.ts";
import { type Step, steps, takeSteps } from "../testing/random-workspace.ts";
import { agentProgram } from "../testing/run-command.ts";
import { hasWitness, witness } from "../testing/witness.ts";
import { noise } from "../testing/workspace.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

const isRoot = process.getuid?.() === 0;
const numRuns = Number(process.env.SONECA_RANDOM_RUNS ?? 6);
const seed = Number(process.env.SONECA_RANDOM_SEED ?? 20_261_124);

test.skipIf(!isRoot || !hasWitness)(
  "any workspace, edited in any way, comes back as it was before and after (needs root and python3)",
  { timeout: 600_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(steps(40), steps(15), async (first, edits) => {
        const dir = mkdtempSync(join(tmpdir(), "soneca-random-"));
        const at = (name: string) => join(dir, name);
        const shared = { id: "i-random", epoch: 1, store: openFolderStore(at("store")) };
        const take = (seq: number) =>
          takeSnapshot({ ...shared, seq, root: at("work"), stateDir: at("state"), alreadyQuiet: true });
        const restore = (seq: number, to: string) =>
          restoreSnapshot({ ...shared, seq, root: at(to), stateDir: at("state"), deleteExtras: true });
        try {
          mkdirSync(at("work"));
          takeSteps(at("work"), first);
          const before = witness(at("work"));
          expect(await take(1)).toMatchObject({ ok: true, stats: { torn: 0, skipped: [] } });
          takeSteps(at("work"), edits);
          const after = witness(at("work"));
          expect(await take(2)).toMatchObject({ ok: true, stats: { torn: 0, skipped: [] } });

          expect(await restore(1, "back")).toMatchObject({ ok: true, stats: { extras: 0 } });
          expect(witness(at("back"))).toEqual(before);
          // Over what is there, forth and back.
          expect(await restore(2, "back")).toMatchObject({ ok: true, stats: { extras: 0 } });
          expect(witness(at("back"))).toEqual(after);
          expect(await restore(1, "back")).toMatchObject({ ok: true, stats: { extras: 0 } });
          expect(witness(at("back"))).toEqual(before);
          expect(await restore(2, "new")).toMatchObject({ ok: true });
          expect(witness(at("new"))).toEqual(after);
          expect(witness(at("work"))).toEqual(after);
        } finally {
          const folders = new Folders(dir, true);
          for (const name of ["work", "back", "new"]) removeTree(folders, name);
          folders.close();
          rmSync(dir, { recursive: true });
        }
      }),
      { numRuns, seed, endOnFailure: false },
    );
  },
);

/** Killed so long after its first word. Code null: it was; `tookMs`: from that word to its end. */
function restoreFor(
  ms: number,
  dir: string,
  seq: number,
  name = "back",
): Promise<{ code: number | null; tookMs: number }> {
  const places = [join(dir, name), "--store", join(dir, "store"), "--state", join(dir, `state-${name}`)];
  const args = [agentProgram, "restore", `i-random@${seq}`, ...places, "--delete", "--json"];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    let begunAt = 0;
    child.stdout.once("data", () => {
      begunAt = performance.now();
      if (Number.isFinite(ms)) timer = setTimeout(() => child.kill("SIGKILL"), ms);
    });
    child.stdout.resume();
    child.on("close", (code) => {
      clearTimeout(timer);
      resolve({ code, tookMs: performance.now() - begunAt });
    });
  });
}

test.skipIf(!isRoot || !hasWitness)(
  "a restore over another workspace, killed in each of its phases, ends exact (needs root and python3)",
  { timeout: 120_000 },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "soneca-random-"));
    const at = (name: string) => join(dir, name);
    const shared = { id: "i-random", epoch: 1, store: openFolderStore(at("store")) };
    const [first, second] = fc.sample(steps(60), { seed, numRuns: 2 }) as [Step[], Step[]];
    try {
      const wanted: string[][] = [];
      for (const [n, list] of [first, second].entries()) {
        mkdirSync(at(`work${n}`));
        takeSteps(at(`work${n}`), list);
        clearFlags(at(`work${n}`));
        mkdirSync(at(`work${n}/deep tree`));
        makeDeepTree(at(`work${n}/deep tree`), "d".repeat(100 + n), 80);
        for (let i = 0; i < 4; i++) writeFileSync(at(`work${n}/model ${i}`), noise(9_000_000, 10 * n + i));
        expect(
          await takeSnapshot({
            ...shared,
            seq: n + 1,
            root: at(`work${n}`),
            stateDir: at("state"),
            alreadyQuiet: true,
          }),
        ).toMatchObject({ ok: true, stats: { torn: 0 } });
        wanted.push(witness(at(`work${n}`)));
      }
      for (const seq of [1, 2]) {
        const { tookMs } = await restoreFor(Number.POSITIVE_INFINITY, dir, seq, "measured");
        let killed = 0;
        for (let tenths = 0; tenths < 9; tenths++)
          if ((await restoreFor((tenths / 10) * tookMs, dir, seq)).code === null) killed++;
        expect(killed).toBeGreaterThan(2);
        expect((await restoreFor(Number.POSITIVE_INFINITY, dir, seq)).code).toBe(0);
        expect(witness(at("back"))).toEqual(wanted[seq - 1]);
        expect(countDeepTree(at("back/deep tree"), "d".repeat(99 + seq), 80)).toBe(81);
      }
    } finally {
      const folders = new Folders(dir, true);
      for (const name of ["work0", "work1", "back", "measured"]) removeTree(folders, name);
      folders.close();
      rmSync(dir, { recursive: true });
    }
  },
);
