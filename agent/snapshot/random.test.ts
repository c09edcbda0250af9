/** Random workspaces, random edits, a witness that shares no code with the engine. Needs root and python3. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Folders } from "../fs/folders.ts";
import { removeTree } from "../fs/remove.ts";
import { steps, takeSteps } from "../testing/random-workspace.ts";
import { hasWitness, witness } from "../testing/witness.ts";
import { restoreSnapshot } from "./restore.ts";
import { openFolderStore } from "./store-folder.ts";
import { takeSnapshot } from "./take.ts";

const isRoot = process.getuid?.() === 0;
const numRuns = Number(process.env.SONECA_RANDOM_RUNS ?? 15);
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
