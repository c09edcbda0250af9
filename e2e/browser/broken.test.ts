/** Two tabs at once, a worker that is started again under an open page, an API that is slow or fails, somebody who was signed out. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Instance, listMachines, startTestCloud, type TestCloud } from "../testing/cloud.ts";
import { hasBrowser, mustBeAccessible, openPage, startBrowser } from "./browser.ts";

describe.skipIf(!hasBrowser)("when things go wrong", () => {
  let test: TestCloud;
  let browser: Browser;
  let instance: Instance;
  beforeAll(async () => {
    [test, browser] = await Promise.all([
      startTestCloud({ timings: { endEveryMs: 500, goneAgainMs: 300, lookEveryMs: 500, wakeEveryMs: 1_000 } }),
      startBrowser(),
    ]);
    instance = await Instance.create(test.cloud, {
      name: "both",
      gpu_type: "RTX 4090",
      auto_hibernation: { enabled: false },
    });
    await instance.untilState("running");
  });
  afterAll(async () => {
    await browser?.close();
    await test?.end();
  });

  const hibernate = (page: Page) => page.getByRole("button", { name: "Hibernate now" });

  it("two tabs see the same, and two wakes are one", async () => {
    const a = await openPage(browser, `${test.cloud.url}/i/${instance.id}`);
    const b = await openPage(browser, `${test.cloud.url}/i/${instance.id}`);
    await hibernate(a.page).waitFor();
    await hibernate(b.page).click();
    // Nobody touched this one: it is told.
    await a.page.getByRole("heading", { name: /^Hibernating|^Asleep/ }).waitFor({ timeout: 10_000 });
    await Promise.all(
      [a, b].map(({ page }) =>
        page.getByRole("heading", { name: "Asleep. Nothing is rented." }).waitFor({ timeout: 90_000 }),
      ),
    );
    const before = (await listMachines(test.cloud)).length;
    await Promise.all(
      [a, b].map(async ({ page }) => {
        await page.getByRole("button", { name: "Wake" }).first().click();
        const submit = page.getByRole("dialog").getByRole("button", { name: /^Wake for/ });
        await submit.waitFor();
        // Twice, as an impatient hand does.
        await submit.dblclick();
      }),
    );
    await Promise.all([a, b].map(({ page }) => hibernate(page).waitFor({ timeout: 90_000 })));
    const { epoch } = await instance.view();
    expect(epoch).toBe(2);
    expect((await listMachines(test.cloud)).length).toBe(before + 1);
    expect([...a.complaints, ...b.complaints]).toEqual([]);
    await Promise.all([a.close(), b.close()]);
  });

  it("an hour more is shown at once and taken back where it is refused", async () => {
    const { page, close } = await openPage(browser, `${test.cloud.url}/i/${instance.id}`);
    await page.getByRole("button", { name: "1 h awake more" }).click();
    await page.getByRole("heading", { name: /^Held awake until/ }).waitFor();
    await instance.until("it is held", (view) => view.leases.length === 1);
    await page.getByRole("button", { name: "1 h less" }).click();
    await instance.until("it is let go", (view) => view.leases.length === 0);
    await page.getByRole("heading", { name: /^Held awake until/ }).waitFor({ state: "hidden" });
    await page.route("**/keep-awake", (route) =>
      route.fulfill({
        status: 409,
        contentType: "application/json",
        body: JSON.stringify({ error: { code: "action_not_allowed", message: "no", hint: "", retryable: false } }),
      }),
    );
    await page.getByRole("button", { name: "1 h awake more" }).click();
    await page.getByRole("heading", { name: /^Held awake until/ }).waitFor();
    await page.getByText("In its present state the instance cannot do that.").waitFor();
    await page.getByRole("heading", { name: /^Held awake until/ }).waitFor({ state: "hidden" });
    await close();
  });

  it("a worker that is started again under an open page: the last good data with its age, then all is well", async () => {
    const list = await openPage(browser, test.cloud.url);
    const one = await openPage(browser, `${test.cloud.url}/i/${instance.id}`);
    await list.page.getByRole("link", { name: "both", exact: true }).waitFor();
    await hibernate(one.page).waitFor();
    await test.cloud.killProgram("worker");
    await list.page.getByText(/^What you see is/).waitFor({ timeout: 60_000 });
    await list.page.getByText("The control plane does not answer.").waitFor();
    await list.page.getByRole("link", { name: "both", exact: true }).waitFor();
    await one.page.getByText("Live updates broke off").waitFor({ timeout: 60_000 });
    await mustBeAccessible(list.page, "an error with the last good data");
    await test.cloud.startProgram("worker");
    await list.page.getByText(/^What you see is/).waitFor({ state: "hidden", timeout: 60_000 });
    await one.page.getByText("Live updates broke off").waitFor({ state: "hidden", timeout: 60_000 });
    await Promise.all([list.close(), one.close()]);
  });

  it("a part whose program cannot be fetched says so in its own place, and the rest of the page lives", async () => {
    const { page, close } = await openPage(browser, "about:blank");
    const isPart = /\/assets\/(chart|dialog)-[^/]+\.js$/;
    await page.route(isPart, (route) => route.abort());
    await page.goto(`${test.cloud.url}/i/${instance.id}`);
    await page.getByText("This part of the page broke.").waitFor();
    await hibernate(page).waitFor();
    await page.getByRole("button", { name: "Configure" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("This part of the page broke.").waitFor();
    await mustBeAccessible(page, "parts that broke");
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.unroute(isPart);
    await page.getByRole("button", { name: "Reload" }).click();
    await page.getByRole("heading", { name: "GPU use" }).waitFor();
    await hibernate(page).waitFor();
    expect(await page.getByText("This part of the page broke.").count()).toBe(0);
    await close();
  });

  it("slow: bones of what comes, in place; failing from the start: words, a code and a way on", async () => {
    const slow = await openPage(browser, "about:blank");
    let isOpen = false;
    await slow.page.route("**/api/instances?**", async (route) => {
      while (!isOpen) await new Promise((resolve) => setTimeout(resolve, 100));
      await route.continue();
    });
    await slow.page.goto(test.cloud.url);
    await slow.page.getByLabel("Loading").waitFor();
    isOpen = true;
    await slow.page.getByRole("link", { name: "both", exact: true }).waitFor();
    await slow.close();

    const failing = await openPage(browser, "about:blank");
    let isBroken = true;
    await failing.page.route("**/api/instances?**", (route) =>
      isBroken
        ? route.fulfill({
            status: 503,
            contentType: "application/json",
            body: JSON.stringify({
              error: { code: "database_unavailable", message: "x", hint: "y", retryable: true, request_id: "r-1" },
            }),
          })
        : route.continue(),
    );
    await failing.page.goto(test.cloud.url);
    await failing.page.getByText("database_unavailable").waitFor({ timeout: 30_000 });
    await mustBeAccessible(failing.page, "an error from the start");
    isBroken = false;
    await failing.page.getByRole("button", { name: "Try again" }).click();
    await failing.page.getByRole("link", { name: "both", exact: true }).waitFor();
    await failing.close();
  });

  it("one instance that is not there, and an address that is none", async () => {
    const { page, close } = await openPage(browser, `${test.cloud.url}/i/i-aaaaaaaaaa`);
    await page.getByText("There is no such instance.").waitFor();
    await page.getByRole("link", { name: "To your instances" }).click();
    await page.getByRole("link", { name: "both", exact: true }).waitFor();
    await page.goto(`${test.cloud.url}/nowhere`);
    await page.getByText("There is nothing at this address.").waitFor();
    await close();
  });

  it("no script of the page finds a secret, and a session that ends asks who is there", async () => {
    const { page, close } = await openPage(browser, test.cloud.url);
    await page.getByRole("link", { name: "both", exact: true }).waitFor();
    const seen = await page.evaluate(() =>
      [document.cookie, JSON.stringify(localStorage), JSON.stringify(sessionStorage)].join(),
    );
    expect(seen).not.toMatch(/snu_|soneca_session|eyJ/);
    await page.evaluate(() => localStorage.setItem("soneca.signed-out", "1"));
    await page.context().clearCookies();
    await page.getByRole("heading", { name: "Sign in" }).waitFor({ timeout: 30_000 });
    await mustBeAccessible(page, "sign in");
    await page.getByLabel("API token").fill("snu_wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").waitFor();
    await page.getByLabel("API token").fill(test.cloud.apiToken);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("link", { name: "both", exact: true }).waitFor();
    await close();
  });
});
