import { expect, test } from "vitest";
import { bars, judge } from "./bars.ts";
import { mountOf } from "./machine.ts";
import { parseOptions, UsageError } from "./options.ts";
import { asMarkdown, asText, tablesOf, withResults } from "./report.ts";
import { medianOf, type Results, type Sample } from "./results.ts";
import { median, rotated, spread } from "./statistics.ts";

test("median, spread and the order of a round", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeNaN();
  expect(spread([10, 8, 11])).toBeCloseTo(0.3);
  expect([0, 1, 2, 3].map((round) => rotated(["a", "b", "c"], round).join(""))).toEqual(["abc", "bca", "cab", "abc"]);
  expect(rotated([], 2)).toEqual([]);
});

const sample = (tool: Sample["tool"], round: number, more: Partial<Sample>): Sample => ({
  scenario: "mixed",
  step: "first",
  tool,
  round,
  ...more,
});

const results: Results = {
  format: 1,
  startedAt: "2026-01-02T03:04:05.000Z",
  seconds: 60,
  commit: "abc",
  size: "small",
  rounds: 3,
  scenarios: ["mixed", "edge-cases"],
  data: { kind: "synthetic", why: "The packages could not be had: no network.", workspace: { files: 12, bytes: 3e6 } },
  pageCache: "Page cache: warm.",
  machine: { cpu: "CPU", cores: 2, memoryBytes: 2 ** 33, kernel: "6.1", fileSystem: "ext4 (rw)", node: "v22" },
  tools: [
    { name: "soneca", label: "soneca", version: "0.1.0", missing: null },
    { name: "restic", label: "restic", version: "0.14", missing: null },
    { name: "borg", label: "borg", version: null, missing: "not installed; on Debian: apt-get install borgbackup" },
    { name: "tar-zstd", label: "tar | zstd -3", version: "1.34", missing: null },
  ],
  samples: [
    sample("soneca", 0, { wallMs: 500, cpuMs: 300, storedBytes: 800 }),
    sample("soneca", 1, { wallMs: 900, cpuMs: 300, storedBytes: 800 }),
    sample("soneca", 2, { wallMs: 600, cpuMs: 300, storedBytes: 800, peakBytes: null }),
    sample("restic", 0, { wallMs: 1000, cpuMs: 400, storedBytes: 1000 }),
    sample("tar-zstd", 0, { wallMs: 700, cpuMs: 400, storedBytes: 900 }),
  ],
  losses: [
    {
      scenario: "edge-cases",
      tool: "soneca",
      round: 0,
      missing: 0,
      extra: 0,
      differing: { "inode flags": 1 },
      examples: [],
    },
    {
      scenario: "mixed",
      tool: "tar-zstd",
      round: 0,
      missing: 0,
      extra: 0,
      differing: { time: 7 },
      examples: ['"a|b": time'],
    },
  ],
  failures: [{ scenario: "mixed", step: "verify", tool: "restic", round: 0, message: "exit 1\nbroken" }],
};

test("a ratio is of the medians; a missing peer leaves its bars unmeasured, said in words", () => {
  expect(medianOf(results, "mixed", "first", "soneca", "wallMs")).toBe(600);
  expect(medianOf(results, "mixed", "first", "soneca", "peakBytes")).toBe(null);
  const rows = Object.fromEntries(tablesOf(results)[0]!.rows.map(([text, ...rest]) => [text, rest]));
  expect(rows["first snapshot, wall, against restic"]).toEqual(["0.600x", "0.750x", "-", "met"]);
  expect(rows["first snapshot, CPU, against restic"]).toEqual(["0.750x", "0.650x", "-", "missed"]);
  expect(rows["stored bytes, against restic"]).toEqual(["0.800x", "0.920x", "0.865x", "aim met"]);
  expect(rows["after a day's work, added bytes, against borg"]?.[3]).toBe("not measured");
  expect(rows["edge cases: things lost (inode flags apart)"]?.[3]).toBe("met");
  expect(rows["edge cases: inode flags lost"]?.[3]).toBe("aim missed");
  expect(asText(results)).toContain("borg: MISSING. not installed; on Debian: apt-get install borgbackup");
});

test("a bar whose engine failed is missed, not unmeasured", () => {
  const failures = [{ scenario: "mixed", step: "verify", tool: "soneca" as const, round: 0, message: "exit 5" }];
  const rows = Object.fromEntries(tablesOf({ ...results, failures })[0]!.rows.map(([text, ...rest]) => [text, rest]));
  expect(rows["verify every stored byte, wall, against restic"]).toEqual(["failed", "0.500x", "0.330x", "missed"]);
  expect(rows["stored bytes, against restic"]?.[3]).toBe("aim met");
});

test("every verdict", () => {
  const bar = { ...bars[0]!, must: 2, aim: 1 };
  expect([0.5, 1, 1.5, 2, 2.5, null, Number.NaN].map((value) => judge(bar, value))).toEqual([
    "aim met",
    "aim met",
    "met",
    "met",
    "missed",
    "not measured",
    "not measured",
  ]);
  expect(judge({ ...bar, aim: null }, 0)).toBe("met");
  expect([1, 3].map((value) => judge({ ...bar, must: null }, value))).toEqual(["aim met", "aim missed"]);
});

test("Markdown: rows of equal width, bars escaped, synthetic data said, ratios beside peers", () => {
  const markdown = asMarkdown(results);
  expect(markdown).toContain("SYNTHETIC, no statement about real data. The packages could not be had: no network.");
  expect(markdown).toContain("| first | restic | 1.00 s (0.60x) |");
  expect(markdown).toContain('"a\\|b": time');
  for (const table of markdown.split("\n\n").filter((part) => part.startsWith("|"))) {
    const widths = table
      .trim()
      .split("\n")
      .map((line) => line.replace(/\\\|/g, "").split("|").length);
    expect(new Set(widths).size).toBe(1);
  }
});

test("the page keeps what is outside its markers, again and again", () => {
  const page = "before\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nafter\n";
  const once = withResults(page, "new\n");
  expect(once).toBe("before\n<!-- bench:begin -->\n\nnew\n\n<!-- bench:end -->\nafter\n");
  expect(withResults(once, "new\n")).toBe(once);
  expect(() => withResults("no markers", "new")).toThrow("has no");
});

test("options: defaults, and words for what is wrong", () => {
  expect(parseOptions([], "/repo")).toMatchObject({
    size: "full",
    rounds: 3,
    only: ["mixed", "kinds"],
    dir: "/repo/.soneca/bench",
  });
  expect(parseOptions(["--size", "small", "--only", "renamed,mixed"], "/repo")).toMatchObject({
    rounds: 1,
    only: ["mixed", "renamed"],
  });
  expect(parseOptions(["--help"], "/repo")).toBe("help");
  for (const args of [
    ["--size", "huge"],
    ["--rounds", "0"],
    ["--rounds", "x"],
    ["--only", "nothing"],
    ["--tools", "rar"],
    ["--what"],
  ])
    expect(() => parseOptions(args, "/repo"), args.join(" ")).toThrow(UsageError);
});

test("the file system is that of the nearest mount", () => {
  const mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw,size=1 0 0\n/dev/b /tmp2 xfs rw 0 0\n";
  expect(mountOf("/tmp/x", mounts)).toBe("tmpfs (rw,size=1)");
  expect(mountOf("/tmp3/x", mounts)).toBe("ext4 (rw)");
});
