/** A real browser on a local cloud. What the page says to its console, and what axe finds, is part of the test. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect } from "vitest";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) =>
  existsSync(path),
);

/** Without a browser these tests are skipped, and say so: `apt-get install chromium`. */
export const hasBrowser = executablePath !== undefined;
if (!hasBrowser) console.warn("skipped: tests of the dashboard want Debian's chromium (apt-get install chromium)");

export function startBrowser(): Promise<Browser> {
  // In a container there is no sandbox for root.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"] });
}

export interface Look {
  theme?: "light" | "dark";
  language?: "en" | "pt-BR";
  width?: number;
  height?: number;
  reducedMotion?: BrowserContextOptions["reducedMotion"];
}

export interface OpenPage {
  page: Page;
  /** What the page complained about, less what a test expects. */
  complaints: string[];
  close(): Promise<void>;
}

export async function openPage(browser: Browser, url: string, look: Look = {}): Promise<OpenPage> {
  const { theme = "light", language = "en", width = 1280, height = 900, reducedMotion = "reduce" } = look;
  const context = await browser.newContext({
    viewport: { width, height },
    reducedMotion,
    timezoneId: "America/Sao_Paulo",
  });
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.addInitScript(
    ([wantedTheme, wantedLanguage]) => {
      localStorage.setItem("soneca.theme", wantedTheme!);
      localStorage.setItem("soneca.language", wantedLanguage!);
    },
    [theme, language],
  );
  await page.goto(url);
  return { page, complaints, close: () => context.close() };
}

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Each violation with where it is, of these rules of axe or of all. */
export async function violationsOf(page: Page, rules: string[] | null = null): Promise<string[]> {
  // The policy of the page allows no script but its own: axe comes by the debugger, which it does not concern.
  await page.evaluate(axeSource);
  return page.evaluate(async (runOnly) => {
    const { axe } = window as unknown as { axe: { run: (options: object) => Promise<{ violations: Violation[] }> } };
    const found = await axe.run({ resultTypes: ["violations"], ...(runOnly && { runOnly }) });
    return found.violations.flatMap(({ id, nodes }) =>
      nodes.map((node) => `${id}: ${node.target.join(" ")}: ${node.failureSummary}`),
    );
  }, rules);
}

export async function mustBeAccessible(page: Page, what: string): Promise<void> {
  expect(await violationsOf(page), what).toEqual([]);
}

interface Violation {
  id: string;
  nodes: { target: string[]; failureSummary: string }[];
}

/** By how many pixels it is wider than the window. */
export async function excessWidth(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
