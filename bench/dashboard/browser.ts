/** What a page took, as the browser itself notes it. */
import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import type { InstanceSummary } from "../../core/protocol/views.ts";
import { UsageError } from "../options.ts";

/** Debian's. @throws UsageError where there is none. */
export function startBrowser(): Promise<Browser> {
  const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
  if (!executablePath) throw new UsageError("there is no chromium: apt-get install chromium");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A phone's processor and line beside this machine's own. */
export const conditions = {
  "this machine": null,
  "slow: processor 4x slower, 10 Mbit/s, 40 ms": { slower: 4, bytesPerSecond: 1_250_000, latencyMs: 40 },
} as const;
export type Condition = keyof typeof conditions;

export async function openContext(browser: Browser): Promise<BrowserContext> {
  return browser.newContext({ viewport: { width: 1280, height: 900 } });
}

export async function slowDown(page: Page, condition: Condition): Promise<void> {
  const how = conditions[condition];
  if (!how) return;
  const session = await page.context().newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: how.slower });
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: how.latencyMs,
    downloadThroughput: how.bytesPerSecond,
    uploadThroughput: how.bytesPerSecond,
  });
}

export interface Shown {
  /** From the navigation on, ms. */
  firstPaint: number;
  /** The first instance of the list. */
  rows: number;
}

export async function timeList(page: Page, url: string): Promise<Shown> {
  await page.addInitScript(() => {
    const seen = { rows: 0 };
    Object.assign(window, { seen });
    new MutationObserver((_, observer) => {
      if (!document.querySelector("#list tbody tr.r")) return;
      // After the frame that shows it.
      requestAnimationFrame(() => setTimeout(() => (seen.rows = performance.now())));
      observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
  });
  await page.goto(url);
  await page.waitForFunction(() => (window as unknown as { seen: { rows: number } }).seen.rows > 0);
  return page.evaluate(() => ({
    firstPaint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Number.NaN,
    rows: (window as unknown as { seen: { rows: number } }).seen.rows,
  }));
}

/** So many rows, made of one that is there. */
export async function fillList(page: Page, count: number): Promise<void> {
  await page.route("**/api/instances?**", async (route) => {
    const answer = await route.fetch();
    const { instances } = (await answer.json()) as { instances: InstanceSummary[] };
    const first = instances[0]!;
    const rows = Array.from({ length: count }, (_, i) => ({
      ...first,
      id: `i-${(i + 1)
        .toString(36)
        .padStart(10, "a")
        .replaceAll(/[0189]/g, "b")}`,
      name: `${first.name}-${i + 1}`,
      // Each refresh brings other numbers, as of machines that work.
      gpu_utilization: Math.round(100 * Math.random()),
    }));
    await route.fulfill({ response: answer, json: { instances: rows } });
  });
}

export interface Felt {
  /** From each key to the frame that shows its letter, ms. */
  keys: number[];
  /** From each key to the list that fits it, ms. */
  lists: number[];
  /** Between frames while it is scrolled, ms. */
  frames: number[];
  /** Of the page's own work while two refreshes came, ms: each task over 50. */
  tasks: number[];
}

export async function feelList(page: Page): Promise<Felt> {
  const tasks = await observeTasks(page, 11_000);
  const typed: Typed[] = [];
  await page.getByRole("searchbox").focus();
  for (const key of "sample-4") typed.push(await timeKey(page, key));
  for (let i = 0; i < 8; i++) typed.push(await timeKey(page, "Backspace"));
  const keys = typed.map(({ letterMs }) => letterMs);
  const lists = typed.map(({ listMs }) => listMs);
  return { keys, lists, frames: await scroll(page), tasks };
}

interface Typed {
  letterMs: number;
  listMs: number;
}

async function timeKey(page: Page, key: string): Promise<Typed> {
  await page.evaluate(() => {
    const seen = { letterMs: 0, listMs: 0 };
    Object.assign(window, { key: seen });
    addEventListener(
      "keydown",
      ({ timeStamp }) => {
        const afterFrame = (then: (ms: number) => void) =>
          requestAnimationFrame(() => setTimeout(() => then(performance.now() - timeStamp)));
        const follow = (ms: number) => {
          if (document.querySelector("#list[aria-busy=true]")) afterFrame(follow);
          else seen.listMs = ms;
        };
        afterFrame((ms) => {
          seen.letterMs = ms;
          follow(ms);
        });
      },
      { once: true, capture: true },
    );
  });
  await page.keyboard.press(key);
  await page.waitForFunction(() => (window as unknown as { key: Typed }).key.listMs > 0);
  return page.evaluate(() => (window as unknown as { key: Typed }).key);
}

async function scroll(page: Page): Promise<number[]> {
  return page.evaluate(
    () =>
      new Promise<number[]>((resolve) => {
        const frames: number[] = [];
        const end = document.documentElement.scrollHeight - innerHeight;
        let [last, at] = [performance.now(), 0];
        const step = (now: number) => {
          frames.push(now - last);
          last = now;
          at += 240;
          scrollTo(0, at);
          if (at < end && frames.length < 240) requestAnimationFrame(step);
          else resolve(frames.slice(2));
        };
        requestAnimationFrame(step);
      }),
  );
}

async function observeTasks(page: Page, forMs: number): Promise<number[]> {
  return page.evaluate(
    (ms) =>
      new Promise<number[]>((resolve) => {
        const found: number[] = [];
        new PerformanceObserver((list) => {
          for (const { duration } of list.getEntries()) found.push(duration);
        }).observe({ type: "longtask" });
        setTimeout(() => resolve(found), ms);
      }),
    forMs,
  );
}
