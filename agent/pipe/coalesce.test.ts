import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { Coalescer } from "./coalesce.ts";

const chunk = (bytes: number) => new Uint8Array(bytes);

function newOne(enoughBytes = 100, waitMs = 30) {
  const out: number[][] = [];
  const coalescer = new Coalescer((chunks) => out.push(chunks.map((one) => one.length)), enoughBytes, waitMs);
  return { out, coalescer };
}

it("lets what comes alone go at once, and what follows within the wait go together", async () => {
  const { out, coalescer } = newOne();
  coalescer.push(chunk(1));
  expect(out).toEqual([[1]]);
  coalescer.push(chunk(2));
  coalescer.push(chunk(3));
  expect(out).toEqual([[1]]);
  await sleep(60);
  expect(out).toEqual([[1], [2, 3]]);
  await sleep(40);
  coalescer.push(chunk(4));
  expect(out).toEqual([[1], [2, 3], [4]]);
});

it("does not wait with enough, nor at the end", () => {
  const { out, coalescer } = newOne();
  for (const bytes of [1, 60, 60, 5]) coalescer.push(chunk(bytes));
  expect(out).toEqual([[1], [60, 60]]);
  coalescer.flush();
  coalescer.flush();
  expect(out).toEqual([[1], [60, 60], [5]]);
});

it("says nothing after its stop", async () => {
  const { out, coalescer } = newOne();
  coalescer.push(chunk(1));
  coalescer.push(chunk(2));
  coalescer.stop();
  await sleep(50);
  coalescer.flush();
  expect(out).toEqual([[1]]);
});
