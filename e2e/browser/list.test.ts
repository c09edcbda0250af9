/** A long list, and the reference of the API: pages that are large. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { InstanceSummary } from "../../core/protocol/views.ts";
import { Instance, startTestCloud, type TestCloud } from "../testing/cloud.ts";
import { hasBrowser, openPage, startBrowser } from "./browser.ts";

/** Beside other tests the browser has its turn seldom. */
const slow = { timeout: 15_000 };

describe.skipIf(!hasBrowser)("large pages", () => {
  let test: TestCloud;
  let browser: Browser;
  beforeAll(async () => {
    [test, browser] = await Promise.all([startTestCloud(), startBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await test?.end();
  });

  it("of 300 instances each is there by its name, drawn in full where one looks, and nothing jumps", async () => {
    const count = 300;
    const body = { name: "one", gpu_type: "RTX 4090", auto_hibernation: { enabled: false } };
    await (await Instance.create(test.cloud, body)).untilState("running");
    const { page, complaints, close } = await openPage(browser, `${test.cloud.url}/settings`);
    await page.route("**/api/instances?**", async (route) => {
      const answer = await route.fetch();
      const { instances } = (await answer.json()) as { instances: InstanceSummary[] };
      const rows = Array.from({ length: count }, (_, i) => ({
        ...instances[0]!,
        id: `i-${String(i)
          .replaceAll(/\d/g, (digit) => "abcdefghij"[Number(digit)]!)
          .padStart(10, "z")}`,
        name: `row-${String(i).padStart(3, "0")}`,
      }));
      await route.fulfill({ response: answer, json: { instances: rows } });
    });
    await page.goto(test.cloud.url);
    const rows = page.locator("#list tr.r");
    const last = page.locator("#list tr.r", { hasText: "row-299" });
    await expect.poll(() => rows.count(), slow).toBe(count);
    expect(await last.locator("td").count()).toBe(1);
    expect(await rows.first().locator("td").count()).toBe(8);

    // The first frame has shown how high one is.
    await page.waitForTimeout(300);
    const height = () => page.evaluate(() => document.documentElement.scrollHeight);
    const before = await height();
    await page.evaluate(() => {
      const seen = { shift: 0 };
      Object.assign(window, { seen });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) seen.shift += entry.value;
      }).observe({ type: "layout-shift" });
    });
    // As somebody who leafs through it.
    for (let at = 0; at < before; at += 700) {
      await page.evaluate((to) => scrollTo(0, to), at);
      await page.waitForTimeout(30);
    }
    await expect.poll(() => last.locator("td").count(), slow).toBe(8);
    expect(await page.evaluate(() => (window as unknown as { seen: { shift: number } }).seen.shift)).toBeLessThan(0.01);
    expect(Math.abs((await height()) - before)).toBeLessThan(0.02 * before);
    await expect.poll(() => rows.first().locator("td").count(), slow).toBe(1);

    await page.keyboard.press("/");
    await page.keyboard.type("row-29");
    await expect.poll(() => rows.count(), slow).toBe(10);
    await page.getByRole("searchbox").fill("");
    await expect.poll(() => rows.count(), slow).toBe(count);
    await page.getByRole("searchbox").blur();
    for (let i = 0; i < 40; i++) await page.keyboard.press("j");
    const focused = page.locator("#list tr.at");
    await expect.poll(() => focused.locator("td").count(), slow).toBe(8);
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("row-039");
    expect(complaints).toEqual([]);
    // One that is on its way when the page goes is nobody's.
    await page.unrouteAll({ behavior: "ignoreErrors" });
    await close();
  });

  it.each(["light", "dark"] as const)(
    "the reference of the API, %s: all of it from here, and a call can be tried",
    async (theme) => {
      const asked: string[] = [];
      const { page, complaints, close } = await openPage(browser, `${test.cloud.url}/settings`, { theme });
      page.on("request", (request) => asked.push(request.url()));
      await page.goto(`${test.cloud.url}/settings`);
      await page.getByRole("link", { name: "Reference of the API" }).click();
      await page.getByRole("heading", { name: /Soneca/ }).waitFor();
      const health = page.locator("#operations-Control_plane-health");
      await health.locator("button").first().click();
      await health.getByRole("button", { name: "Try it out" }).click();
      await health.getByRole("button", { name: "Execute" }).click();
      await health.locator(".live-responses-table").getByText("200", { exact: true }).waitFor();
      expect(asked.filter((url) => !url.startsWith(test.cloud.url) && !url.startsWith("data:"))).toEqual([]);
      expect(await page.evaluate(() => document.documentElement.classList.contains("dark-mode"))).toBe(
        theme === "dark",
      );
      expect(complaints).toEqual([]);
      await close();
    },
  );
});
