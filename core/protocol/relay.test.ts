import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  dataAt,
  decodeFrame,
  encodeFrame,
  encodeHead,
  type Frame,
  frameBytes,
  maxHeadBytes,
  newDataFrame,
  type OpenHead,
  resetCodes,
} from "./relay.ts";

const stream = fc.integer({ min: 1, max: 0xffff_ffff });
const name = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
const value = fc.stringMatching(/^[\x20-\x7e\u00a0-\u04ff]{0,60}$/);
const headers = fc.array(fc.tuple(name, value), { maxLength: 12 });
const bytes = fc.uint8Array({ maxLength: 2_000 });
const openHead: fc.Arbitrary<OpenHead> = fc.record({
  method: fc.constantFrom("GET", "POST", "PROPFIND"),
  path: fc.stringMatching(/^\/[a-z0-9%?&=/.-]{0,80}$/),
  headers,
  hasBody: fc.boolean(),
  isUpgrade: fc.boolean(),
});

const frames: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant("open" as const), stream, head: openHead }),
  fc.record({
    type: fc.constant("head" as const),
    stream,
    head: fc.record({ status: fc.integer({ min: 101, max: 999 }), headers }),
  }),
  fc.record({ type: fc.constant("data" as const), stream, bytes: fc.uint8Array({ minLength: 1, maxLength: 2_000 }) }),
  fc.record({ type: fc.constant("end" as const), stream }),
  fc.record({
    type: fc.constant("reset" as const),
    stream: fc.nat(),
    code: fc.constantFrom(...resetCodes),
    message: fc.string({ unit: "grapheme", maxLength: 90 }),
  }),
  fc.record({ type: fc.constant("credit" as const), stream, bytes: fc.integer({ min: 1, max: 0xffff_ffff }) }),
  fc.record({ type: fc.constantFrom("text" as const, "binary" as const), stream, isFinal: fc.constant(true), bytes }),
  fc.record({
    type: fc.constant("close" as const),
    stream,
    code: fc.integer({ min: 1000, max: 4999 }),
    reason: fc.string({ maxLength: 100 }),
  }),
  fc.record({ type: fc.constantFrom("ping" as const, "pong" as const), stream: fc.constant(0 as const) }),
);

describe("frames", () => {
  it("come back as they were", () => {
    fc.assert(
      fc.property(frames, (frame) => {
        expect(decodeFrame(encodeFrame(frame))).toEqual({ ok: true, frame });
      }),
      { numRuns: 500 },
    );
  });

  it("are a value, never a throw, whatever bytes come", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => {
        const decoded = decodeFrame(garbage);
        expect(typeof decoded.ok).toBe("boolean");
        // What is understood is what it says.
        if (decoded.ok && decoded.frame.type === "data")
          expect(decoded.frame.bytes).toHaveLength(garbage.length - dataAt);
      }),
      { numRuns: 1_000 },
    );
  });

  it("with a byte changed, cut or added are another valid frame or an error", () => {
    fc.assert(
      fc.property(frames, fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat(), (frame, at, byte, cut) => {
        const encoded = encodeFrame(frame);
        const changed = encoded.slice();
        changed[at % changed.length] = byte;
        for (const damaged of [
          changed,
          encoded.subarray(0, cut % encoded.length),
          new Uint8Array([...encoded, byte]),
        ]) {
          const decoded = decodeFrame(damaged);
          if (decoded.ok) expect(decodeFrame(encodeFrame(decoded.frame))).toEqual(decoded);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("keep duplicate headers and every character", () => {
    const head = {
      status: 200,
      headers: [
        ["set-cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["x-name", "Zoë ✓"],
      ],
    };
    const frame = { type: "head", stream: 7, head } as Frame;
    expect(decodeFrame(encodeFrame(frame))).toEqual({ ok: true, frame });
  });

  it("refuses what is short, unknown, too long or of the wrong stream", () => {
    const big = new Uint8Array(frameBytes + 10);
    big.set([3, 0, 0, 0, 1]);
    const cases: [string, Uint8Array][] = [
      ["empty", new Uint8Array()],
      ["short", new Uint8Array([3, 0, 0, 0])],
      ["unknown type", new Uint8Array([99, 0, 0, 0, 1])],
      ["data of stream 0", new Uint8Array([3, 0, 0, 0, 0, 1])],
      ["empty data", new Uint8Array([3, 0, 0, 0, 1])],
      ["too much data", big],
      ["an end with bytes", new Uint8Array([4, 0, 0, 0, 1, 1])],
      ["a credit of three bytes", new Uint8Array([6, 0, 0, 0, 1, 0, 0, 1])],
      ["a credit of nothing", new Uint8Array([6, 0, 0, 0, 1, 0, 0, 0, 0])],
      ["a message without its flag", new Uint8Array([7, 0, 0, 0, 1])],
      ["an empty part of a message", new Uint8Array([7, 0, 0, 0, 1, 0])],
      ["a ping with a stream", new Uint8Array([10, 0, 0, 0, 1])],
      ["an open that is no JSON", new Uint8Array([1, 0, 0, 0, 1, 123])],
    ];
    for (const [what, damaged] of cases) expect(decodeFrame(damaged), what).toMatchObject({ ok: false });
  });

  it("refuses an open that could smuggle a line into the request", () => {
    const good = { method: "GET", path: "/", headers: [], hasBody: false, isUpgrade: false };
    const bad: Partial<OpenHead>[] = [
      { path: "/ HTTP/1.1\r\nx: y" },
      { path: "http://elsewhere/" },
      { method: "GET /" },
      { headers: [["a b", "c"]] },
      { headers: [["a", "b\r\nc: d"]] },
    ];
    for (const change of bad) {
      const head = { ...good, ...change } as OpenHead;
      expect(encodeHead({ type: "open", stream: 1, head })).toBeNull();
      const json = Buffer.from(JSON.stringify(head), "latin1");
      expect(decodeFrame(Buffer.concat([Buffer.from([1, 0, 0, 0, 1]), json])).ok).toBe(false);
    }
  });

  it("says of a head that it is too long, and of other payloads that this is a bug", () => {
    const head = { status: 200, headers: [["x", "y".repeat(maxHeadBytes)]] as [string, string][] };
    expect(encodeHead({ type: "head", stream: 1, head })).toBeNull();
    expect(() => encodeFrame({ type: "head", stream: 1, head })).toThrow(RangeError);
    expect(() => encodeFrame({ type: "data", stream: 1, bytes: new Uint8Array(frameBytes + 1) })).toThrow(RangeError);
  });

  it("cuts long words of a reset or a close", () => {
    const reset = decodeFrame(encodeFrame({ type: "reset", stream: 1, code: "broke", message: "x".repeat(9_999) }));
    expect(reset).toMatchObject({ ok: true, frame: { message: "x".repeat(500) } });
    const close = decodeFrame(encodeFrame({ type: "close", stream: 1, code: 1000, reason: "x".repeat(999) }));
    expect(close).toMatchObject({ ok: true, frame: { reason: "x".repeat(123) } });
  });

  it("takes a reset with a code of another day as broken off", () => {
    const payload = Buffer.from(JSON.stringify({ code: "from_tomorrow", message: "m" }));
    expect(decodeFrame(Buffer.concat([Buffer.from([5, 0, 0, 0, 1]), payload]))).toMatchObject({
      ok: true,
      frame: { code: "broke" },
    });
  });

  it("are filled in place", () => {
    const frame = newDataFrame(9, 3);
    frame.set([1, 2, 3], dataAt);
    expect(decodeFrame(frame)).toEqual({
      ok: true,
      frame: { type: "data", stream: 9, bytes: new Uint8Array([1, 2, 3]) },
    });
  });
});
