/** Tables of the results, for a terminal or as Markdown. */
import { bars, judge, valueOfBar } from "./bars.ts";
import { lossCount, lossesInWords } from "./compare.ts";
import { kinds } from "./data/workspace.ts";
import { type Metric, medianOf, type Results, valuesOf } from "./results.ts";
import { spread } from "./statistics.ts";
import type { ToolName } from "./tools.ts";

export interface Table {
  title: string;
  note?: string;
  head: string[];
  rows: string[][];
}

export function tablesOf(results: Results): Table[] {
  const steps = (scenario: string) => [
    ...new Set(results.samples.filter((s) => s.scenario === scenario && s.tool !== "data").map((s) => s.step)),
  ];
  const found: Table[] = [barTable(results)];
  for (const scenario of results.scenarios) {
    if (scenario === "kinds") found.push(kindTable(results));
    else if (steps(scenario).length > 0) found.push(stepTable(results, scenario, steps(scenario)));
  }
  if (results.losses.length > 0) found.push(lossTable(results));
  if (results.failures.length > 0)
    found.push({
      title: "Failures",
      head: ["scenario", "step", "tool", "words"],
      rows: results.failures.map(({ scenario, step, tool, message }) => [
        scenario,
        step,
        labelOf(results, tool),
        message,
      ]),
    });
  return found;
}

function barTable(results: Results): Table {
  const measured = bars.filter(({ scenario }) => results.scenarios.includes(scenario));
  return {
    title: "Bars",
    note: "Each value must not be greater than its bar.",
    head: ["bar", "value", "must", "aim", "verdict"],
    rows: measured.map((bar) => {
      const value = valueOfBar(bar, results);
      const show = (number: number | null) =>
        number === Number.POSITIVE_INFINITY
          ? "failed"
          : number === null || Number.isNaN(number)
            ? "-"
            : inUnit(number, bar.unit);
      return [bar.text, show(value), show(bar.must), show(bar.aim), judge(bar, value)];
    }),
  };
}

/** Each peer's number, and in parentheses soneca's as a multiple of it. */
function stepTable(results: Results, scenario: string, steps: string[]): Table {
  const rows = steps.flatMap((step) =>
    results.tools
      .filter(({ name }) => medianOf(results, scenario, step, name, "wallMs") !== null)
      .map(({ name, label }) => {
        const cell = (metric: Metric, unit: "ms" | "bytes") => {
          const value = medianOf(results, scenario, step, name, metric);
          if (value === null) return "-";
          const own = medianOf(results, scenario, step, "soneca", metric);
          const times = name === "soneca" || own === null || value === 0 ? "" : ` (${(own / value).toFixed(2)}x)`;
          return inUnit(value, unit) + times;
        };
        const wall = valuesOf(results, scenario, step, name, "wallMs");
        const noise = wall.length > 1 ? `${Math.round(100 * spread(wall))} %` : "-";
        return [
          step,
          label,
          cell("wallMs", "ms"),
          noise,
          cell("cpuMs", "ms"),
          cell("peakBytes", "bytes"),
          cell("storedBytes", "bytes"),
          cell("addedBytes", "bytes"),
        ];
      }),
  );
  return {
    title: `Scenario ${scenario}`,
    note: "In parentheses: soneca's number as a multiple of this one.",
    head: ["step", "tool", "wall", "spread", "CPU", "peak memory", "stored", "added"],
    rows,
  };
}

function kindTable(results: Results): Table {
  const tools = results.tools.filter(({ name }) =>
    results.samples.some((s) => s.scenario === "kinds" && s.tool === name),
  );
  const rows = Object.keys(kinds).map((kind) => {
    const plain = medianOf(results, "kinds", kind, "data", "plainBytes");
    const own = medianOf(results, "kinds", kind, "soneca", "storedBytes");
    return [
      kind,
      plain === null ? "-" : inUnit(plain, "bytes"),
      ...tools.map(({ name }) => {
        const stored = medianOf(results, "kinds", kind, name, "storedBytes");
        if (stored === null || plain === null) return "-";
        const times = name === "soneca" || own === null ? "" : ` (${(own / stored).toFixed(3)}x)`;
        return `${((100 * stored) / plain).toFixed(1)} %${times}`;
      }),
    ];
  });
  return {
    title: "Stored share of each kind of data, alone",
    note: "Everything in the store, over the plain bytes. In parentheses: soneca's bytes as a multiple of this tool's.",
    head: ["kind", "plain", ...tools.map(({ label }) => label)],
    rows,
  };
}

function lossTable(results: Results): Table {
  const seen = new Set<string>();
  const rows: string[][] = [];
  for (const loss of results.losses) {
    const key = `${loss.scenario} ${loss.tool}`;
    if (seen.has(key)) continue;
    seen.add(key);
    const words = lossCount(loss) === 0 ? "identical" : lossesInWords(loss);
    rows.push([loss.scenario, labelOf(results, loss.tool), words, loss.examples.slice(0, 3).join("; ")]);
  }
  return {
    title: "What came back",
    note: "Each restored folder, compared with the source.",
    head: ["scenario", "tool", "differences", "examples"],
    rows,
  };
}

const labelOf = (results: Results, name: ToolName) => results.tools.find((tool) => tool.name === name)?.label ?? name;

export function inUnit(value: number, unit: "x" | "bytes" | "ms" | "count"): string {
  if (unit === "x") return `${value.toFixed(value < 1.01 && value > 0.99 ? 4 : 3)}x`;
  if (unit === "ms") return `${(value / 1000).toFixed(2)} s`;
  if (unit === "count") return String(value);
  if (value === 0) return "0";
  return value < 1e6 ? `${(value / 1e3).toFixed(1)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

/** Lines about the run itself. */
export function headOf(results: Results): string[] {
  const { machine, data, tools } = results;
  const workspace = data.workspace
    ? ` Workspace: ${data.workspace.files} files, ${inUnit(data.workspace.bytes, "bytes")}.`
    : "";
  return [
    `${results.startedAt}, commit ${results.commit}, size ${results.size}, ${results.rounds} round(s), ${Math.round(results.seconds)} s.${workspace}`,
    `${machine.cpu}, ${machine.cores} cores, ${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB, Linux ${machine.kernel}, ${machine.fileSystem}. ${results.pageCache}`,
    data.kind === "real"
      ? "Data: real weights and source trees of pinned npm packages."
      : `Data: SYNTHETIC, no statement about real data. ${data.why ?? ""}`,
    ...tools.map(({ label, version, missing }) => (missing ? `${label}: MISSING. ${missing}` : `${label}: ${version}`)),
  ];
}

export function asText(results: Results): string {
  const parts = tablesOf(results).map(({ title, note, head, rows }) => {
    const widths = head.map((word, i) => Math.min(64, Math.max(word.length, ...rows.map((row) => row[i]!.length))));
    const line = (row: string[]) =>
      row
        .map((word, i) => word.padEnd(widths[i]!))
        .join("  ")
        .trimEnd();
    return [
      title,
      ...(note ? [note] : []),
      line(head),
      line(widths.map((width) => "-".repeat(width))),
      ...rows.map(line),
    ].join("\n");
  });
  return `${headOf(results).join("\n")}\n\n${parts.join("\n\n")}\n`;
}

export function asMarkdown(results: Results): string {
  const cellOf = (word: string) => word.replace(/\|/g, "\\|").replace(/\n/g, " ").replace(/</g, "&lt;");
  const line = (row: string[]) => `| ${row.map(cellOf).join(" | ")} |`;
  const parts = tablesOf(results).map(({ title, note, head, rows }) =>
    [
      `### ${title}`,
      "",
      ...(note ? [note, ""] : []),
      line(head),
      `|${"---|".repeat(head.length)}`,
      ...rows.map(line),
    ].join("\n"),
  );
  return `${headOf(results)
    .map((text) => `- ${cellOf(text)}`)
    .join("\n")}\n\n${parts.join("\n\n")}\n`;
}

/** `page` with what is between the markers of this name replaced. @throws if it does not have both, in order. */
export function withResults(page: string, markdown: string, name = "bench"): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`the page has no ${begin} ... ${end}`);
  return `${page.slice(0, from + begin.length)}\n\n${markdown}\n${page.slice(to)}`;
}
