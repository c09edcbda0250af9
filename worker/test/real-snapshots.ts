/** Brings snapshots that the engine took on Node into the tests' store, as those of an instance. */
import { env } from "cloudflare:workers";
import { formatManifest, parseManifest } from "../../core/snapshot/manifest.ts";
import { manifestObjectKey, parseObjectKey, partObjectKey } from "../../core/snapshot/store.ts";

/** Of one path; `path` and `target` in hexadecimal. */
export interface Truth {
  path: string;
  type: "file" | "folder" | "link" | "fifo" | "device";
  size: number;
  sha256: string | null;
  mode: string;
  mtimeMs: number;
  target: string | null;
}

const read = (name: string) => env.REAL_SNAPSHOTS.fetch(`http://snapshots/${encodeURIComponent(name)}`);

/** All snapshots of `from`, under the numbers that they have. */
export async function storeSnapshots(from: "nasty" | "small", instance: string): Promise<void> {
  files ??= (await read("")).json();
  await Promise.all(
    (await files).map(async (file) => {
      const key = parseObjectKey(file.slice("store/".length));
      if (key?.instance !== from) return;
      const bytes = await (await read(file)).arrayBuffer();
      if (key.kind === "part") {
        await env.SNAPSHOTS.put(partObjectKey(instance, key.sha256), bytes, { sha256: key.sha256 });
        return;
      }
      const parsed = parseManifest(new TextDecoder().decode(bytes));
      if (!parsed.ok) throw new Error(parsed.message);
      const name = manifestObjectKey(instance, key.seq, key.epoch);
      await env.SNAPSHOTS.put(name, formatManifest({ ...parsed.manifest, instance }));
    }),
  );
}

let files: Promise<string[]> | undefined;

export async function truthOf(from: "nasty" | "small", seq: number): Promise<Truth[]> {
  return (await read(`truth/${from}-${seq}.json`)).json();
}
