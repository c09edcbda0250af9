/** `npm run bench -- dashboard`: how soon the dashboard shows something, and how a long list feels. */
import { parseArgs } from "node:util";
import { numberOf, runCommand, say } from "../command.ts";
import { UsageError } from "../options.ts";
import { runDashboard } from "./dashboard.ts";
import { dashboardBreaches, dashboardMarkdown } from "./report.ts";

const usage = `npm run bench -- dashboard [options]   the dashboard in Debian's chromium, on a local cloud
  --rounds N        rounds (5); medians are shown
  --rows N          instances in the long list (500)
  --json FILE       the results as JSON
  --write-docs      the results into docs/BENCHMARKS.md, between their markers`;

/** 0 all held, 1 a bar was missed, 130 interrupted. @throws UsageError in words. */
export async function mainOfDashboard(args: string[], repository: string): Promise<number> {
  const { values } = parse(args.slice(1));
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const options = {
    rounds: Math.round(numberOf("rounds", values.rounds, 5)),
    rows: Math.round(numberOf("rows", values.rows, 500)),
  };
  const wanted = { repository, name: "dashboard", json: values.json, writeDocs: values["write-docs"] };
  return runCommand(wanted, async (signal) => {
    const results = await runDashboard(repository, options, say, signal);
    return { results, markdown: dashboardMarkdown(results), breaches: dashboardBreaches(results) };
  });
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        rounds: { type: "string" },
        rows: { type: "string" },
        json: { type: "string" },
        "write-docs": { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
