/** Bounds on what happens at once: a number of items, and a number of bytes. */
import type { SnapshotStore } from "../../core/snapshot/store.ts";

/** Of parts in memory on their way to or from a network store. With everything else the process stays below 1 GiB. */
const bytesInFlight = 256 * 1024 * 1024;
const defaultInFlight = 32;

/** How many parts of `partBytes` may be on their way at once. */
export function partsInFlight(store: SnapshotStore, wanted: number | undefined, partBytes: number): number {
  const most = Math.min(wanted ?? defaultInFlight, store.mostInFlight ?? defaultInFlight);
  return Math.max(1, Math.min(most, Math.floor(bytesInFlight / partBytes)));
}

/** How many parts are read at once: enough that every coder thread has one while the next ones come. */
export function partLanes(
  store: SnapshotStore,
  wanted: number | undefined,
  partBytes: number,
  coders: { size: number },
): number {
  return Math.max(partsInFlight(store, wanted, partBytes), Math.min(wanted ?? defaultInFlight, coders.size + 1));
}

/** Runs `work` over all items, at most `limit` at a time. The first error stops the taking of items and is thrown. */
export async function forEachInFlight<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const lane = async () => {
    while (!failed && next < items.length) {
      try {
        await work(items[next++]!);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(limit, items.length) }, lane));
  const broken = lanes.find((result) => result.status === "rejected");
  if (broken) throw broken.reason;
}
