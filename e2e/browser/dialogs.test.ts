/** What is changed and destroyed in dialogs does what it says, in the API and on the provider's side. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Instance, listMachines, setGpu, startTestCloud, type TestCloud, workspaceOf } from "../testing/cloud.ts";
import { writeLargeWorkspace } from "../testing/workspace.ts";
import { hasBrowser, mustBeAccessible, openPage, startBrowser } from "./browser.ts";

describe.skipIf(!hasBrowser)("dialogs", () => {
  let test: TestCloud;
  let browser: Browser;
  beforeAll(async () => {
    [test, browser] = await Promise.all([
      startTestCloud({ timings: { endEveryMs: 500, goneAgainMs: 300, lookEveryMs: 500, wakeEveryMs: 1_000 } }),
      startBrowser(),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await test?.end();
  });

  async function running(name: string, config: object = {}): Promise<Instance> {
    const instance = await Instance.create(test.cloud, {
      name,
      gpu_type: "RTX 4090",
      auto_hibernation: { enabled: false, check_interval_seconds: 1, grace_minutes: 0, ...config },
    });
    await instance.untilState("running");
    return instance;
  }
  async function anInstance(): Promise<{ id: string; name: string }> {
    const { body } = await test.cloud.api<{ instances: { id: string; name: string }[] }>("GET", "/api/instances");
    return body.instances[0]!;
  }
  const at = (instance: Instance, more = "") => openPage(browser, `${test.cloud.url}/i/${instance.id}${more}`);
  const save = (page: Page) => page.getByRole("button", { name: "Save" });

  it("settings: only what was changed is sent, a wrong value is not, a change is not lost by Esc", async () => {
    const instance = await running("settings");
    const { page, complaints, close } = await at(instance, "?configure=idle");
    const dialog = page.getByRole("dialog", { name: "Configure settings" });
    const grace = dialog.getByRole("textbox", { name: "Grace after a wake" });
    await grace.waitFor();
    await expect.poll(() => save(page).isDisabled()).toBe(true);
    await grace.fill("nonsense");
    await expect.poll(() => save(page).isDisabled()).toBe(true);
    await grace.fill("7");
    const sent = page.waitForRequest((request) => request.method() === "PUT" && request.url().endsWith("/config"));
    await page.keyboard.press("Escape");
    await page.getByText("1 change is not saved.").waitFor();
    await page.getByRole("button", { name: "Go on editing" }).click();
    await save(page).click();
    expect((await sent).postDataJSON()).toEqual({ auto_hibernation: { grace_minutes: 7 } });
    await expect.poll(async () => (await instance.view()).auto_hibernation.grace_minutes).toBe(7);
    await dialog.getByText("Saved", { exact: true }).waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    expect(page.url()).not.toContain("configure");
    expect(complaints).toEqual([]);
    await close();
  });

  it("the schedule: a window, the zone, what comes next", async () => {
    const instance = await running("clock");
    const { page, close } = await at(instance, "?configure=schedule");
    const dialog = page.getByRole("dialog", { name: "Configure clock" });
    await dialog.getByRole("switch", { name: "Wake and sleep by the clock" }).check();
    await save(page).click();
    await expect.poll(async () => (await instance.view()).auto_hibernation.wake_method).toBe("scheduled");
    expect((await instance.view()).schedule?.next).toHaveLength(3);
    await close();
  });

  it("destroying without a snapshot wants the name where nothing comes back", async () => {
    const instance = await running("doomed");
    const { page, close } = await at(instance, "?configure=danger");
    await page.getByRole("button", { name: "Destroy…" }).click();
    const dialog = page.getByRole("alertdialog", { name: "Destroy the machine of doomed" });
    await dialog.getByText("Will be deleted").waitFor();
    await mustBeAccessible(page, "discard");
    const destroy = dialog.getByRole("button", { name: "Destroy the machine" });
    expect(await destroy.isDisabled()).toBe(true);
    await dialog.getByRole("textbox").fill("doomed");
    await destroy.click();
    await dialog.waitFor({ state: "hidden" });
    await instance.untilState("deleted");
    expect((await instance.machines()).filter((one) => one.status === "running")).toEqual([]);
    await close();
  });

  it("another name, and going back to an older snapshot, and another instance from one", async () => {
    const instance = await running("first name");
    writeLargeWorkspace(workspaceOf(await instance.machine()), { files: 6, fileBytes: 9_000, seed: 3 });
    await instance.post("hibernate");
    await instance.untilState("hibernated");
    await instance.post("wake");
    await instance.untilState("running");
    await instance.post("hibernate");
    await instance.untilState("hibernated");
    const { page, close } = await at(instance);
    await page.getByRole("button", { name: "More for first name", exact: true }).click();
    await page.getByRole("menuitem", { name: "Rename" }).click();
    await page.getByRole("textbox", { name: "Rename" }).fill("second name");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "second name", level: 1 }).waitFor();

    const rows = page.getByRole("table", { name: "Snapshots" }).getByRole("row");
    await expect.poll(() => rows.count()).toBe(3);
    await rows.last().getByRole("button").click();
    await page.getByRole("menuitem", { name: "Go back to it" }).click();
    const dialog = page.getByRole("dialog", { name: "Wake second name" });
    await dialog.getByText(/^It goes back to snapshot/).waitFor();
    await dialog.getByRole("button", { name: "Go back and wake" }).click();
    await instance.untilState("running");
    expect((await instance.eventsUpTo("rolled_back")).length).toBeGreaterThan(0);

    await page
      .getByRole("button", { name: /^More for Snapshots/ })
      .first()
      .click();
    await page.getByRole("menuitem", { name: "New instance from it" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("a copy");
    await page.getByRole("button", { name: "Make it, asleep" }).click();
    await page.getByRole("heading", { name: "a copy", level: 1 }).waitFor();
    await close();
  });

  it("all idle ones at once, from the list; all events, with their words and as a file", async () => {
    const idle = await Promise.all(
      ["idle a", "idle b"].map((name) => running(name, { enabled: true, pause_after_idle_minutes: 60 })),
    );
    for (const one of idle) {
      await setGpu(test.cloud, await one.machine(), "0");
      await one.until("it is idle", (view) => view.status === "idle");
    }
    const { page, close } = await openPage(browser, test.cloud.url);
    await page.getByRole("button", { name: /^Hibernate all \d idle ones$/ }).click();
    const dialog = page.getByRole("dialog", { name: /^Hibernate \d idle instances$/ });
    await mustBeAccessible(page, "hibernate all idle");
    await dialog.getByRole("button", { name: /^Hibernate all \d idle ones$/ }).click();
    for (const one of idle) await one.untilState("hibernated");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");

    await page.goto(`${test.cloud.url}/i/${idle[0]!.id}`);
    await page.getByRole("button", { name: "All events" }).click();
    const events = page.getByRole("dialog", { name: "Events: idle a" });
    await mustBeAccessible(page, "events");
    await events.getByRole("combobox", { name: "Type" }).selectOption("hibernated");
    expect(await events.getByRole("listitem").count()).toBe(1);
    const download = page.waitForEvent("download");
    await events.getByRole("button", { name: "CSV" }).click();
    expect((await download).suggestedFilename()).toBe("idle a-events.csv");
    await close();
  });

  it("a token is shown once, opens a session, and ends it when it is revoked", async () => {
    const { page, close } = await openPage(browser, `${test.cloud.url}/settings`);
    await page.getByRole("button", { name: "New token" }).click();
    const dialog = page.getByRole("dialog", { name: "New API token" });
    await dialog.getByRole("textbox", { name: "Name" }).fill("from the page");
    const { id, name } = await anInstance();
    await dialog.getByRole("checkbox", { name, exact: true }).first().check();
    await dialog.getByRole("button", { name: "Create" }).click();
    const secret = await page.getByText(/^snu_/).first().textContent();
    const me = (token: string) => test.cloud.api("GET", "/api/me", undefined, token);
    expect((await me(secret!.trim())).body).toMatchObject({ instances: [id] });
    await page.getByText("for 1 instance only").first().waitFor();
    await page.getByRole("button", { name: "Done" }).click();
    expect(await page.getByText(secret!.trim()).count()).toBe(0);
    await page.getByRole("button", { name: "Revoke from the page" }).click();
    await page
      .getByRole("dialog")
      .or(page.getByRole("alertdialog"))
      .getByRole("button", { name: "Revoke from the page" })
      .click();
    await expect.poll(async () => (await me(secret!.trim())).status).toBe(401);
    await close();
  });

  it("a channel: a wrong address is named, the secret shown once, the test says what was answered", async () => {
    const receiver = createServer((_, response) => response.writeHead(418).end("short and stout"));
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    const { page, close } = await openPage(browser, `${test.cloud.url}/settings`);
    try {
      await page.getByRole("button", { name: "New channel" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("combobox", { name: "Kind" }).selectOption("webhook");
      await dialog.getByRole("textbox", { name: "Name" }).fill("pager");
      const address = dialog.getByRole("textbox", { name: "URL" });
      await address.fill("https://10.0.0.1/x");
      await save(page).click();
      await dialog.getByText("a host by its name, not by its number").waitFor();
      await mustBeAccessible(page, "a channel");
      await address.fill(`http://127.0.0.1:${(receiver.address() as AddressInfo).port}/teapot`);
      await save(page).click();
      await page
        .getByText(/^whsec_/)
        .first()
        .waitFor();
      await dialog.getByRole("button", { name: "Done" }).click();
      await page.getByRole("button", { name: "Test: pager" }).click();
      await page.getByText("refused, 418, short and stout").waitFor();
      await page.getByRole("button", { name: "Deliveries: pager" }).click();
      await page.getByRole("dialog").getByText("1 try").waitFor();
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: "Change: pager" }).click();
      await page.getByRole("button", { name: "Delete" }).click();
      await page.getByRole("button", { name: "Delete for good" }).click();
      await page.getByText("No channel yet.").waitFor();
    } finally {
      receiver.close();
      await close();
    }
  });

  it("an owner takes somebody in, who then is offered only what their role may ask for", async () => {
    const { page, close } = await openPage(browser, `${test.cloud.url}/settings`);
    const team = page.getByRole("region", { name: "Team" });
    await team.getByRole("textbox", { name: "Name" }).fill("Eva");
    await team.getByRole("combobox", { name: "Role", exact: true }).selectOption("viewer");
    await team.getByRole("button", { name: "Take in" }).click();
    const token = (await team.getByText(/^snu_/).textContent())!.trim();
    await page.getByRole("region", { name: "Who changed what" }).getByText("openSession").first().waitFor();
    const me = await test.cloud.api<{ may: string[] }>("GET", "/api/me", undefined, token);
    expect(me.body.may).not.toContain("createInstance");
    // The page takes what it offers from the session.
    // Taken out by one press no more than anything else that ends.
    const ben = await test.cloud.api<{ token: string }>("POST", "/api/members", { name: "Ben", role: "viewer" });
    await page.reload();
    await team.getByRole("button", { name: "Remove Ben" }).click();
    const removal = page.getByRole("alertdialog", { name: "Remove Ben from the team?" });
    await mustBeAccessible(page, "removal of a member");
    await removal.getByRole("button", { name: "Cancel" }).click();
    expect((await test.cloud.api("GET", "/api/me", undefined, ben.body.token)).status).toBe(200);
    await team.getByRole("button", { name: "Remove Ben" }).click();
    await removal.getByRole("button", { name: "Remove Ben" }).click();
    await removal.waitFor({ state: "hidden" });
    await expect.poll(() => team.getByText("Ben", { exact: true }).count()).toBe(0);
    expect((await test.cloud.api("GET", "/api/me", undefined, ben.body.token)).status).toBe(401);

    await page.evaluate(
      (secret) => fetch("/api/session", { method: "POST", body: JSON.stringify({ token: secret }) }),
      token,
    );
    await page.goto(`${test.cloud.url}/settings`);
    await page.getByText("viewer in the team of").waitFor();
    expect(await page.getByRole("region", { name: "Team" }).count()).toBe(0);
    expect(await page.getByRole("button", { name: "For a GPU type" }).count()).toBe(0);
    await page.goto(test.cloud.url);
    await page.getByRole("heading", { name: "Instances" }).waitFor();
    expect(await page.locator('a[href="/new"]').count()).toBe(0);
    await close();
  });

  it("an operator is shown what an owner alone may set, and cannot type there", async () => {
    const body = { name: "Rui", role: "operator" };
    const { token } = (await test.cloud.api<{ token: string }>("POST", "/api/members", body)).body;
    const { page, close } = await openPage(browser, `${test.cloud.url}/settings`);
    // Signed in by itself, as the owner: an answer that is still under way would do that again.
    await page.getByRole("region", { name: "Team" }).waitFor();
    await page.evaluate(
      (secret) => fetch("/api/session", { method: "POST", body: JSON.stringify({ token: secret }) }),
      token,
    );
    await page.goto(`${test.cloud.url}/i/${(await anInstance()).id}?configure=service`);
    const dialog = page.getByRole("dialog");
    await dialog.getByText("Only an owner changes these.").first().waitFor();
    expect(await dialog.getByRole("textbox", { name: "Port of the service" }).isDisabled()).toBe(true);
    expect(await dialog.getByRole("radio", { name: "The clock" }).isDisabled()).toBe(false);
    await mustBeAccessible(page, "settings of an owner, for an operator");
    await dialog.getByRole("tab", { name: "Snapshot" }).click();
    expect(await dialog.getByRole("textbox", { name: "Newest to keep" }).isDisabled()).toBe(true);
    await close();
  });

  it("leaves no machine behind that costs", async () => {
    const { body } = await test.cloud.api<{ instances: { id: string; name: string; status: string }[] }>(
      "GET",
      "/api/instances",
    );
    const awake = body.instances
      .filter(({ status }) => status !== "hibernated" && status !== "deleted")
      .map(({ id }) => id);
    const rented = (await listMachines(test.cloud)).filter((one) => one.status === "running");
    expect(rented.filter((one) => !awake.some((id) => one.label?.includes(id)))).toEqual([]);
  });
});
