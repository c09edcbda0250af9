/** Families of metrics as text: Prometheus's own format 0.0.4, and OpenMetrics 1.0 for who asks for it. */

export interface Sample {
  labels?: Record<string, string>;
  value: number;
}

/** Of one label set; `counts` are of each bucket by itself, in the order of `bounds` and one more for what is above. */
export interface Histogram {
  labels?: Record<string, string>;
  counts: readonly number[];
  sum: number;
}

interface Named {
  /** Of a counter with its `_total`. */
  name: string;
  help: string;
}

export type Family =
  | (Named & { type: "gauge" | "counter"; samples: Sample[] })
  | (Named & { type: "histogram"; bounds: readonly number[]; histograms: Histogram[] });

export const textType = "text/plain; version=0.0.4; charset=utf-8";
export const openMetricsType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

export function formatMetrics(families: readonly Family[], isOpenMetrics: boolean): string {
  const text = families.map((family) => formatFamily(family, isOpenMetrics)).join("");
  return isOpenMetrics ? `${text}# EOF\n` : text;
}

function formatFamily(family: Family, isOpenMetrics: boolean): string {
  const { name, help, type } = family;
  // OpenMetrics names the family of a counter without what each of its samples ends with.
  const base = isOpenMetrics && type === "counter" ? name.replace(/_total$/, "") : name;
  // Only OpenMetrics knows quotes in a help text as something to escape.
  const said = help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  const head = [`# HELP ${base} ${isOpenMetrics ? said.replaceAll('"', '\\"') : said}`, `# TYPE ${base} ${type}`];
  const lines = family.type === "histogram" ? histogramLines(family) : family.samples.map((one) => line(name, one));
  return `${[...head, ...lines].join("\n")}\n`;
}

function histogramLines({ name, bounds, histograms }: Extract<Family, { type: "histogram" }>): string[] {
  return histograms.flatMap(({ labels, counts, sum }) => {
    let below = 0;
    const buckets = [...bounds.map(String), "+Inf"].map((le, i) => {
      below += counts[i] ?? 0;
      return line(`${name}_bucket`, { labels: { ...labels, le }, value: below });
    });
    return [...buckets, line(`${name}_sum`, { labels, value: sum }), line(`${name}_count`, { labels, value: below })];
  });
}

function line(name: string, { labels = {}, value }: { labels?: Record<string, string> | undefined; value: number }) {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(",")}}` : ""} ${value}`;
}

/** Names are what users give; a line of them must stay one line. */
function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
