import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { decodeFrame, encodeFrame } from "../../core/snapshot/codec.ts";
import type { FrameInfo } from "../../core/snapshot/frame-table.ts";
import { openFrame } from "../../core/snapshot/open-frame.ts";
import { decodeHeader, decodePart } from "../../core/snapshot/part.ts";
import { PartBuilder } from "../../core/snapshot/part-builder.ts";
import { keyedChunkId, newDataKey, openCipher, unwrapDataKey, wrapDataKey } from "./keys.ts";
import { nodePrimitives } from "./primitives.ts";

const cipher = openCipher(Buffer.alloc(32, 7));

async function makePart(chunks: Uint8Array[]): Promise<Uint8Array> {
  const builder = new PartBuilder("data", cipher);
  for (const chunk of chunks) {
    const frame = await encodeFrame(chunk, nodePrimitives, 3);
    builder.add(frame, chunk.length, [{ id: keyedChunkId(cipher.idKey, chunk), plainBytes: chunk.length }]);
  }
  return (await builder.finish(nodePrimitives)).bytes;
}

function storedFrame(part: Uint8Array, frame: FrameInfo): Uint8Array {
  return part.subarray(frame.offset, frame.offset + frame.storedBytes);
}

describe("an encrypted part", () => {
  const secret = Buffer.from("the very secret words of a workspace, ".repeat(200));

  it("comes back whole, and shows neither its bytes nor the hashes of them", async () => {
    const chunks = [secret, randomBytes(5000), Buffer.alloc(70_000)];
    const part = await makePart(chunks);
    const { table, open, kind } = await decodePart(part, nodePrimitives, cipher);
    expect(kind).toBe("data");
    for (const [n, frame] of table.frames.entries()) {
      const plain = await decodeFrame(open(n, storedFrame(part, frame)), frame.plainBytes, nodePrimitives);
      expect(Buffer.compare(plain, chunks[n]!)).toBe(0);
      expect(keyedChunkId(cipher.idKey, plain)).toBe(frame.chunks.idAt(0));
    }
    expect(Buffer.from(part).includes("secret")).toBe(false);
    expect(Buffer.from(part).includes(Buffer.from(nodePrimitives.sha256(secret)))).toBe(false);
    expect(Buffer.from(table.frames[0]!.chunks.idAt(0), "latin1")).not.toEqual(nodePrimitives.sha256(secret));
  });

  it("has other bytes each time, so equal parts of two snapshots do not show", async () => {
    expect(Buffer.compare(await makePart([secret]), await makePart([secret]))).not.toBe(0);
  });

  it("notices every changed byte of its header's salt, its frames and its table", async () => {
    const part = await makePart([secret, randomBytes(300)]);
    for (let at = 4; at < part.length - 4; at += 3) {
      const bad = part.slice();
      bad[at]! ^= 1 << (at % 8);
      const read = async () => {
        const { table, open } = await decodePart(bad, nodePrimitives, cipher);
        for (const [n, frame] of table.frames.entries()) open(n, storedFrame(bad, frame));
      };
      await expect(read(), `byte ${at}`).rejects.toThrow(expect.objectContaining({ name: "FormatError" }));
    }
  });

  it("notices frames that change places", async () => {
    const part = await makePart([randomBytes(300), randomBytes(300)]);
    const { table, open } = await decodePart(part, nodePrimitives, cipher);
    expect(() => open(1, storedFrame(part, table.frames[0]!))).toThrow(/altered/);
  });

  it("does not open with another key or without one, and a plain part is no part of an encrypted snapshot", async () => {
    const part = await makePart([secret]);
    await expect(decodePart(part, nodePrimitives, openCipher(newDataKey()))).rejects.toThrow(/altered|another/);
    await expect(decodePart(part, nodePrimitives)).rejects.toThrow(/encrypted/);
    const plain = new PartBuilder("meta");
    plain.add(await encodeFrame(secret, nodePrimitives, 3), secret.length, [
      { id: Buffer.from(nodePrimitives.sha256(secret)).toString("latin1"), plainBytes: secret.length },
    ]);
    const { bytes, table } = await plain.finish(nodePrimitives);
    expect(() => decodeHeader(bytes, cipher)).toThrow(/plain/);
    expect(await openFrame(storedFrame(bytes, table.frames[0]!), table.frames[0]!, nodePrimitives)).toHaveLength(1);
  });
});

describe("a data key under a passphrase", () => {
  it("opens with the same words, also in the other Unicode form, and with no others", async () => {
    const key = newDataKey();
    const wrapped = await wrapDataKey(key, "pássword");
    expect(wrapped.keyId).toBe(openCipher(key).keyId);
    expect(Buffer.compare(await unwrapDataKey(wrapped, "pa\u0301ssword"), key)).toBe(0);
    await expect(unwrapDataKey(wrapped, "password")).rejects.toMatchObject({ code: "passphrase_wrong" });
    const other = { ...wrapped, keyId: "0000000000000000" };
    await expect(unwrapDataKey(other, "pássword")).rejects.toMatchObject({ code: "passphrase_wrong" });
  });

  it.each([
    ["argon2:m=1", "snapshot_format_unknown"],
    ["scrypt:ln=40,r=8,p=1,salt=00000000000000000000000000000000", "manifest_invalid"],
    ["scrypt:ln=16,r=99,p=1,salt=00000000000000000000000000000000", "manifest_invalid"],
    ["scrypt:ln=1,r=8,p=1,salt=00000000000000000000000000000000", "manifest_invalid"],
    ["scrypt:ln=16,r=8,p=1,salt=00", "snapshot_format_unknown"],
  ])("refuses to derive by %s", async (kdf, code) => {
    const wrapped = await wrapDataKey(newDataKey(), "x");
    await expect(unwrapDataKey({ ...wrapped, kdf }, "x")).rejects.toMatchObject({ code });
    await expect(unwrapDataKey({ ...wrapped, wrappedKey: "00" }, "x")).rejects.toMatchObject({
      code: "manifest_invalid",
    });
  });
});
