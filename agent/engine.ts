/** The snapshot engine, bound to this machine's workspace and to the store behind the control plane. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { version } from "../core/protocol/version.ts";
import type { Settings, Tokens } from "./identity.ts";
import { findChanges } from "./snapshot/changes.ts";
import { restoreSnapshot } from "./snapshot/restore.ts";
import { scanDigest } from "./snapshot/scan-folder.ts";
import { openWorkerStore } from "./snapshot/store-worker.ts";
import { takeSnapshot } from "./snapshot/take.ts";
import type { Engine } from "./work-run.ts";

export function createEngine({ url, instance: id, epoch, workspace: root, home }: Settings, tokens: Tokens): Engine {
  const stateDir = join(home, "snapshot");
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const store = openWorkerStore({ url, token: tokens.current, instance: id });
  // Digest of what the stat cache holds, as long as nothing else wrote into it. A run that ends early leaves part of its own.
  let cached: string | null = null;
  const noting = async <R extends { ok: boolean }>(run: Promise<R>): Promise<R> => {
    cached = null;
    const result = await run;
    cached = "digest" in result && typeof result.digest === "string" ? result.digest : null;
    return result;
  };
  return {
    take: (options) => noting(takeSnapshot({ ...options, root, id, epoch, store, stateDir, agentVersion: version })),
    scan: (options) => noting(scanDigest({ ...options, root, id, stateDir })),
    changesSince: async ({ digest, signal }) =>
      digest === null || digest !== cached ? null : findChanges({ root, id, stateDir, signal }),
    restore: ({ snapshot: { seq, epoch, digest }, ...options }) =>
      // "Equal" means that nothing else is there: an extra file would be in the next snapshot.
      noting(
        restoreSnapshot({
          ...options,
          id,
          seq,
          epoch,
          expectedDigest: digest,
          root,
          store,
          stateDir,
          deleteExtras: true,
        }),
      ),
  };
}
