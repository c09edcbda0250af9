/** What a command is: its shape on the command line, and its work. */
import type { SnapshotStore } from "../../core/snapshot/store.ts";
import { type MirrorStats, openMirroredStore } from "../snapshot/mirror.ts";
import { Stop } from "../snapshot/stop.ts";
import type { SkippedPath } from "../snapshot/types.ts";
import type { CommandShape, Options } from "./options.ts";
import type { Output } from "./output.ts";
import { openPlace, type Place, parsePlace } from "./places.ts";

export interface Context {
  positionals: string[];
  options: Options;
  place: Place;
  output: Output;
  signal: AbortSignal;
}

/** `ok: false` also carries `code` and `message`. */
export type Summary = { ok: boolean; code?: string; message?: string; [field: string]: unknown };

export interface Command extends CommandShape {
  /** stdout is not for lines. */
  writesBytes?: boolean;
  /** `text`: the summary for people; "" for none. Errors: Stop, StoreError, FormatError. */
  run(context: Context): Promise<{ summary: Summary; text: string }>;
}

/** The store with `--mirror` in front of it, where one is given. */
export function withMirror(
  { options, output, place }: Context,
  main: SnapshotStore,
  id: string,
): { store: SnapshotStore; mirror: MirrorStats | null } {
  if (options.mirror === undefined) return { store: main, mirror: null };
  const near = parsePlace(options.mirror);
  if (near.kind === "worker") throw new Stop("usage", "--mirror is a folder or s3://BUCKET/PREFIX.", false);
  if (near.name === place.name) throw new Stop("usage", "--mirror is the store itself.", false);
  const mirror = openPlace(near, id, { tries: 2, idleTimeoutMs: 10_000 });
  const onTrouble = (reason: string) => output.warning({ reason });
  const { store, stats } = openMirroredStore({ main, mirror, onTrouble });
  return { store, mirror: stats };
}

export function warnAll(output: Output, degraded: string[], skipped: SkippedPath[]): void {
  for (const reason of degraded) output.warning({ reason });
  for (const { path, reason } of skipped) output.warning({ path, reason });
}
