/** `npm run bench -- control` and `npm run bench -- wake`: what the control plane uses and takes. */
import { parseArgs } from "node:util";
import { numberOf, runCommand, say } from "../command.ts";
import { UsageError } from "../options.ts";
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
  const count = (name: "agents" | "beats" | "wakes", usual: number) => Math.round(numberOf(name, values[name], usual));
  const wanted = { repository, name: args[0]!, json: values.json, writeDocs: values["write-docs"] };
  if (args[0] === "control") {
    const options = {
      agents: count("agents", 1000),
      beats: count("beats", 32),
      intervalSeconds: numberOf("interval", values.interval, 30, 0.5),
    };
    return runCommand(wanted, async (signal) => {
      const results = await runControl(repository, options, say, signal);
      return { results, markdown: controlMarkdown(results), breaches: breachesOf(results) };
    });
  }
  const wakes = count("wakes", 50);
  return runCommand(wanted, async (signal) => {
    const results = await runWakes(repository, wakes, say, signal);
    return { results, markdown: wakeMarkdown(results), breaches: wakeBreaches(results) };
  });
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
