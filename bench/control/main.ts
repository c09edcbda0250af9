/** `npm run bench -- control` and `npm run bench -- wake`: what the control plane uses and takes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "../options.ts";
import { withResults } from "../report.ts";
import { breachesOf, controlMarkdown, runControl } from "./control.ts";
import { runWakes, wakeBreaches, wakeMarkdown } from "./wake.ts";

const usage = `npm run bench -- control [options]   what an ordinary heartbeat uses, and what an instance costs a month by that
  --agents N        simulated agents (1000)
  --beats N         counted heartbeats of each (32: twice as long as a state waits to be written)
  --interval SEC    seconds between two of them (30; with less, objects rest less than they do in use)
npm run bench -- wake [options]      what a wake takes beyond the boot of the machine, in the local cloud
  --wakes N         how many (50)
both:
  --json FILE       the results as JSON
  --write-docs      the results into docs/BENCHMARKS.md, between their markers`;

const commands = ["control", "wake"] as const;

export function isControlCommand(word: string | undefined): word is (typeof commands)[number] {
  return commands.some((one) => one === word);
}

/** 0 all held, 1 a bar was missed or something failed, 130 interrupted. @throws UsageError in words. */
export async function mainOfControl(args: string[], repository: string): Promise<number> {
  const { values } = parse(args.slice(1));
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const count = (name: "agents" | "beats" | "interval" | "wakes", usual: number, least = 1) => {
    const value = values[name] === undefined ? usual : Number(values[name]);
    if (!Number.isFinite(value) || value < least) throw new UsageError(`--${name} ${values[name]}: ${least} or more`);
    return name === "interval" ? value : Math.round(value);
  };
  const abort = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => abort.abort(new Error(name)));
  const say = (line: string) => console.error(line);
  try {
    if (args[0] === "control") {
      const options = {
        agents: count("agents", 1000),
        beats: count("beats", 32),
        intervalSeconds: count("interval", 30, 0.5),
      };
      const results = await runControl(repository, options, say, abort.signal);
      return tell(results, controlMarkdown(results), breachesOf(results));
    }
    const results = await runWakes(repository, count("wakes", 50), say, abort.signal);
    return tell(results, wakeMarkdown(results), wakeBreaches(results));
  } catch (error) {
    if (!abort.signal.aborted) throw error;
    say("interrupted");
    return 130;
  }

  function tell(results: object, markdown: string, breaches: string[]): number {
    console.log(markdown);
    if (values.json) writeFileSync(resolve(values.json), `${JSON.stringify(results, null, 2)}\n`);
    if (values["write-docs"]) {
      const page = join(repository, "docs/BENCHMARKS.md");
      writeFileSync(page, withResults(readFileSync(page, "utf8"), markdown, args[0]));
    }
    for (const breach of breaches) say(`MISSED: ${breach}`);
    return breaches.length > 0 ? 1 : 0;
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        agents: { type: "string" },
        beats: { type: "string" },
        interval: { type: "string" },
        wakes: { type: "string" },
        json: { type: "string" },
        "write-docs": { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
