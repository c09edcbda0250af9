/** The packer with coders and a store that a test holds in its hands. */
import { expect, test } from "vitest";
import { limits } from "../../core/snapshot/limits.ts";
import type { CoderPool } from "./coder-pool.ts";
import type { CoderTask } from "./coder-tasks.ts";
import { noKeys } from "./keyring.ts";
import { PackBuffers } from "./pack-buffers.ts";
import { Packer } from "./packer.ts";

const mib = 1024 * 1024;

function idOf(n: number): string {
  return String.fromCharCode(n).repeat(32);
}

test("a part that cannot be sent while another grows ends the snapshot: nobody waits for its room", async () => {
  const encodes: (() => void)[] = [];
  const run = (task: CoderTask) => {
    if (task.kind === "seal") return Promise.resolve({ sha256: "0".repeat(64) });
    if (task.kind !== "encode") throw new Error(task.kind);
    const { plainBytes } = task;
    return new Promise((done) => encodes.push(() => done({ storedBytes: plainBytes, bases: [] })));
  };
  const coders = { size: 1, capacity: 2, load: 0, run } as unknown as CoderPool;
  let refuse: () => void = () => {};
  let isAsked = false;
  const packer = new Packer({
    kind: "data",
    coders,
    keyring: noKeys,
    known: { has: () => false, hasAt: () => false },
    buffers: new PackBuffers(2, 1, 5 * mib),
    send: () => {
      isAsked = true;
      return new Promise((_, reject) => {
        refuse = () => reject(new Error("the store is full"));
      });
    },
  });
  // A frame of small files, whose part goes on growing, and a big chunk, whose part is sent.
  const small = new Uint8Array(400_000);
  for (let n = 0; n * small.length <= limits.framePackBytes; n++) await packer.add(idOf(n), small);
  const big = new Uint8Array(6 * mib);
  await packer.add(idOf(100), big);
  for (const done of encodes.splice(0)) done();
  const rest = (async () => {
    await packer.add(idOf(101), big);
    await packer.flush();
  })();
  await expect.poll(() => isAsked && encodes.length > 0).toBe(true);
  refuse();
  await new Promise((done) => setTimeout(done, 20));
  const finish = setInterval(() => {
    for (const done of encodes.splice(0)) done();
  }, 5);
  const late = new Promise((done) => setTimeout(() => done("it waits"), 3_000));
  const end = await Promise.race([
    rest.then(
      () => "sent",
      (error: Error) => error.message,
    ),
    late,
  ]);
  clearInterval(finish);
  expect(end).toBe("the store is full");
});
