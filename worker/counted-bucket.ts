/** The snapshots' bucket, with each request counted by R2's price classes and each whole listing added up. */

export interface Tally {
  /** Writes and lists. */
  classA: number;
  /** Reads. */
  classB: number;
  /** Bytes under a prefix by a listing that went to its end, while nothing was written or deleted since. */
  listed: Map<string, number>;
}

export function newTally(): Tally {
  return { classA: 0, classB: 0, listed: new Map() };
}

type Counted = Pick<R2Bucket, "head" | "get" | "put" | "delete" | "list">;

/** A request counts whether or not it succeeds; deletes are free. Multipart uploads are not offered. */
export function countedBucket(bucket: R2Bucket, tally: Tally): R2Bucket {
  const sums = new Map<string, number>();
  const counted: Counted = {
    head(key) {
      tally.classB++;
      return bucket.head(key);
    },
    get(key: string, options?: R2GetOptions) {
      tally.classB++;
      // biome-ignore lint/suspicious/noExplicitAny: the overloads of R2Bucket.get differ by their options alone
      return bucket.get(key, options) as Promise<any>;
    },
    put(key: string, value: Parameters<R2Bucket["put"]>[1], options?: R2PutOptions) {
      tally.classA++;
      tally.listed.clear();
      // biome-ignore lint/suspicious/noExplicitAny: as for get
      return bucket.put(key, value, options) as Promise<any>;
    },
    delete(keys) {
      tally.listed.clear();
      return bucket.delete(keys);
    },
    async list(options) {
      tally.classA++;
      const page = await bucket.list(options);
      const prefix = options?.prefix ?? "";
      const before = options?.cursor === undefined ? 0 : sums.get(prefix);
      if (before === undefined || options?.delimiter !== undefined || options?.startAfter !== undefined) return page;
      const sum = page.objects.reduce((total, one) => total + one.size, before);
      sums.set(prefix, sum);
      if (!page.truncated) tally.listed.set(prefix, sum);
      return page;
    },
  };
  return counted as R2Bucket;
}

/**
 * All bytes under `root`: of whole listings that were made anyway, and of new ones for what is missing. `parts` are the
 * prefixes that make up the whole. Errors: whatever the bucket throws.
 */
export async function storedBytes(bucket: R2Bucket, tally: Tally, parts: readonly string[]): Promise<number> {
  let sum = 0;
  for (const prefix of parts) {
    if (!tally.listed.has(prefix)) {
      let cursor: string | undefined;
      do {
        const page: R2Objects = await bucket.list({ prefix, cursor });
        cursor = page.truncated ? page.cursor : undefined;
      } while (cursor);
    }
    sum += tally.listed.get(prefix) ?? 0;
  }
  return sum;
}
