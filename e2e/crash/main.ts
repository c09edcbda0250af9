/**
 * npm run crash -- --cycles N --seed S [--from C] [--lanes L] [--only KINDS] [--most F] [--minutes M] [--verbose] [--json]
 *
 * Sleeps and wakes of real agents under faults that are drawn from the seed. Exit status 0 only if every invariant held.
 */
import { parseArgs } from "node:util";
import { type Report, runCampaign } from "./campaign.ts";

const usage = `usage: npm run crash -- [--cycles N] [--seed S] [--from C] [--lanes L] [--only KINDS] [--most F] [--minutes M] [--verbose] [--json]

  --cycles N    sleeps and wakes (100)
  --seed S      what goes wrong, and when; a number (drawn and printed when it is left out)
  --from C      number of the first cycle (0): \`--seed S --from C --cycles 1\` repeats one
  --lanes L     instances side by side (3)
  --only KINDS  of rule, kill, freeze, network, disk, clock, host: only these, with commas between; none: nothing at all
  --most F      ends after so many failures (10)
  --minutes M   no cycle begins after so long
  --verbose     what happened in each cycle, not only in those that fail
  --json        one JSON object a line: step, cycle, failed, left, and report at the end`;

interface Options {
  cycles: number;
  seed: number;
  from: number;
  lanes: number;
  most: number;
  forMs: number;
  only: string[] | null;
  verbose: boolean;
  json: boolean;
}

const options = read();
const say = (line: string) => !options.json && console.log(line);
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());

say(`crash: ${options.cycles} cycles from ${options.from}, seed ${options.seed}, ${options.lanes} side by side`);
const report = await runCampaign(
  {
    ...options,
    onEvent: (event) => {
      if (options.json) console.log(JSON.stringify(event));
      else if (event.event === "step") say(`  ${event.step}`);
      else if (event.event === "cycle") {
        say(
          `  cycle ${event.cycle}: ${event.bytes} bytes equal, ${event.ms} ms  ${(event.injected as string[]).join(", ")}`,
        );
        if (options.verbose) for (const line of event.story as string[]) say(`      ${line}`);
      } else if (event.event === "failed") {
        say(`  cycle ${event.cycle} FAILED: ${event.message}`);
        for (const line of event.story as string[]) say(`      ${line}`);
        say(`  to repeat it: ${repeatOf(Number(event.cycle))}`);
      } else say(`  ${event.message}`);
    },
  },
  stop.signal,
);
if (options.json) console.log(JSON.stringify({ event: "report", ...report }));
else tell(report);
const isWhole = !stop.signal.aborted && report.failed.length === 0 && report.left.length === 0;
process.exit(stop.signal.aborted ? 130 : isWhole && report.leakedSeconds === 0 ? 0 : 1);

function repeatOf(cycle: number): string {
  return `npm run crash -- --seed ${options.seed} --from ${cycle} --cycles 1`;
}

function tell(report: Report): void {
  say("");
  for (const [name, count] of Object.entries(report.injected)) say(`  ${String(count).padStart(6)}  ${name}`);
  const cents = ((report.ledgerMicroUsd - report.paidMicroUsd) / 10_000).toFixed(3);
  say(`
  cycles              ${report.cycles}, ${report.failed.length} failed, in ${Math.round(report.ms / 1000)} s
  faults injected     ${report.injections}
  compared            ${report.bytesCompared} bytes in ${report.filesCompared} files
  host died           ${report.lostCycles} cycles went back to an older snapshot
  machines            ${report.machines}
  GPU seconds         ${report.paidSeconds} on the provider's bill, ${report.ledgerSeconds.toFixed(1)} in the ledger
  leaked              ${report.leakedSeconds.toFixed(1)} machine-seconds
  bill                ${report.paidMicroUsd} micro-USD paid, ${report.ledgerMicroUsd} in the ledger: ${cents} cents apart
  full disks          ${report.disks ? "yes" : "not here: they need root"}`);
  for (const text of report.left) say(`  LEFT: ${text}`);
  for (const { cycle, message } of report.failed)
    say(`  FAILED: cycle ${cycle}: ${message.split("\n")[0]}\n    ${repeatOf(cycle)}`);
}

function read(): Options {
  try {
    const { values } = parseArgs({
      options: {
        cycles: { type: "string", default: "100" },
        seed: { type: "string" },
        from: { type: "string", default: "0" },
        lanes: { type: "string", default: "3" },
        most: { type: "string", default: "10" },
        minutes: { type: "string", default: "100000" },
        only: { type: "string" },
        verbose: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const whole = (name: "cycles" | "from" | "lanes" | "most" | "minutes" | "seed", least: number): number => {
      const value = Number(values[name]);
      if (!Number.isSafeInteger(value) || value < least)
        throw new Error(`--${name} must be a whole number, ${least} or more`);
      return value;
    };
    return {
      cycles: whole("cycles", 1),
      seed: values.seed === undefined ? Math.floor(Math.random() * 1e6) : whole("seed", 0),
      from: whole("from", 0),
      lanes: whole("lanes", 1),
      most: whole("most", 1),
      forMs: whole("minutes", 1) * 60_000,
      only: values.only === undefined ? null : values.only.split(",").filter((kind) => kind !== "none"),
      verbose: values.verbose,
      json: values.json,
    };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}
