/** What was typed, pressed or shown once is not lost, and what one person saw is not there for the next. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EventView } from "../../core/protocol/views.ts";
import { Instance, startTestCloud, type TestCloud } from "../testing/cloud.ts";
import { excessWidth, hasBrowser, mustBeAccessible, openPage, startBrowser } from "./browser.ts";

/** Beside other tests the browser has its turn seldom. */
const slow = { timeout: 10_000 };

describe.skipIf(!hasBrowser)("nothing is lost unasked", () => {
  let test: TestCloud;
  let browser: Browser;
  let instance: Instance;
  beforeAll(async () => {
    [test, browser] = await Promise.all([
      startTestCloud({ timings: { endEveryMs: 500, goneAgainMs: 300, lookEveryMs: 500, wakeEveryMs: 1_000 } }),
      startBrowser(),
    ]);
    instance = await Instance.create(test.cloud, {
      name: "one",
      gpu_type: "RTX 4090",
      max_micro_usd_per_hour: 5_000_000,
      auto_hibernation: { enabled: false, check_interval_seconds: 1, grace_minutes: 0 },
    });
    await instance.untilState("running");
  });
  afterAll(async () => {
    await browser?.close();
    await test?.end();
  });

  const at = (more = "") => openPage(browser, `${test.cloud.url}/i/${instance.id}${more}`);
  const heading = (page: Page) => page.getByRole("heading", { name: "one", level: 1 });
  const toPage = (page: Page, name: RegExp) => page.getByRole("navigation").getByRole("link", { name }).first().click();

  it("edits outlive Esc, pressed again and again, and the browser's Back", async () => {
    const { page, complaints, close } = await at();
    await page.getByRole("button", { name: "Configure" }).first().click();
    const dialog = page.getByRole("dialog", { name: "Configure one" });
    const grace = dialog.getByRole("textbox", { name: "Grace after a wake" });
    await grace.fill("7");
    for (let i = 0; i < 4; i++) {
      await page.keyboard.press("Escape");
      await dialog.getByText("1 change is not saved.").waitFor();
    }
    await dialog.getByRole("button", { name: "Go on editing" }).click();
    for (let i = 0; i < 2; i++) {
      await page.evaluate(() => history.back());
      await dialog.getByText("1 change is not saved.").waitFor();
      expect(page.url()).toContain("configure=idle");
      await dialog.getByRole("button", { name: "Go on editing" }).click();
    }
    expect(await grace.inputValue()).toBe("7");
    // Even where the browser closes it by itself.
    await page.evaluate(() => document.querySelector("dialog")!.close());
    await dialog.getByText("1 change is not saved.").waitFor();
    await dialog.getByRole("button", { name: "Close without saving" }).click();
    await dialog.waitFor({ state: "hidden" });
    await page.getByRole("button", { name: "Configure" }).first().click();
    await grace.waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect(complaints).toEqual([]);
    await close();
  });

  it("a token that is shown once stays until it is done with", async () => {
    const { page, close } = await openPage(browser, test.cloud.url);
    await toPage(page, /Settings/);
    await page.getByRole("button", { name: "New token" }).click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("dragged");
    await page.getByRole("button", { name: "Create" }).click();
    const dialog = page.getByRole("dialog", { name: "dragged is ready" });
    const token = dialog.getByText(/^snu_/);
    const { x, y, height } = (await token.boundingBox())!;
    // It is selected with the mouse, which is let go beside the dialog.
    await page.mouse.move(x + 30, y + height / 2);
    await page.mouse.down();
    await page.mouse.move(10, y + height / 2, { steps: 4 });
    await page.mouse.up();
    await page.mouse.click(10, 10);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
    await page.evaluate(() => history.back());
    await page.waitForTimeout(300);
    await token.waitFor();
    await mustBeAccessible(page, "a new token");
    await dialog.getByRole("button", { name: "Done" }).click();
    await dialog.waitFor({ state: "hidden" });

    // What holds nothing goes by a press beside it, not by one that began inside.
    await page.getByRole("button", { name: "New token" }).click();
    const asked = page.getByRole("dialog", { name: "New API token" });
    const name = (await asked.getByRole("textbox", { name: "Name" }).boundingBox())!;
    await page.mouse.move(name.x + 30, name.y + 5);
    await page.mouse.down();
    await page.mouse.move(10, 10, { steps: 4 });
    await page.mouse.up();
    await page.waitForTimeout(200);
    expect(await asked.isVisible()).toBe(true);
    await page.mouse.click(10, 10);
    await asked.waitFor({ state: "hidden" });
    await close();
  });

  it("an hour more is asked for, though the page is left at once", async () => {
    const { page, close } = await at();
    await page.getByRole("button", { name: "1 h awake more" }).click();
    await page.getByRole("heading", { name: /^Held awake until/ }).waitFor();
    await toPage(page, /Instances/);
    await instance.until("it is held", (view) => view.leases.length === 1, { withinMs: 10_000 });

    // The answer to the first comes after the second was pressed.
    await page.getByRole("link", { name: "one", exact: true }).click();
    let isOpen = false;
    await page.route("**/keep-awake", async (route) => {
      while (!isOpen) await new Promise((resolve) => setTimeout(resolve, 50));
      await route.continue();
    });
    const title = page.getByRole("heading", { name: /^Held awake until/ });
    const more = page.getByRole("button", { name: "1 h awake more" });
    const sent = page.waitForRequest("**/keep-awake");
    await more.click();
    await sent;
    const again = page.waitForRequest("**/keep-awake");
    await more.click();
    const wanted = await title.textContent();
    isOpen = true;
    const seen: (string | null)[] = [];
    void page.waitForResponse("**/keep-awake").then(async () => seen.push(await title.textContent()));
    await again;
    await expect.poll(() => seen).toEqual([wanted]);
    await page.waitForTimeout(500);
    expect(await title.textContent()).toBe(wanted);
    await test.cloud.api("DELETE", `/api/instances/${instance.id}/keep-awake`);
    await close();
  });

  it("one page that breaks leaves the others whole", async () => {
    const { page, close } = await openPage(browser, test.cloud.url);
    await page.getByRole("link", { name: "one", exact: true }).waitFor();
    await page.route("**/*.js", (route) => route.abort());
    await toPage(page, /Savings/);
    await page.getByText("This part of the page broke.").waitFor();
    await page.unroute("**/*.js");
    await toPage(page, /Settings/);
    await page.getByRole("button", { name: "New token" }).waitFor();
    await toPage(page, /Instances/);
    await page.getByRole("link", { name: "one", exact: true }).waitFor();
    await close();
  });

  it("a page in the background holds no line, and one that is looked at holds one", async () => {
    const { page, complaints, close } = await openPage(browser, test.cloud.url);
    let open = 0;
    page.on("websocket", (socket) => {
      if (!socket.url().includes("/watch")) return;
      open++;
      socket.on("close", () => open--);
    });
    await page.addInitScript(hideByHand);
    await page.goto(`${test.cloud.url}/i/${instance.id}`);
    await heading(page).waitFor();
    await expect.poll(() => open, slow).toBe(1);
    await show(page, "hidden");
    await expect.poll(() => open, slow).toBe(0);
    // Longer than it takes to try again.
    await page.waitForTimeout(1_500);
    expect(open).toBe(0);
    await show(page, "visible");
    await expect.poll(() => open, slow).toBe(1);
    for (let i = 0; i < 3; i++) await show(page, "hidden", "visible");
    await page.waitForTimeout(1_500);
    await expect.poll(() => open, slow).toBe(1);
    await toPage(page, /Settings/);
    await expect.poll(() => open, slow).toBe(0);
    expect(complaints).toEqual([]);
    await close();
  });

  it("of a log that is long all is read, and then only what is new", async () => {
    const [first] = await instance.events();
    const { page, close } = await openPage(browser, "about:blank");
    const asked: number[] = [];
    let last = 2_500;
    await page.route("**/events?**", async (route) => {
      const after = Number(new URL(route.request().url()).searchParams.get("after"));
      asked.push(after);
      const seqs = Array.from({ length: Math.min(1_000, last - after) }, (_, i) => after + i + 1);
      const events = seqs.map((seq): EventView => ({ ...first!, seq, reason: null }));
      await route.fulfill({ json: { events, next_after: after + seqs.length } });
    });
    await page.goto(`${test.cloud.url}/i/${instance.id}`);
    await expect.poll(() => asked, slow).toEqual([0, 1_000, 2_000]);
    await page.getByRole("button", { name: "All events" }).click();
    const dialog = page.getByRole("dialog", { name: "Events: one" });
    await dialog.getByText('"seq": 2500').waitFor({ state: "attached" });
    last = 2_501;
    await page.waitForTimeout(1_100);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
    await expect.poll(() => asked, slow).toEqual([0, 1_000, 2_000, 2_500]);
    await dialog.getByText('"seq": 2501').waitFor({ state: "attached" });
    await close();
  });

  it.each([64, 80])("a name of %i letters fits on a phone", async (letters) => {
    const name = "w".repeat(letters);
    const rename = (to: string) => test.cloud.api("PUT", `/api/instances/${instance.id}`, { name: to });
    await rename(name);
    const { page, close } = await openPage(browser, test.cloud.url, { width: 320, height: 640 });
    const found: string[] = [];
    for (const path of ["/", `/i/${instance.id}`, "/savings", "/settings"]) {
      await page.goto(test.cloud.url + path);
      await page
        .getByText(path === "/settings" ? "API tokens" : name)
        .first()
        .waitFor();
      const excess = await excessWidth(page);
      if (excess > 0) found.push(`${path}: ${excess} px wider than the window`);
    }
    await page.goto(`${test.cloud.url}/i/${instance.id}?configure=idle`);
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("tab").first().waitFor();
    for (const theLast of [false, true]) {
      const cross = (await dialog.getByRole("button", { name: "Close" }).first().boundingBox())!;
      if (cross.x + cross.width > 320) found.push(`the cross ends at ${cross.x + cross.width}`);
      if (theLast) break;
      await page.keyboard.press("Escape");
      await page
        .getByRole("button", { name: /^More for w/ })
        .first()
        .click();
      await page.getByRole("menuitem", { name: "Destroy without a snapshot" }).click();
      await page.getByRole("button", { name: "Destroy…" }).click();
    }
    const excess = await excessWidth(page);
    await close();
    await rename("one");
    expect(excess).toBe(0);
    expect(found).toEqual([]);
  });

  it("whoever signs in next sees nothing of whoever was here", async () => {
    const { body: mine } = await test.cloud.api<{ id: string; token: string }>("POST", "/api/tokens", { name: "mine" });
    const { body: other } = await test.cloud.api<{ token: string }>(
      "POST",
      "/api/users",
      { name: "stranger" },
      test.cloud.adminToken,
    );
    const { page, close } = await openPage(browser, "about:blank");
    await page.addInitScript(() => localStorage.setItem("soneca.signed-out", "1"));
    await page.goto(`${test.cloud.url}/i/${instance.id}`);
    const signIn = async (token: string) => {
      await page.getByLabel("API token").fill(token);
      await page.getByRole("button", { name: "Sign in" }).click();
    };
    await signIn(mine.token);
    await heading(page).waitFor();
    await page.evaluate(() => localStorage.setItem("soneca.signed-out", "1"));
    await test.cloud.api("DELETE", `/api/tokens/${mine.id}`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await signIn(other.token);
    await page.getByText("There is no such instance.").waitFor();
    expect(await page.locator("body").textContent()).not.toMatch(/ssh |\bone\b/);
    await close();
  });

  it("an amount that cannot be read is not sent, and no limit is lost by it", async () => {
    const { page, close } = await openPage(browser, `${test.cloud.url}/new`);
    const bodies: unknown[] = [];
    await page.route("**/api/instances", async (route) => {
      if (route.request().method() !== "POST") return route.continue();
      bodies.push(route.request().postDataJSON());
      await route.abort();
    });
    const rent = page.getByRole("button", { name: /^Rent for/ });
    const most = page.getByRole("textbox", { name: "Pay at most" });
    await most.fill("forty cents");
    await page.getByText("This is no amount.").waitFor();
    await mustBeAccessible(page, "no amount");
    await rent.click();
    await page.waitForTimeout(300);
    expect(bodies).toEqual([]);
    await most.fill("5,40 USD");
    await rent.click();
    await expect.poll(() => bodies).toHaveLength(1);
    expect(bodies[0]).toMatchObject({ max_micro_usd_per_hour: 5_400_000 });
    await close();

    await instance.post("hibernate");
    await instance.untilState("hibernated");
    const asleep = await at();
    const asked: string[] = [];
    asleep.page.on("request", (request) => request.url().endsWith("/wake") && asked.push(request.url()));
    await asleep.page.getByRole("button", { name: "Wake" }).first().click();
    const dialog = asleep.page.getByRole("dialog", { name: "Wake one" });
    const wake = dialog.getByRole("button", { name: /^Wake for/ });
    await wake.waitFor();
    await dialog.getByRole("textbox", { name: "Pay at most" }).fill("0.40 or so");
    await wake.click();
    await asleep.page.waitForTimeout(300);
    expect(asked).toEqual([]);
    await dialog.getByRole("textbox", { name: "Pay at most" }).fill("US$ 4");
    await wake.click();
    await dialog.waitFor({ state: "hidden" });
    expect((await instance.view()).rent.max_micro_usd_per_hour).toBe(4_000_000);
    await asleep.close();
    await instance.untilState("running");
  });

  it("where the browser knows notifications but makes none, none are offered, and a wake is told all the same", async () => {
    await instance.post("hibernate");
    await instance.untilState("hibernated");
    const { page, complaints, close } = await openPage(browser, test.cloud.url);
    await page.addInitScript(hideByHand);
    // As Chrome on Android has it.
    await page.addInitScript(() => {
      const none = class {
        static permission = location.pathname === "/settings" ? "default" : "granted";
        constructor() {
          throw new TypeError("Illegal constructor");
        }
      };
      Object.assign(window, { Notification: none });
    });
    await page.goto(`${test.cloud.url}/settings`);
    await page.getByText("not offered by this browser").waitFor();
    await page.goto(`${test.cloud.url}/i/${instance.id}`);
    await heading(page).waitFor();
    await instance.post("wake");
    await page.getByRole("heading", { name: /^Waking/ }).waitFor();
    await show(page, "hidden");
    await instance.untilState("running");
    // In the background it is asked for now and then.
    await page.getByText("one is ready").first().waitFor();
    await show(page, "visible");
    await heading(page).waitFor();
    expect(complaints).toEqual([]);
    await close();
  });
});

/** A tab is put in the background, and looked at again. */
function hideByHand(): void {
  let state = "visible";
  Object.defineProperty(document, "visibilityState", { get: () => state });
  Object.assign(window, {
    show: (...states: string[]) => {
      for (const one of states) {
        state = one;
        document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
      }
    },
  });
}

async function show(page: Page, ...states: ("visible" | "hidden")[]): Promise<void> {
  await page.evaluate((all) => (window as unknown as { show: (...all: string[]) => void }).show(...all), states);
}
