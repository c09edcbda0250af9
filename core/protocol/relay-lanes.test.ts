import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeFrame, type Frame, frameBytes } from "./relay.ts";
import { firstWindowBytes } from "./relay-flow.ts";
import { Assembler, ByteLane, FrameWriter, MessageLane } from "./relay-lanes.ts";

function newWire(hasRoom?: () => boolean) {
  const sent: Frame[] = [];
  const writer = new FrameWriter((bytes) => {
    const decoded = decodeFrame(bytes);
    if (!decoded.ok) throw new Error(decoded.message);
    sent.push(decoded.frame);
  }, hasRoom);
  return { sent, writer };
}

const filled = (bytes: number, value = 1) => new Uint8Array(bytes).fill(value);
const dataOf = (frames: Frame[], stream: number) =>
  Buffer.concat(frames.flatMap((frame) => (frame.type === "data" && frame.stream === stream ? [frame.bytes] : [])));

describe("a body's lane", () => {
  it("cuts and joins chunks into full frames, and says the end", () => {
    const { sent, writer } = newWire();
    const lane = new ByteLane(3);
    for (const bytes of [10, 100_000, 0, 60_000]) lane.push(filled(bytes, bytes % 251));
    lane.end();
    writer.wake(lane);
    expect(sent.map((frame) => (frame.type === "data" ? frame.bytes.length : frame.type))).toEqual([
      frameBytes,
      frameBytes,
      160_010 - 2 * frameBytes,
      "end",
    ]);
    writer.wake(lane);
    expect(sent).toHaveLength(4);
  });

  it("sends every byte once and in order, as credit comes", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1_000, max: 300_000 }), (chunks, credit) => {
        const { sent, writer } = newWire();
        const lane = new ByteLane(1);
        const all = Buffer.concat(chunks.map((bytes, i) => filled(bytes, i + 1)));
        chunks.forEach((bytes, i) => {
          lane.push(filled(bytes, i + 1));
          writer.wake(lane);
        });
        lane.end();
        for (let left = firstWindowBytes; left < all.length; left += credit) {
          expect(dataOf(sent, 1).length).toBe(left);
          expect(sent.at(-1)?.type).toBe("data");
          lane.credit.add(credit);
          writer.wake(lane);
        }
        writer.wake(lane);
        expect(dataOf(sent, 1).equals(all)).toBe(true);
        expect(sent.at(-1)?.type).toBe("end");
        expect(lane.bytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("says when there is room again", () => {
    const { writer } = newWire();
    const lane = new ByteLane(1);
    let drained = 0;
    lane.onDrain = () => drained++;
    lane.push(filled(firstWindowBytes + 200_000));
    expect(lane.isFull).toBe(true);
    writer.wake(lane);
    expect(drained).toBe(0);
    lane.credit.add(100_000);
    writer.wake(lane);
    expect(drained).toBe(1);
    expect(lane.isFull).toBe(false);
  });
});

describe("the writer", () => {
  it("gives every lane its turn, frame by frame", () => {
    let room = 0;
    const { sent, writer } = newWire(() => room-- > 0);
    const lanes = [1, 2, 3].map((stream) => new ByteLane(stream));
    for (const lane of lanes) {
      lane.push(filled(4 * frameBytes));
      writer.wake(lane);
    }
    room = 7;
    writer.pump();
    expect(sent.map((frame) => frame.stream)).toEqual([1, 2, 3, 1, 2, 3, 1]);
    const late = new ByteLane(9);
    late.push(filled(5));
    writer.wake(late);
    room = 4;
    writer.pump();
    expect(sent.slice(7).map((frame) => frame.stream)).toEqual([2, 3, 1, 9]);
  });

  it("goes past a lane without credit, and forgets one that is dropped", () => {
    const { sent, writer } = newWire();
    const [stalled, other, dropped] = [new ByteLane(1), new ByteLane(2), new ByteLane(3)];
    stalled.push(filled(2 * firstWindowBytes));
    writer.wake(stalled);
    sent.length = 0;
    other.push(filled(10));
    writer.wake(other);
    expect(sent.map((frame) => frame.stream)).toEqual([2]);
    dropped.push(filled(10));
    writer.drop(dropped);
    writer.pump();
    expect(sent).toHaveLength(1);
  });

  it("lets whoever hears of room push at once", () => {
    const { sent, writer } = newWire();
    const lane = new ByteLane(1);
    let left = 40;
    lane.onDrain = () => {
      while (left > 0 && !lane.isFull) {
        left--;
        lane.push(filled(50_000));
      }
      lane.credit.add(50_000);
      writer.wake(lane);
    };
    lane.credit.add(3_000_000);
    lane.push(filled(200_000));
    writer.wake(lane);
    expect(dataOf(sent, 1).length).toBe(200_000 + 40 * 50_000);
  });
});

describe("messages", () => {
  const message = fc.record({
    type: fc.constantFrom("text" as const, "binary" as const),
    size: fc.oneof(fc.nat(10), fc.integer({ min: 0, max: 300_000 })),
  });

  it("are cut, carried and put together again", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 8 }), fc.integer({ min: 100, max: 100_000 }), (messages, credit) => {
        const { sent, writer } = newWire();
        let isOver = false;
        const lane = new MessageLane(5);
        lane.onOver = () => {
          isOver = true;
        };
        messages.forEach(({ type, size }, i) => void lane.push(type, filled(size, i + 1)));
        lane.close(4_000, "bye");
        writer.wake(lane);
        for (let i = 0; lane.bytes > 0 && i < 30_000; i++) {
          lane.credit.add(credit);
          writer.wake(lane);
        }
        expect(isOver).toBe(true);
        expect(sent.at(-1)).toEqual({ type: "close", stream: 5, code: 4_000, reason: "bye" });
        const assembler = new Assembler(1_000_000);
        const whole = sent.flatMap((frame) => {
          if (frame.type !== "text" && frame.type !== "binary") return [];
          const out = assembler.push(frame.type, frame.isFinal, frame.bytes);
          expect(out.kind).not.toBe("refused");
          return out.kind === "message" ? [{ type: out.type, size: out.bytes.length, first: out.bytes[0] }] : [];
        });
        expect(whole).toEqual(messages.map((one, i) => ({ ...one, first: one.size > 0 ? i + 1 : undefined })));
        expect(assembler.bytes).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it("over the limit, or of two kinds at once, are refused", () => {
    const assembler = new Assembler(100);
    expect(assembler.push("text", false, filled(60))).toEqual({ kind: "part" });
    expect(assembler.push("binary", false, filled(10))).toEqual({ kind: "refused", why: "protocol" });
    expect(assembler.push("text", true, filled(41))).toEqual({ kind: "refused", why: "too_large" });
    expect(assembler.push("text", true, filled(40))).toMatchObject({ kind: "message" });
  });
});
