/** Medians over the rounds, and the bars. */
import { median, quantile } from "../statistics.ts";
import type { DashboardResults } from "./dashboard.ts";

const budgetBytes = 200 * 1024;
/** What is felt as at once, and what as smooth: https://web.dev/articles/inp, https://web.dev/articles/rail */
const bars = { firstPaintMs: 1_800, keyMs: 200, frameMs: 50 };

const slow = (results: DashboardResults) =>
  results.shown.find((one) => one.condition.startsWith("slow") && one.cache === "empty")!;

export function dashboardBreaches(results: DashboardResults): string[] {
  const breaches: string[] = [];
  if (results.sizes.script > budgetBytes)
    breaches.push(`${kb(results.sizes.script)} of JavaScript, at most ${kb(budgetBytes)}`);
  const paint = median(slow(results).values.map((one) => one.firstPaint));
  if (paint > bars.firstPaintMs)
    breaches.push(`first paint on a slow device ${ms(paint)}, at most ${ms(bars.firstPaintMs)}`);
  for (const { condition, values } of results.felt) {
    const key = quantile(
      values.flatMap((one) => one.keys),
      0.98,
    );
    if (key > bars.keyMs)
      breaches.push(`a key in a list of ${results.rows} (${condition}) ${ms(key)} at P98, at most ${ms(bars.keyMs)}`);
  }
  return breaches;
}

export function dashboardMarkdown(results: DashboardResults): string {
  const { sizes, rows, rounds, startedAt, commit, machine } = results;
  const shown = results.shown.map(
    ({ condition, cache, values }) =>
      `| ${condition} | ${cache} | ${ms(median(values.map((one) => one.firstPaint)))} | ${ms(median(values.map((one) => one.rows)))} |`,
  );
  const felt = results.felt.map(({ condition, values }) => {
    const keys = values.flatMap((one) => one.keys);
    const lists = values.flatMap((one) => one.lists);
    const frames = values.flatMap((one) => one.frames);
    const tasks = values.flatMap((one) => one.tasks);
    const late = frames.filter((one) => one > bars.frameMs).length / Math.max(1, frames.length);
    const worst = tasks.length === 0 ? "none" : `${tasks.length}, the longest ${ms(Math.max(...tasks))}`;
    return `| ${condition} | ${ms(quantile(keys, 0.5))} | ${ms(quantile(keys, 0.98))} | ${ms(quantile(lists, 0.5))} | ${ms(quantile(lists, 0.98))} | ${ms(quantile(frames, 0.5))} | ${ms(quantile(frames, 0.98))} | ${(100 * late).toFixed(1)} % | ${worst} |`;
  });
  return `${rounds} rounds. ${startedAt.slice(0, 10)}, commit ${commit}, ${machine.cpu}, ${machine.cores} cores.

JavaScript ${kb(sizes.script)} as gzip sends it, all that a reader of one language can come to load (at most ${kb(budgetBytes)}); for the list ${kb(sizes.first)} of it; styles ${kb(sizes.style)}.

| the list of instances | cache | first paint | its rows |
|---|---|---|---|
${shown.join("\n")}

| a list of ${rows} instances | a key in its search, P50 | P98 | the list that fits it, P50 | P98 | between frames while scrolled, P50 | P98 | over 50 ms | tasks over 50 ms in 11 s of refreshes |
|---|---|---|---|---|---|---|---|---|
${felt.join("\n")}`;
}

function ms(value: number): string {
  return `${value.toFixed(0)} ms`;
}

function kb(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KB`;
}
