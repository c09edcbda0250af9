/** The snapshot engine, bound to this machine's workspace and to the store behind the control plane. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { agentVersion, type Settings, type Tokens } from "./identity.ts";
import { restoreSnapshot } from "./snapshot/restore.ts";
import { scanDigest } from "./snapshot/scan-folder.ts";
import { openWorkerStore } from "./snapshot/store-worker.ts";
import { takeSnapshot } from "./snapshot/take.ts";
import type { Engine } from "./work-run.ts";

export function createEngine({ url, instance: id, epoch, workspace: root, home }: Settings, tokens: Tokens): Engine {
  const stateDir = join(home, "snapshot");
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const store = openWorkerStore({ url, token: tokens.current, instance: id });
  return {
    take: (options) => takeSnapshot({ ...options, root, id, epoch, store, stateDir, agentVersion }),
    scan: (options) => scanDigest({ ...options, root, id, stateDir }),
    restore: ({ snapshot: { seq, epoch, digest }, ...options }) =>
      // "Equal" means that nothing else is there: an extra file would be in the next snapshot.
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
  };
}
