/** What the rounds say together: medians over rounds, each way's ratio to the service alone in the same round, and the bars. */
import { median, quantile } from "../statistics.ts";
import { bare } from "./cloud.ts";
import { alone, answerName, callers, lineBytes, type ProxyResults, type Sample, serviceMs, stream } from "./proxy.ts";

/** As long as a small language model takes to its first word. */
const judgedMs = 100;
const bars = { p50: { must: 1.3, aim: 1.1 }, rate: { must: 0.8, aim: 0.95 } };

/** Of one measure and way: the median of what `of` makes of each round; and the median of the rounds' ratios to the service alone. */
function overRounds(samples: readonly Sample[], measure: string, way: string, of: (values: number[]) => number) {
  const mine = samples.filter((one) => one.measure === measure);
  const rounds = mine.filter((one) => one.way === way);
  const values = rounds.map((one) => of(one.values));
  const ratios = rounds.map(({ round }, i) => {
    const base = mine.find((one) => one.way === alone && one.round === round);
    return values[i]! / (base ? of(base.values) : Number.NaN);
  });
  return { value: median(values), ratio: median(ratios) };
}

const p50 = (values: number[]) => quantile(values, 0.5);

/** Of all requests of all rounds: one round has too few for it. */
function p99(samples: readonly Sample[], measure: string, way: string): number {
  const mine = samples.filter((one) => one.measure === measure && one.way === way);
  return quantile(
    mine.flatMap((one) => one.values),
    0.99,
  );
}

interface Verdict {
  what: string;
  value: number;
  must: number;
  aim: number;
  isHeld: boolean;
}

export function judgeProxy({ samples, options }: ProxyResults): Verdict[] {
  if (!options.pipes.includes("direct")) return [];
  const latencies = callers.map((parallel): Verdict => {
    const { ratio } = overRounds(samples, answerName(judgedMs, parallel), "direct", p50);
    const what = `P50 of an answer after ${judgedMs} ms, ${parallel} at a time, against the service alone`;
    return { what, value: ratio, ...bars.p50, isHeld: ratio <= bars.p50.must };
  });
  const rates = (["down", "up"] as const).map((way): Verdict => {
    const { ratio } = overRounds(samples, `${way} the line`, "direct", p50);
    const what = `MB/s ${way} on a line of 1 Gbit/s, against the service alone`;
    return { what, value: ratio, ...bars.rate, isHeld: ratio >= bars.rate.must };
  });
  return [...latencies, ...rates];
}

export function proxyBreaches(results: ProxyResults): string[] {
  return judgeProxy(results)
    .filter(({ isHeld }) => !isHeld)
    .map(({ what, value, must }) => `${what}, over direct: ${times(value)}; the bar is ${must}x`);
}

export function proxyMarkdown(results: ProxyResults): string {
  const { options, samples, machine } = results;
  const ways = [alone, bare, ...options.pipes];
  const row = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const head = (what: string) => [row([what, ...ways]), `|${"---|".repeat(ways.length + 1)}`];
  /** `added`: in ms beside it, and not as a ratio. */
  const cell = (measure: string, way: string, digits: number, added = false) => {
    const { value, ratio } = overRounds(samples, measure, way, p50);
    if (way === alone) return value.toFixed(digits);
    const base = overRounds(samples, measure, alone, p50).value;
    return `${value.toFixed(digits)} (${added ? `+${(value - base).toFixed(digits)}` : times(ratio)})`;
  };
  const p50Row = (name: string, measure: string, added = false) =>
    row([name, ...ways.map((way) => cell(measure, way, 2, added))]);
  const p99Row = (name: string, measure: string) =>
    row([name, ...ways.map((way) => p99(samples, measure, way).toFixed(1))]);
  const latencies = serviceMs.flatMap((ms) =>
    callers.map((parallel) => {
      const name = `${ms} ms, ${parallel === 1 ? "one" : parallel} at a time`;
      return { name, measure: answerName(ms, parallel), isAdded: ms === 0 };
    }),
  );
  const rates = (name: string, measure: string) => row([name, ...ways.map((way) => cell(measure, way, 0))]);
  return [
    `${options.rounds} rounds of ${options.requests} small requests to each service and ${options.megabytes} MB each way. ${results.startedAt.slice(0, 10)}, commit ${results.commit}, ${machine.cpu}, ${machine.cores} cores, Node ${machine.node}.`,
    "",
    row(["over direct", "value", "must", "aim", "verdict"]),
    "|---|---|---|---|---|",
    ...judgeProxy(results).map(({ what, value, must, aim, isHeld }) =>
      row([what, times(value), `${must}x`, `${aim}x`, isHeld ? "held" : "MISSED"]),
    ),
    "",
    ...head("P50, ms: a small request that the service takes so long for"),
    ...latencies.map(({ name, measure, isAdded }) => p50Row(name, measure, isAdded)),
    p50Row(`first event, after ${stream.serviceMs} ms`, "first event"),
    p50Row(`between events, one each ${stream.gapMs} ms`, "between events"),
    "",
    ...head("P99, ms"),
    ...latencies.map(({ name, measure }) => p99Row(name, measure)),
    p99Row(`between events, one each ${stream.gapMs} ms`, "between events"),
    "",
    ...head(`${options.megabytes} MB, MB/s`),
    rates(`down, ${lineBytes / 1e6} MB/s at most`, "down the line"),
    rates(`up, ${lineBytes / 1e6} MB/s at most`, "up the line"),
    rates("down, as fast as it goes", "down"),
    rates("up, as fast as it goes", "up"),
    "",
  ].join("\n");
}

const times = (ratio: number) => `${ratio.toFixed(2)}x`;
