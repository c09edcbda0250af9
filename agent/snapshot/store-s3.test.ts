import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { manifestObjectKey, partObjectKey, StoreError } from "../../core/snapshot/store.ts";
import { testStore } from "../../core/snapshot/testing/store-conformance.ts";
import { sha256Hex } from "./primitives.ts";
import { bucketUrl, readS3Settings } from "./s3-settings.ts";
import { openS3Store, signS3 } from "./store-s3.ts";
import { type S3Fault, type S3Server, startS3Server } from "./testing/s3-server.ts";
import { computeSignature } from "./testing/s3-signature.ts";
import { parseXml } from "./xml.ts";

const quick = { retryBaseMs: 1, idleTimeoutMs: 300 };
const noKeys = { AWS_ACCESS_KEY_ID: "AKID", AWS_SECRET_ACCESS_KEY: "secret" };

testStore("s3", async () => {
  const server = await startS3Server();
  return { store: openS3Store(server.settings, quick), close: server.close };
});
testStore("s3, with an odd prefix and a session", async () => {
  const server = await startS3Server({ prefix: "a b+c/ü&<'(1)*!~/", sessionToken: "a/session+token==" });
  return { store: openS3Store(server.settings, quick), close: server.close };
});
for (const condition of ["501", "400"] as const) {
  testStore(`s3 that refuses conditions with ${condition}`, async () => {
    const server = await startS3Server();
    server.condition = condition;
    return { store: openS3Store(server.settings, quick), close: server.close };
  });
}
testStore("s3 that refuses checksums", async () => {
  const server = await startS3Server();
  server.checksum = "refused";
  return { store: openS3Store(server.settings, quick), close: server.close };
});

const part = Buffer.from("some bytes of a part");
const hash = sha256Hex(part);
const key = partObjectKey("i-net", hash);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error) => (error instanceof StoreError ? error.code : error),
  );
const wordsOf = (work: Promise<unknown>) =>
  work.then(
    () => "",
    (error) => (error as Error).message,
  );

let server: S3Server;
beforeEach(async () => {
  server = await startS3Server();
});
afterEach(() => server.close());
const open = (more = {}) => openS3Store(server.settings, { ...quick, ...more });

describe("the signature", () => {
  /** "GET Object" of the SigV4 examples in Amazon's S3 documentation, with its example keys. */
  const example = {
    bucket: "examplebucket",
    prefix: "",
    endpoint: "https://s3.amazonaws.com",
    isPathStyle: false,
    region: "us-east-1",
    accessKeyId: "AKIAIOSFODNN7EXAMPLE",
    secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    sessionToken: undefined,
  };
  const emptyHash = sha256Hex(new Uint8Array(0));

  test("the test server computes the published example", () => {
    const headers = {
      host: "examplebucket.s3.amazonaws.com",
      range: "bytes=0-9",
      "x-amz-content-sha256": emptyHash,
      "x-amz-date": "20130524T000000Z",
    };
    const signature = computeSignature(
      { method: "GET", target: "/test.txt", headers },
      { date: "20130524", region: "us-east-1", service: "s3" },
      ["host", "range", "x-amz-content-sha256", "x-amz-date"],
      example.secretAccessKey,
    );
    expect(signature).toBe("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  });

  test("the test server computes the published example of a query", () => {
    const headers = {
      host: "examplebucket.s3.amazonaws.com",
      "x-amz-content-sha256": emptyHash,
      "x-amz-date": "20130524T000000Z",
    };
    const signature = computeSignature(
      { method: "GET", target: "/?max-keys=2&prefix=J", headers },
      { date: "20130524", region: "us-east-1", service: "s3" },
      ["host", "x-amz-content-sha256", "x-amz-date"],
      example.secretAccessKey,
    );
    expect(signature).toBe("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
  });

  test("what the store signs is what the specification wants", async () => {
    const url = "https://examplebucket.s3.amazonaws.com/a%20b/%2B%28%27?list-type=2&prefix=a%2Fb%20c";
    const headers = await signS3(example, "GET", url, {}, emptyHash);
    const date = headers["x-amz-date"]!.slice(0, 8);
    const signature = computeSignature(
      {
        method: "GET",
        target: "/a%20b/%2B%28%27?list-type=2&prefix=a%2Fb%20c",
        headers: { ...headers, host: "examplebucket.s3.amazonaws.com" },
      },
      { date, region: "us-east-1", service: "s3" },
      ["host", "x-amz-content-sha256", "x-amz-date"],
      example.secretAccessKey,
    );
    expect(headers.authorization).toContain(`Signature=${signature}`);
  });
});

describe("an s3 server that fails", () => {
  const faults: S3Fault[] = ["500", "503", "reset", "reset-after", "hang", "409"];
  for (const fault of faults) {
    test(`a put comes through ${fault}`, async () => {
      server.fault = ({ n }) => (n <= 2 ? fault : "none");
      // After "reset-after" the bytes lie there although no answer came.
      expect(await open().put(key, part, hash)).toBe(fault === "reset-after" ? "exists" : "created");
      expect(server.objects.get(key)?.bytes.equals(part)).toBe(true);
    });
  }
  for (const fault of ["500", "503", "reset", "hang", "cut", "trickle"] as const) {
    test(`a get comes through ${fault}`, async () => {
      const store = open();
      await store.put(key, part, hash);
      server.fault = ({ n }) => (n <= 3 ? fault : "none");
      expect(Buffer.from(await store.get(key)).equals(part)).toBe(true);
    });
  }

  test("what stays wrong ends after the tries, in words", async () => {
    server.fault = () => "503";
    expect(await codeOf(open({ tries: 3 }).put(key, part, hash))).toBe("store_unreachable");
    expect(server.requests.length).toBe(3);
    expect(await wordsOf(open({ tries: 1 }).put(key, part, hash))).toContain("SlowDown");
  });

  test("a server that is not there", async () => {
    await server.close();
    expect(await codeOf(open({ tries: 2 }).get(key))).toBe("store_unreachable");
    server = await startS3Server();
  });

  test("a full server", async () => {
    server.fault = () => "507";
    expect(await codeOf(open().put(key, part, hash))).toBe("store_full");
    expect(server.requests.length).toBe(1);
  });

  test("refusals are final and say why", async () => {
    const wrong = async (change: Partial<typeof server.settings>) =>
      wordsOf(openS3Store({ ...server.settings, ...change }, quick).get(key));
    expect(await wrong({ accessKeyId: "OTHER" })).toContain("does not know this AWS_ACCESS_KEY_ID");
    expect(await wrong({ secretAccessKey: "other" })).toContain("AWS_SECRET_ACCESS_KEY does not belong");
    expect(await wrong({ region: "elsewhere" })).toContain("set AWS_REGION, to eu-test-1 instead of elsewhere");
    server.fault = () => "403";
    expect(await wordsOf(open().get(key))).toContain("may not do that");
    expect(await codeOf(open().head(key))).toBe("store_refused");
    server.fault = () => "none";
    server.clockMs = 3 * 3600_000;
    expect(await wordsOf(open().get(key))).toContain("clock of this machine is 180 minutes slow");
    expect(await codeOf(open().get(key))).toBe("store_refused");
    expect(server.requests.length).toBe(7);
  });

  test("a bucket that is not there", async () => {
    const store = openS3Store({ ...server.settings, bucket: "no-bucket" }, quick);
    expect(await codeOf(store.put(key, part, hash))).toBe("bucket_not_found");
    expect(await codeOf(store.list("i/i-net/parts/")[Symbol.asyncIterator]().next())).toBe("bucket_not_found");
  });

  test("an abort ends a call that hangs", async () => {
    server.fault = () => "hang";
    const abort = new AbortController();
    setTimeout(() => abort.abort(), 20);
    expect(await codeOf(open({ idleTimeoutMs: 30_000 }).get(key, undefined, { signal: abort.signal }))).toBe("aborted");
  });

  test("a listing that is not a listing", async () => {
    for (const body of ["", "<a", "<html></html>", "<ListBucketResult><Contents></Contents></ListBucketResult>"]) {
      server.reply = () => body;
      expect(await codeOf(open().list("i/i-net/parts/")[Symbol.asyncIterator]().next())).toBe("store_failed");
    }
    server.reply = () =>
      "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken></ListBucketResult>";
    const before = server.requests.length;
    expect(await codeOf(open().list("i/i-net/parts/")[Symbol.asyncIterator]().next())).toBe("store_failed");
    expect(server.requests.length - before).toBe(2);
  });
});

describe("what lies there already", () => {
  const at = manifestObjectKey("i-net", 1, 1);
  const other = Buffer.from("other bytes, other size");

  test("other bytes in a part's place are not taken for the part, and are replaced", async () => {
    const sameSize = Buffer.from(part).fill(0);
    for (const condition of ["known", "ignored", "501"] as const) {
      for (const [bytes, hasChecksum] of [
        [other, false],
        [sameSize, true],
        [sameSize, false],
      ] as const) {
        server.condition = condition;
        server.objects.set(key, { bytes, modifiedMs: 0, hasChecksum });
        expect(await open().put(key, part, hash)).toBe("created");
        expect(server.objects.get(key)?.bytes.equals(part)).toBe(true);
      }
    }
  });

  test("a server that ignores the condition keeps its manifests", async () => {
    server.condition = "ignored";
    const store = open();
    expect(await store.put(at, part, hash)).toBe("created");
    expect(await store.put(at, part, hash)).toBe("exists");
    expect(await codeOf(store.put(at, other, sha256Hex(other)))).toBe("manifest_exists");
    expect(server.objects.get(at)?.bytes.equals(part)).toBe(true);
  });

  test("two writers of one manifest: one wins", async () => {
    const results = await Promise.all(
      [part, other].map((bytes) =>
        open()
          .put(at, bytes, sha256Hex(bytes))
          .catch((error) => error.code),
      ),
    );
    expect(results.sort()).toEqual(["created", "manifest_exists"]);
  });

  test("the server sees the checksum, and head tells it with the time", async () => {
    const store = open();
    await store.put(key, part, hash);
    expect(server.requests.at(-1)?.headers).toMatchObject({
      "if-none-match": "*",
      "x-amz-checksum-sha256": Buffer.from(hash, "hex").toString("base64"),
    });
    const head = await store.head(key);
    expect(head).toMatchObject({ key, bytes: part.length, sha256: hash });
    expect(Math.abs(head!.modifiedMs! - Date.now())).toBeLessThan(5000);
    server.objects.get(key)!.hasChecksum = false;
    expect(await store.head(key)).toMatchObject({ sha256: null });
  });

  test("instances are found page by page, and nothing but keys of ours is listed", async () => {
    const store = open();
    const names = Array.from({ length: 20 }, (_, n) => `m${String(n).padStart(2, "0")}`);
    for (const name of names) await store.put(partObjectKey(name, hash), part, hash);
    server.objects.set("i/m01/parts/README", { bytes: part, modifiedMs: 0, hasChecksum: false });
    server.objects.set("other/things", { bytes: part, modifiedMs: 0, hasChecksum: false });
    for (const folders of ["known", "ignored", "lost"] as const) {
      server.folders = folders;
      expect(await store.listInstances(), folders).toEqual(names);
    }
    const listed = [];
    for await (const object of store.list("i/m01/")) listed.push(object.key);
    expect(listed).toEqual([partObjectKey("m01", hash)]);
  });
});

describe("the settings", () => {
  const invalid: [string, Record<string, string>, string][] = [
    ["s3://", noKeys, "does not name a bucket"],
    ["s3:///prefix", noKeys, "does not name a bucket"],
    ["s3://b", noKeys, "does not name a bucket"],
    ["s3://a bucket", noKeys, "does not name a bucket"],
    ["s3://bucket/a/../b", noKeys, "prefix"],
    ["s3://bucket/a//b", noKeys, "prefix"],
    ["s3://bucket", {}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be set"],
    ["s3://bucket", { AWS_ACCESS_KEY_ID: "x" }, "AWS_SECRET_ACCESS_KEY must be set"],
    ["s3://bucket", { ...noKeys, AWS_ENDPOINT_URL: "minio:9000" }, "not an http"],
    ["s3://bucket", { ...noKeys, SONECA_S3_STYLE: "odd" }, "SONECA_S3_STYLE"],
  ];
  for (const [url, env, words] of invalid) {
    test(`${url} with ${Object.keys(env).length} variables is refused: ${words}`, () => {
      expect(() => readS3Settings(url, env)).toThrow(words);
    });
  }

  const good: [string, Record<string, string>, string, string, string][] = [
    ["s3://bucket", {}, "https://bucket.s3.us-east-1.amazonaws.com", "", "us-east-1"],
    ["s3://bucket/a/b/", { AWS_REGION: "eu-west-1" }, "https://bucket.s3.eu-west-1.amazonaws.com", "a/b/", "eu-west-1"],
    [
      "s3://bucket",
      { AWS_DEFAULT_REGION: "cn-north-1" },
      "https://bucket.s3.cn-north-1.amazonaws.com.cn",
      "",
      "cn-north-1",
    ],
    ["s3://with.dots", {}, "https://s3.us-east-1.amazonaws.com/with.dots", "", "us-east-1"],
    ["s3://bucket/x", { AWS_ENDPOINT_URL: "http://minio:9000/" }, "http://minio:9000/bucket", "x/", "us-east-1"],
    [
      "s3://bucket",
      { AWS_ENDPOINT_URL: "http://no", AWS_ENDPOINT_URL_S3: "https://0a1b.r2.cloudflarestorage.com" },
      "https://0a1b.r2.cloudflarestorage.com/bucket",
      "",
      "auto",
    ],
    [
      "s3://bucket",
      { AWS_ENDPOINT_URL: "https://ceph.example", SONECA_S3_STYLE: "virtual" },
      "https://bucket.ceph.example",
      "",
      "us-east-1",
    ],
  ];
  for (const [url, env, address, prefix, region] of good) {
    test(`${url} is ${address}`, () => {
      const settings = readS3Settings(url, { ...noKeys, ...env });
      expect([bucketUrl(settings), settings.prefix, settings.region]).toEqual([address, prefix, region]);
    });
  }
});

describe("XML", () => {
  test("elements, text, entities, attributes, comments", () => {
    const text = `<?xml version="1.0"?>\n<!-- x --><a b="c" d='>'><e>1 &lt;&amp;&#x41;&#66;&quot;</e><f/><e> 2 </e></a>\n`;
    const a = parseXml(text);
    expect([a.name, ...a.children.map((child) => [child.name, child.text])]).toEqual([
      "a",
      ["e", '1 <&AB"'],
      ["f", ""],
      ["e", " 2 "],
    ]);
  });
  const broken = [
    "",
    "text",
    "<a>",
    "</a>",
    "<a></b>",
    "<a/><b/>",
    "<a/>text",
    "<a>&unknown;</a>",
    "<a>&amp</a>",
    "<a>&#x110000;</a>",
    "<!DOCTYPE a []><a/>",
    "<a b></a>",
    "<a><![CDATA[x]]></a>",
    "<".repeat(100),
    "<a>".repeat(100),
  ];
  for (const text of broken) {
    test(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
      expect(() => parseXml(text)).toThrow(SyntaxError);
    });
  }
});
