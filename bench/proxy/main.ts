/** `npm run bench -- proxy`: what the proxy adds to calling a service directly. */
import { parseArgs } from "node:util";
import { type PipeKind, pipeKinds } from "../../core/protocol/gate.ts";
import { numberOf, runCommand, say } from "../command.ts";
import { UsageError } from "../options.ts";
import { runProxy } from "./proxy.ts";
import { proxyBreaches, proxyMarkdown } from "./report.ts";

const usage = `npm run bench -- proxy [options]   what the proxy adds to calling a service directly, in the local cloud
  --rounds N        rounds (7); medians are shown
  --requests N      small requests to each service, from each way, in each round (100)
  --megabytes N     of a large body (200)
  --pipes NAME,...  of: ${pipeKinds.join(", ")} (direct,relay)
  --json FILE       the results as JSON
  --write-docs      the results into docs/BENCHMARKS.md, between their markers`;

/** 0 all held, 1 a bar was missed, 130 interrupted. @throws UsageError in words. */
export async function mainOfProxy(args: string[], repository: string): Promise<number> {
  const { values } = parse(args.slice(1));
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const count = (name: "rounds" | "requests" | "megabytes", usual: number) =>
    Math.round(numberOf(name, values[name], usual));
  const options = {
    rounds: count("rounds", 7),
    requests: count("requests", 100),
    megabytes: count("megabytes", 200),
    pipes: (values.pipes ?? "direct,relay").split(",").map(pipeNamed),
  };
  const wanted = { repository, name: "proxy", json: values.json, writeDocs: values["write-docs"] };
  return runCommand(wanted, async (signal) => {
    const results = await runProxy(repository, options, say, signal);
    return { results, markdown: proxyMarkdown(results), breaches: proxyBreaches(results) };
  });
}

function pipeNamed(word: string): PipeKind {
  const found = pipeKinds.find((kind) => kind === word);
  if (!found) throw new UsageError(`--pipes ${word}: of ${pipeKinds.join(", ")}`);
  return found;
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        rounds: { type: "string" },
        requests: { type: "string" },
        megabytes: { type: "string" },
        pipes: { type: "string" },
        json: { type: "string" },
        "write-docs": { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
