/** Every page, in both themes and languages, wide and narrow: for those who hear it, for those who have no mouse, and still while it lives. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startTestCloud, type TestCloud } from "../testing/cloud.ts";
import { excessWidth, hasBrowser, openPage, startBrowser, violationsOf } from "./browser.ts";
import { makeScene, type Scene, sceneTimings } from "./scene.ts";

/** How often styles were computed so far. */
async function styledTimes(page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const { metrics } = await session.send("Performance.getMetrics");
  await session.detach();
  return metrics.find(({ name }) => name === "RecalcStyleCount")!.value;
}

describe.skipIf(!hasBrowser)("every page", () => {
  let test: TestCloud;
  let browser: Browser;
  let scene: Scene;
  /** Numbers of its last two snapshots. */
  let [newer, older] = [0, 0];
  beforeAll(async () => {
    [test, browser] = await Promise.all([startTestCloud({ timings: sceneTimings, bootMs: 2_500 }), startBrowser()]);
    scene = await makeScene(test.cloud);
    const path = `/api/instances/${scene.asleep.id}/snapshots`;
    const { body } = await test.cloud.api<{ snapshots: { seq: number }[] }>("GET", path);
    [newer, older] = body.snapshots.map(({ seq }) => seq) as [number, number];
  });
  afterAll(async () => {
    await browser?.close();
    await test?.end();
  });

  const pages = (): { name: string; path: string; ready: string; open?: (page: Page) => Promise<void> }[] => {
    const { busy, idle, asleep, gone } = scene;
    return [
      { name: "list", path: "/", ready: "#list tbody tr.r" },
      { name: "busy", path: `/i/${busy.id}`, ready: ".dusk" },
      { name: "idle", path: `/i/${idle.id}`, ready: ".ring" },
      { name: "asleep", path: `/i/${asleep.id}`, ready: ".clips tbody tr" },
      { name: "gone", path: `/i/${gone.id}`, ready: ".clips tbody tr" },
      { name: "files", path: `/i/${asleep.id}/files/${older}`, ready: ".files tbody tr" },
      { name: "changes", path: `/i/${asleep.id}/files/${newer}?since=${older}`, ready: ".files tbody tr" },
      { name: "new", path: "/new", ready: ".offer" },
      { name: "savings", path: "/savings", ready: "tbody tr" },
      { name: "settings", path: "/settings", ready: ".card h2" },
      ...["idle", "schedule", "snapshot", "service", "danger"].map((tab) => ({
        name: `configure ${tab}`,
        path: `/i/${asleep.id}?configure=${tab}`,
        ready: "dialog [role=tabpanel]",
      })),
      { name: "copy", path: `/new?from=${asleep.id}`, ready: ".words" },
      {
        name: "wake",
        path: `/i/${asleep.id}`,
        ready: ".night-panel .btn.lamp",
        open: async (page) => {
          await page.locator(".night-panel .btn.lamp").click();
          await page.locator("dialog .offer").first().waitFor();
        },
      },
    ];
  };

  // Both themes; the other language and the other width are looked at by npm run test:slow.
  const looks = [
    { language: "en", width: 1280 },
    ...(process.env.SONECA_SLOW
      ? ([
          { language: "pt-BR", width: 360 },
          { language: "en", width: 360 },
          { language: "pt-BR", width: 1280 },
        ] as const)
      : []),
  ] as const;
  for (const { language, width } of looks) {
    it(`is heard, read and not too wide: ${language}, ${width} px, light and dark`, async () => {
      const { page, complaints, close } = await openPage(browser, test.cloud.url, { language, width });
      const found: string[] = [];
      for (const { name, path, ready, open } of pages()) {
        await page.goto(test.cloud.url + path);
        await page.locator(ready).first().waitFor();
        await open?.(page);
        for (const theme of ["light", "dark"]) {
          await page.evaluate((wanted) => {
            document.documentElement.dataset.theme = wanted;
          }, theme);
          // What is no matter of colours is the same in both.
          const rules = theme === "dark" ? ["color-contrast"] : null;
          for (const one of await violationsOf(page, rules)) found.push(`${name}, ${theme}: ${one}`);
        }
        const excess = await excessWidth(page);
        if (excess > 0) found.push(`${name}: ${excess} px wider than the window`);
      }
      expect(found).toEqual([]);
      expect(complaints).toEqual([]);
      await close();
    });
  }

  it("is used by the keyboard alone, and a dialog gives the focus back", async () => {
    const { page, close } = await openPage(browser, test.cloud.url);
    await page.getByRole("link", { name: "dev-notebook", exact: true }).waitFor();
    const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim());
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Skip to content");
    await page.keyboard.press("/");
    await page.keyboard.type("notebook");
    await page.getByRole("link", { name: "comfy-studio", exact: true }).waitFor({ state: "hidden" });
    await page.keyboard.press("Tab");
    await page.keyboard.press("j");
    expect(await focused()).toBe("dev-notebook");
    await page.keyboard.press("w");
    const dialog = page.getByRole("dialog", { name: "Wake dev-notebook" });
    await dialog.getByRole("button", { name: /^Wake for/ }).waitFor();
    // Round and round within it.
    for (let i = 0; i < 25; i++) {
      await page.keyboard.press("Tab");
      const place = await page.evaluate(() => {
        const at = document.activeElement;
        return at === document.body || at?.closest("dialog") !== null;
      });
      expect(place, `after ${i + 1} tabs`).toBe(true);
    }
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect(await focused()).toBe("dev-notebook");
    await page.getByRole("button", { name: "More for dev-notebook" }).focus();
    await page.keyboard.press("ArrowDown");
    await page.getByRole("menuitem").first().waitFor();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowDown");
    expect(await focused()).toBe(await page.getByRole("menuitem").first().textContent());
    await page.keyboard.press("Escape");
    await page.getByRole("menuitem").first().waitFor({ state: "hidden" });
    await page.getByRole("link", { name: "dev-notebook", exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "dev-notebook", level: 1 }).waitFor();
    await close();
  });

  it("does not move under the reader's eyes while live data comes, and rests in between", async () => {
    const still = async (path: string) => {
      const { page, close } = await openPage(browser, test.cloud.url + path, { reducedMotion: "no-preference" });
      await page
        .locator(path === "/" ? "#list tbody tr.r" : ".dusk")
        .first()
        .waitFor();
      // The first data is there; from now on nothing moves.
      await page.waitForTimeout(2_500);
      await page.evaluate(() => {
        const seen = { shift: 0, of: [] as string[] };
        Object.assign(window, { seen });
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as unknown as { value: number; sources: { node: Node | null }[] }[]) {
            seen.shift += entry.value;
            for (const { node } of entry.sources) seen.of.push((node as Element | null)?.className ?? "?");
          }
        }).observe({ type: "layout-shift" });
      });
      const before = await styledTimes(page);
      await page.waitForTimeout(9_000);
      // What breathes does so without the page: one that is drawn anew with every frame has over five hundred.
      expect((await styledTimes(page)) - before, path).toBeLessThan(150);
      const seen = await page.evaluate(() => (window as unknown as { seen: { shift: number; of: string[] } }).seen);
      expect(seen.shift, `${path}: ${seen.of.join(", ")}`).toBeLessThan(0.005);
      await close();
    };
    await Promise.all(["/", `/i/${scene.busy.id}`, `/i/${scene.idle.id}`].map(still));
  });
});
