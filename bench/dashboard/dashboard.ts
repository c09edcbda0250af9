/** The dashboard in a browser: how soon it shows something, and whether a list of 500 instances stays smooth. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import type { InstanceView } from "../../core/protocol/views.ts";
import { LocalCloud } from "../../local-cloud/cloud.ts";
import { freePort } from "../../local-cloud/secrets.ts";
import { bundleDashboard } from "../../tools/build.ts";
import { describeMachine, gitCommit, type Machine } from "../machine.ts";
import {
  type Condition,
  conditions,
  type Felt,
  feelList,
  fillList,
  openContext,
  type Shown,
  slowDown,
  startBrowser,
  timeList,
} from "./browser.ts";

export interface Sizes {
  /** As gzip sends it: what a reader of one language can come to load at most. */
  script: number;
  /** Of that what the list needs. */
  first: number;
  style: number;
}

export interface DashboardResults {
  startedAt: string;
  commit: string;
  machine: Machine;
  rounds: number;
  rows: number;
  sizes: Sizes;
  shown: { condition: Condition; cache: "empty" | "filled"; values: Shown[] }[];
  felt: { condition: Condition; values: Felt[] }[];
}

export async function runDashboard(
  repository: string,
  { rounds, rows }: { rounds: number; rows: number },
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<DashboardResults> {
  const dir = mkdtempSync(join(tmpdir(), "soneca-bench-dashboard-"));
  const startedAt = new Date().toISOString();
  const cloud = await LocalCloud.start({ stateDir: join(dir, "state"), port: await freePort(), bootMs: 500 });
  const browser = await startBrowser();
  try {
    await makeInstance(cloud);
    const results: DashboardResults = {
      startedAt,
      commit: gitCommit(repository),
      machine: describeMachine(dir),
      rounds,
      rows,
      sizes: await sizesOf(join(dir, "dashboard")),
      shown: [],
      felt: [],
    };
    for (const condition of Object.keys(conditions) as Condition[]) {
      const empty: Shown[] = [];
      const filled: Shown[] = [];
      const felt: Felt[] = [];
      for (let round = 0; round < rounds; round++) {
        signal.throwIfAborted();
        say(`${condition}, round ${round + 1}`);
        const both = await showTwice(browser, cloud.url, condition);
        empty.push(both.empty);
        filled.push(both.filled);
        felt.push(await feel(browser, cloud.url, condition, rows));
      }
      results.shown.push({ condition, cache: "empty", values: empty }, { condition, cache: "filled", values: filled });
      results.felt.push({ condition, values: felt });
    }
    return results;
  } finally {
    await browser.close();
    await cloud.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function makeInstance(cloud: LocalCloud): Promise<void> {
  const body = { name: "sample", auto_hibernation: { enabled: false } };
  const made = await cloud.api<InstanceView>("POST", "/api/instances", body);
  if (made.status !== 201) throw new Error(`no instance: ${JSON.stringify(made.body)}`);
}

/** A first visit, and one that finds the files of the first. */
async function showTwice(
  browser: Browser,
  url: string,
  condition: Condition,
): Promise<{ empty: Shown; filled: Shown }> {
  const context = await openContext(browser);
  try {
    const first = await context.newPage();
    await slowDown(first, condition);
    const empty = await timeList(first, url);
    await first.close();
    const second = await context.newPage();
    await slowDown(second, condition);
    return { empty, filled: await timeList(second, url) };
  } finally {
    await context.close();
  }
}

async function feel(browser: Browser, url: string, condition: Condition, rows: number): Promise<Felt> {
  const context = await openContext(browser);
  try {
    const page = await context.newPage();
    await fillList(page, rows);
    await timeList(page, url);
    // Its line does not matter for what is felt.
    await slowDown(page, condition);
    return await within(90_000, feelList(page));
  } finally {
    await context.close();
  }
}

/** A browser that no longer answers ends the run, with words. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the page did not answer within ${ms / 1000} s`)), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

async function sizesOf(dir: string): Promise<Sizes> {
  await bundleDashboard(dir);
  const assets = join(dir, "assets");
  const sizeOf = (name: string) => gzipSync(readFileSync(join(assets, name))).length;
  const names = readdirSync(assets);
  const sum = (wanted: (name: string) => boolean) =>
    names.filter(wanted).reduce((total, name) => total + sizeOf(name), 0);
  const isScript = (name: string) => name.endsWith(".js");
  return {
    script: sum((name) => isScript(name) && !name.startsWith("pt-")),
    first: firstOf(readFileSync(join(dir, "index.html"), "utf8"), assets).reduce(
      (total, name) => total + sizeOf(name),
      0,
    ),
    style: sum((name) => name.endsWith(".css")),
  };
}

/** The page's own script with all that it imports, and the words in English. */
function firstOf(html: string, assets: string): string[] {
  const entry = /assets\/(index-[\w-]+\.js)/.exec(html)?.[1];
  const found = new Set<string>();
  const visit = (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    const text = readFileSync(join(assets, name), "utf8");
    for (const [, next] of text.matchAll(/(?:from|import)\s*"\.\/([\w-]+\.js)"/g)) visit(next!);
  };
  if (entry) visit(entry);
  const words = readdirSync(assets).find((name) => /^en-[\w-]+\.js$/.test(name));
  if (words) visit(words);
  return [...found];
}
