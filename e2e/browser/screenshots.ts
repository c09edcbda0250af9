/**
 * npm run screenshots [-- NAME...]: every page of the dashboard in both themes at 360, 768 and 1440 px into docs/screenshots,
 * from a real local cloud whose machines work, rest, sleep and wake meanwhile. Takes some minutes.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { setGpu, startTestCloud } from "../testing/cloud.ts";
import { hasBrowser, openPage, startBrowser } from "./browser.ts";
import { makeScene, type Scene, sceneTimings } from "./scene.ts";

const folder = join(import.meta.dirname, "../../docs/screenshots");
const widths = [360, 768, 1440];
/** How long machines work and rest before pictures are taken: a chart of nothing says nothing. */
const liveMs = 200_000;

interface Shot {
  name: string;
  path: string;
  ready: string;
  language?: "en" | "pt-BR";
  open?: (page: Page) => Promise<void>;
}

function shotsOf({ busy, idle, asleep }: Scene): Shot[] {
  return [
    { name: "instances", path: "/", ready: "#list tbody tr.r" },
    { name: "instancias", path: "/", ready: "#list tbody tr.r", language: "pt-BR" },
    { name: "idle", path: `/i/${idle.id}`, ready: ".plot canvas" },
    { name: "busy", path: `/i/${busy.id}`, ready: ".plot canvas" },
    { name: "asleep", path: `/i/${asleep.id}`, ready: ".clips tbody tr" },
    { name: "dormindo", path: `/i/${asleep.id}`, ready: ".clips tbody tr", language: "pt-BR" },
    { name: "waking", path: `/i/${asleep.id}`, ready: ".dawn" },
    {
      name: "wake",
      path: `/i/${asleep.id}`,
      ready: ".night-panel .btn.lamp",
      open: async (page) => {
        await page.locator(".night-panel .btn.lamp").click();
        await page.locator("dialog .offer").first().waitFor();
      },
    },
    { name: "configure", path: `/i/${idle.id}?configure=idle`, ready: "dialog .form" },
    { name: "schedule", path: `/i/${asleep.id}?configure=schedule`, ready: "dialog .form" },
    { name: "files", path: `/i/${asleep.id}/files/1`, ready: ".files tbody tr" },
    { name: "savings", path: "/savings", ready: "tbody tr" },
    { name: "settings", path: "/settings", ready: ".card h2" },
    { name: "new", path: "/new", ready: ".offer" },
  ];
}

async function main(wanted: string[]): Promise<void> {
  if (!hasBrowser) throw new Error("there is no chromium: apt-get install chromium");
  const [test, browser] = await Promise.all([startTestCloud({ timings: sceneTimings, bootMs: 2_000 }), startBrowser()]);
  try {
    mkdirSync(folder, { recursive: true });
    await takeEmpty(browser, test.cloud.url, wanted);
    const scene = await makeScene(test.cloud, 4);
    await live(scene);
    for (const shot of shotsOf(scene)) {
      if (wanted.length > 0 && !wanted.includes(shot.name)) continue;
      if (shot.name === "waking") {
        // Longer than six pictures take.
        await test.cloud.vastLocal("POST", "/local/faults", { name: "boot_slow", ms: 120_000, times: 1 });
        await scene.asleep.post("wake");
      }
      await takeAll(browser, test.cloud.url, shot);
      if (shot.name !== "waking") continue;
      await scene.asleep.post("hibernate");
      await scene.asleep.untilState("hibernated");
    }
  } finally {
    await browser.close();
    await test.end();
  }
}

/** Work as it goes: up and down, and now and then a pause. */
async function live({ busy, idle }: Scene): Promise<void> {
  const end = Date.now() + liveMs;
  for (let i = 0; Date.now() < end; i++) {
    const load = Math.round(70 + 25 * Math.sin(i / 2) + 4 * Math.cos(i * 1.7));
    await setGpu(busy.cloud, await busy.machine(), String(Math.min(100, load)));
    // It works for the first half, then it is left.
    const rests = Date.now() > end - liveMs / 2;
    await setGpu(idle.cloud, await idle.machine(), rests ? "0" : String(Math.max(8, load - 20)));
    await new Promise((resolve) => setTimeout(resolve, 5_000));
  }
}

async function takeEmpty(browser: Browser, url: string, wanted: string[]): Promise<void> {
  if (wanted.length > 0 && !wanted.includes("empty")) return;
  await takeAll(browser, url, { name: "empty", path: "/", ready: ".offer" });
}

async function takeAll(
  browser: Browser,
  url: string,
  { name, path, ready, open, language = "en" }: Shot,
): Promise<void> {
  for (const width of widths) {
    for (const theme of ["light", "dark"] as const) {
      const { page, close } = await openPage(browser, url + path, {
        theme,
        language,
        width,
        height: width < 600 ? 780 : 900,
      });
      await page.locator(ready).first().waitFor();
      await open?.(page);
      await page.waitForTimeout(1_200);
      const file = join(folder, `${name}-${width}-${theme}.webp`);
      rmSync(file, { force: true });
      await takeWebp(page, file, !open && !path.includes("configure"));
      await close();
    }
  }
  console.log(name);
}

/** Smaller than PNG by far: playwright itself writes none, the browser does. */
async function takeWebp(page: Page, file: string, isWhole: boolean): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const { width, height } = await page.evaluate(() => ({
    width: document.documentElement.clientWidth,
    height: document.documentElement.scrollHeight,
  }));
  // What is longer than some screens shows its beginning.
  const clip = { x: 0, y: 0, width, height: Math.min(height, 2_400), scale: 1 };
  const { data } = await session.send("Page.captureScreenshot", {
    format: "webp",
    quality: 82,
    ...(isWhole && { captureBeyondViewport: true, clip }),
  });
  writeFileSync(file, Buffer.from(data, "base64"));
}

await main(process.argv.slice(2));
