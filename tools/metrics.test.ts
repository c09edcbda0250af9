/** The metrics by Prometheus's own tool, and what is read from them: the alerts and the dashboard of docs/. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Meters } from "../worker/db/meters.ts";
import { formatMetrics } from "../worker/metrics/exposition.ts";
import { familiesOf } from "../worker/metrics/families.ts";

const docs = join(import.meta.dirname, "..", "docs");
const hasPromtool = spawnSync("promtool", ["--version"]).status === 0;
if (!hasPromtool)
  console.warn("promtool is not installed (Debian: prometheus): metrics, alerts and queries are not checked by it");

const now = Date.parse("2026-11-29T17:41:20Z");
type Row = Meters["shown"][number];

/** One instance that has everything there is to tell. */
const row = {
  instanceId: "i-k3v7q2m4xa",
  userId: "u-w6cekeftay",
  name: 'a "name" with \\ and\na line',
  status: "running",
  state: "running",
  gpuType: "RTX 4090",
  region: "BR",
  vastInstanceId: 7,
  gpuUtilization: 80,
  machines: 1,
  burnMicroUsdPerHour: 400_000,
  unpricedMachines: 0,
  machineMicroUsd: 1_234_567,
  trafficMicroUsd: 1,
  storageMicroUsd: 2,
  avoidedMicroUsd: 3,
  storedBytes: 12_345_678_901,
  lastReportAt: "2026-11-29T17:41:00.000Z",
  recoveryPointAt: "2026-11-29T17:00:00.000Z",
  clockSkewMs: -80,
  troubleCode: "wake_failed",
} as unknown as Row;

const meters = {
  byState: [{ ...row, instances: 1 }],
  shown: [row],
  counts: [
    { name: "event", label: "woke_up", value: 2 },
    { name: "wake_bucket", label: "whole|60", value: 1 },
    { name: "wake_bucket", label: "whole|+Inf", value: 1 },
    { name: "wake_ms", label: "whole", value: 4_000_500 },
    { name: "provider_call", label: "list", value: 5 },
    { name: "provider_failure", label: "list|provider_auth", value: 1 },
  ],
  crons: [
    { duty: "sweep", at: "2026-11-29T17:41:00.000Z" },
    { duty: "provider", at: "2026-11-29T17:40:00.000Z" },
  ],
  late: 1,
  nextDueAt: now - 200_000,
} as unknown as Meters;

const families = familiesOf(meters, { version: "0.1.0", now });
const text = formatMetrics(families, false);

/** Each metric that is in the text, with its labels. */
const known = new Map<string, Set<string>>();
for (const line of text.split("\n")) {
  const [, name, labels = ""] = /^(\w+)(?:\{(.*)\})? \S+$/.exec(line) ?? [];
  if (!name || line.startsWith("#")) continue;
  const names = [...labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)].map((match) => match[1]!);
  known.set(name, new Set([...(known.get(name) ?? []), ...names]));
}

function promtool(args: string[], input?: string): string {
  const run = spawnSync("promtool", args, { input, encoding: "utf8", timeout: 30_000 });
  return run.status === 0 && run.stderr === "" ? "" : `${run.stdout}${run.stderr}` || `ended with ${run.status}`;
}

interface Panel {
  title: string;
  targets?: { expr: string; legendFormat: string }[];
}
const dashboard = JSON.parse(readFileSync(join(docs, "grafana", "soneca.json"), "utf8")) as {
  panels: Panel[];
  templating: { list: { definition?: string }[] };
};
const queries = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map((one) => ({ title, ...one })));
const rules = readFileSync(join(docs, "prometheus", "soneca.rules.yml"), "utf8");

/** What a query reads that is not in the answer: metrics, and labels of its selectors and of how it groups. */
function unknownIn(query: string): string[] {
  const ours = [...query.matchAll(/\bsoneca_\w+/g)].map((match) => match[0]);
  const labelsOf = new Set(ours.flatMap((name) => [...(known.get(name) ?? [])]));
  const selectors = [...query.matchAll(/(soneca_\w+)\{([^}]*)\}/g)].flatMap(([, name = "", inside = ""]) =>
    [...inside.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)]
      .map((match) => match[1]!)
      .filter((label) => !known.get(name)?.has(label))
      .map((label) => `${name}{${label}}`),
  );
  const grouped = [...query.matchAll(/\b(?:by|on|group_left)\s*\(([^)]*)\)/g)].flatMap((match) =>
    match[1]!.split(",").map((label) => label.trim()),
  );
  return [
    ...ours.filter((name) => !known.has(name)),
    ...selectors,
    ...grouped.filter((label) => label !== "" && !labelsOf.has(label)),
  ];
}

describe("the text of the metrics", () => {
  it.skipIf(!hasPromtool)("is found clean by promtool", () => {
    expect(promtool(["check", "metrics"], text)).toBe("");
  });

  it.skipIf(!hasPromtool)("promtool sees what is wrong", () => {
    expect(promtool(["check", "metrics"], "# TYPE a_seconds counter\na_seconds 1\n")).toContain("_total");
  });

  it("adds up buckets, escapes what users name, and leaves out what is not known", () => {
    expect(text).toContain('soneca_wake_duration_seconds_bucket{phase="whole",le="30"} 0\n');
    expect(text).toContain('soneca_wake_duration_seconds_bucket{phase="whole",le="60"} 1\n');
    expect(text).toContain('soneca_wake_duration_seconds_bucket{phase="whole",le="3600"} 1\n');
    expect(text).toContain('soneca_wake_duration_seconds_bucket{phase="whole",le="+Inf"} 2\n');
    expect(text).toContain('soneca_wake_duration_seconds_sum{phase="whole"} 4000.5\n');
    expect(text).toContain('name="a \\"name\\" with \\\\ and\\na line"');
    expect(text).toContain('soneca_instance_paid_usd_total{id="i-k3v7q2m4xa"} 1.23457\n');
    const before = { ...row, machineMicroUsd: null, avoidedMicroUsd: null, lastReportAt: null } as Row;
    const old = formatMetrics(familiesOf({ ...meters, shown: [before] }, { version: "0.1.0", now }), false);
    expect(old).not.toMatch(/^soneca_instance_(paid|avoided|last_report)\w+\{/m);
  });

  it("is OpenMetrics where that is asked for: counters without their ending in the family's name, and an end", () => {
    const open = formatMetrics(families, true);
    expect(open).toContain("# TYPE soneca_paid_usd counter\nsoneca_paid_usd_total{");
    expect(open.endsWith("\n# EOF\n")).toBe(true);
    expect(open.match(/# EOF/g)).toHaveLength(1);
  });
});

describe("the alerts", () => {
  it.skipIf(!hasPromtool)("are rules that promtool takes, and say what their scenarios want", () => {
    expect(promtool(["check", "rules", join(docs, "prometheus", "soneca.rules.yml")])).toBe("");
    expect(promtool(["test", "rules", join(docs, "prometheus", "soneca.rules.test.yml")])).toBe("");
  });

  it("read nothing that is not there", () => {
    const read = rules.split("\n").filter((line) => !line.includes("summary:") && !line.trim().startsWith("#"));
    expect(read.flatMap(unknownIn)).toEqual([]);
    expect(unknownIn('sum by (kindd) (soneca_paid_usd_total{kid="x"}) + soneca_none')).toEqual([
      "soneca_none",
      "soneca_paid_usd_total{kid}",
      "kindd",
    ]);
  });
});

describe("the dashboard", () => {
  it.each(queries)("$title: reads nothing that is not there: $expr", ({ expr, legendFormat }) => {
    expect(unknownIn(expr)).toEqual([]);
    const labels = [...expr.matchAll(/soneca_\w+/g)].flatMap(([name]) => [...(known.get(name) ?? [])]);
    for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(labels).toContain(label);
  });

  it("its choice of instances is of a label that is there", () => {
    const [choice] = dashboard.templating.list.flatMap(({ definition }) => definition ?? []);
    const [, name = "", label = ""] = /^label_values\((\w+), (\w+)\)$/.exec(choice ?? "") ?? [];
    expect(known.get(name)?.has(label)).toBe(true);
  });

  it.skipIf(!hasPromtool)("its queries are PromQL", () => {
    const folder = mkdtempSync(join(tmpdir(), "soneca-queries-"));
    const plain = queries.map(({ expr }) => expr.replaceAll("$__rate_interval", "5m").replaceAll("$id", ".*"));
    const groups = [{ name: "dashboard", rules: plain.map((expr, i) => ({ record: `query:${i}`, expr })) }];
    // JSON is YAML.
    writeFileSync(join(folder, "rules.yml"), JSON.stringify({ groups }));
    const said = promtool(["check", "rules", join(folder, "rules.yml")]);
    rmSync(folder, { recursive: true });
    expect(said).toBe("");
  });
});
