/** What every store adapter must do. `makeStore` gives a fresh, empty store for the instance "i-conform". */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { manifestObjectKey, partObjectKey, type SnapshotStore, StoreError } from "../store.ts";

export interface StoreUnderTest {
  store: SnapshotStore;
  close: () => Promise<void>;
  /** Whether it takes the caller's word for the hash: nothing lies between the two that could change a byte. */
  trustsCaller?: boolean;
  /** Whether it collects its garbage by itself. */
  refusesDelete?: boolean;
}

const instance = "i-conform";
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const bytesOf = (text: string) => new Uint8Array(Buffer.from(text));

export function testStore(name: string, makeStore: () => Promise<StoreUnderTest>): void {
  const withStore = (work: (under: StoreUnderTest) => Promise<void>) => async () => {
    const under = await makeStore();
    try {
      await work(under);
    } finally {
      await under.close();
    }
  };
  const part = bytesOf("the bytes of a part");
  const key = partObjectKey(instance, sha256(part));
  const list = async (store: SnapshotStore, prefix: string) => {
    const found = [];
    for await (const object of store.list(prefix)) found.push(object);
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  };
  const codeOf = async (work: Promise<unknown>) => {
    const error = await work.then(
      () => null,
      (reason) => reason,
    );
    return error instanceof StoreError ? error.code : error;
  };

  describe(`${name} store`, () => {
    test(
      "gives back what was put",
      withStore(async ({ store }) => {
        expect(await store.put(key, part, sha256(part))).toBe("created");
        expect(Buffer.from(await store.get(key)).toString()).toBe("the bytes of a part");
        expect(await store.head(key)).toMatchObject({ key, bytes: part.length });
      }),
    );

    test(
      "takes the same part again",
      withStore(async ({ store }) => {
        await store.put(key, part, sha256(part));
        expect(await store.put(key, part, sha256(part))).toBe("exists");
      }),
    );

    test(
      "takes two equal puts at once",
      withStore(async ({ store }) => {
        const results = await Promise.all([1, 2, 3, 4].map(() => store.put(key, part, sha256(part))));
        expect(results).toContain("created");
        expect(Buffer.from(await store.get(key)).equals(part)).toBe(true);
      }),
    );

    test(
      "never puts other bytes in the place of a manifest",
      withStore(async ({ store }) => {
        const at = manifestObjectKey(instance, 7, 2);
        const first = bytesOf('{"first":true}');
        const other = bytesOf('{"first":false}');
        expect(await store.put(at, first, sha256(first))).toBe("created");
        expect(await store.put(at, first, sha256(first))).toBe("exists");
        expect(await codeOf(store.put(at, other, sha256(other)))).toBe("manifest_exists");
        expect(Buffer.from(await store.get(at)).equals(first)).toBe(true);
      }),
    );

    test(
      "refuses bytes of another hash",
      withStore(async ({ store, trustsCaller }) => {
        if (trustsCaller) return;
        expect(await codeOf(store.put(key, bytesOf("others"), sha256(part)))).toBe("bytes_differ");
        expect(await store.head(key)).toBeNull();
      }),
    );

    test(
      "says what is not there",
      withStore(async ({ store }) => {
        expect(await codeOf(store.get(key))).toBe("object_not_found");
        expect(await store.head(key)).toBeNull();
        expect(await list(store, `i/${instance}/parts/`)).toEqual([]);
      }),
    );

    test(
      "gives ranges",
      withStore(async ({ store }) => {
        await store.put(key, part, sha256(part));
        const text = async (range: { offset: number; length?: number }) =>
          Buffer.from(await store.get(key, range)).toString();
        expect(await text({ offset: 4, length: 5 })).toBe("bytes");
        expect(await text({ offset: 15 })).toBe("part");
        expect(await text({ offset: 15, length: 1000 })).toBe("part");
        expect(await text({ offset: -4 })).toBe("part");
        expect(await text({ offset: -1000 })).toBe("the bytes of a part");
        expect(await codeOf(store.get(key, { offset: 1000, length: 1 }))).toBe("range_invalid");
      }),
    );

    test(
      "lists each folder by itself",
      withStore(async ({ store }) => {
        const keys = [];
        for (let i = 0; i < 25; i++) {
          const bytes = bytesOf(`part ${i}`);
          keys.push(partObjectKey(instance, sha256(bytes)));
          await store.put(keys[i]!, bytes, sha256(bytes));
        }
        const manifest = bytesOf("{}");
        await store.put(manifestObjectKey(instance, 1, 1), manifest, sha256(manifest));
        const parts = await list(store, `i/${instance}/parts/`);
        expect(parts.map((object) => object.key)).toEqual(keys.sort());
        expect(parts.map((object) => object.bytes)).toContain(7);
        expect((await list(store, `i/${instance}/manifests/`)).map((object) => object.key)).toEqual([
          `i/${instance}/manifests/00000001-1`,
        ]);
      }),
    );

    test(
      "refuses keys that are not ours",
      withStore(async ({ store }) => {
        for (const odd of [
          "x",
          "i/a/parts/../../x",
          `i/${instance}/parts/abc`,
          `i/${instance}/manifests/1-1`,
          `i/../parts/${sha256(part)}`,
        ]) {
          expect(await codeOf(store.get(odd))).toBe("key_invalid");
          expect(await codeOf(store.put(odd, part, sha256(part)))).toBe("key_invalid");
        }
      }),
    );

    test(
      "deletes, or says that it does not",
      withStore(async ({ store, refusesDelete }) => {
        await store.put(key, part, sha256(part));
        if (refusesDelete) return expect(await codeOf(store.delete(key))).toBe("delete_not_offered");
        expect(await store.delete(key)).toBe(true);
        expect(await store.delete(key)).toBe(false);
        expect(await store.head(key)).toBeNull();
      }),
    );

    test(
      "ends a call that was aborted",
      withStore(async ({ store }) => {
        const abort = new AbortController();
        abort.abort();
        expect(await codeOf(store.get(key, undefined, { signal: abort.signal }))).toBe("aborted");
        expect(await codeOf(store.put(key, part, sha256(part), { signal: abort.signal }))).toBe("aborted");
      }),
    );
  });
}
