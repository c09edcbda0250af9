/**
 * A clock that can jump, for the node programs of one machine: a module that NODE_OPTIONS loads before them and that adds
 * to Date what the file `clock` in the machine's folder says, in ms. Everything else goes on telling this host's time:
 * timers, performance.now, the times of files, and programs that are not node.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const fileOf = (folder: string) => join(folder, "clock");

/** A jump is seen within this time: the file is not read at every look at the clock. */
export const CLOCK_LAG_MS = 50;

export function buildClock(folder: string): string {
  return `import { readFileSync } from "node:fs";
const file = ${JSON.stringify(fileOf(folder))};
const Real = Date;
const now = Real.now.bind(Real);
const ticks = performance.now.bind(performance);
let offset = 0;
let readAt = -Infinity;
function ahead() {
  if (ticks() - readAt < ${CLOCK_LAG_MS}) return offset;
  readAt = ticks();
  try {
    offset = Number(readFileSync(file, "utf8")) || 0;
  } catch {
    offset = 0;
  }
  return offset;
}
globalThis.Date = new Proxy(Real, {
  construct: (target, args, as) => Reflect.construct(target, args.length === 0 ? [now() + ahead()] : args, as),
  apply: () => new Real(now() + ahead()).toString(),
});
Real.now = () => now() + ahead();
Real.prototype.constructor = globalThis.Date;
`;
}

export function readClock(folder: string): number {
  try {
    return Number(readFileSync(fileOf(folder), "utf8")) || 0;
  } catch {
    return 0;
  }
}

export function writeClock(folder: string, offsetMs: number): void {
  writeFileSync(`${fileOf(folder)}.new`, String(offsetMs));
  renameSync(`${fileOf(folder)}.new`, fileOf(folder));
}
