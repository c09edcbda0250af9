/** What the commands beside the bench proper share: their end, their words, and where their results go. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { UsageError } from "./options.ts";
import { withResults } from "./report.ts";

export const say = (line: string) => console.error(line);

/** A number of an option, as it is or the usual one. @throws UsageError in words. */
export function numberOf(name: string, given: string | undefined, usual: number, least = 1): number {
  const value = given === undefined ? usual : Number(given);
  if (!Number.isFinite(value) || value < least) throw new UsageError(`--${name} ${given}: ${least} or more`);
  return value;
}

export interface Outcome {
  results: object;
  markdown: string;
  /** Bars that were missed, in words. */
  breaches: string[];
}

export interface Wanted {
  repository: string;
  /** Of the markers in docs/BENCHMARKS.md. */
  name: string;
  json: string | undefined;
  writeDocs: boolean | undefined;
}

/** 0 all held, 1 a bar was missed, 130 interrupted. */
export async function runCommand(wanted: Wanted, work: (signal: AbortSignal) => Promise<Outcome>): Promise<number> {
  const abort = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => abort.abort(new Error(name)));
  try {
    return tell(wanted, await work(abort.signal));
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    say("interrupted");
    return 130;
  }
}

function tell({ repository, name, json, writeDocs }: Wanted, { results, markdown, breaches }: Outcome): number {
  console.log(markdown);
  if (json) writeFileSync(resolve(json), `${JSON.stringify(results, null, 2)}\n`);
  if (writeDocs) {
    const page = join(repository, "docs/BENCHMARKS.md");
    writeFileSync(page, withResults(readFileSync(page, "utf8"), markdown, name));
  }
  for (const breach of breaches) say(`MISSED: ${breach}`);
  return breaches.length > 0 ? 1 : 0;
}
