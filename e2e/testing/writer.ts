/** A program that never stops writing into the workspace, and keeps count outside of it. */
import { readFileSync } from "node:fs";

/**
 * Arguments: a file inside and one outside. Appends the numbers from 1, inside first, outside with the time. A disk that is
 * full takes a part of a line: the rest is written when there is room.
 */
export const writerProgram = `
import { openSync, writeSync } from "node:fs";
const [inside, outside] = process.argv.slice(2).map((file) => openSync(file, "a"));
const cell = new Int32Array(new SharedArrayBuffer(4));
function append(fd, text) {
  for (let at = 0; at < text.length; ) {
    try {
      at += writeSync(fd, text.slice(at));
    } catch (error) {
      if (error.code !== "ENOSPC") throw error;
      Atomics.wait(cell, 0, 0, 20);
    }
  }
}
for (let n = 1; ; n++) {
  append(inside, n + "\\n");
  append(outside, n + " " + Date.now() + "\\n");
  Atomics.wait(cell, 0, 0, 2);
}
`;

/** How many lines were written outside, and when the last one was. */
export function readOutside(file: string): { count: number; lastAt: number } {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return { count: 0, lastAt: 0 };
  }
  const last = text.slice(0, text.lastIndexOf("\n")).split("\n").at(-1)?.split(" ") ?? [];
  return { count: Number(last[0] ?? 0), lastAt: Number(last[1] ?? 0) };
}

export function countWritten(outside: string): number {
  return readOutside(outside).count;
}

export function isWriterStopped(outside: string): boolean {
  return Date.now() - readOutside(outside).lastAt > 300;
}
