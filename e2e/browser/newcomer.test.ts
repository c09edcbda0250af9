/** From nothing to a machine that slept and woke, by the page alone; and a machine that runs already, by one line. */

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LocalMachine } from "../../local-cloud/vast/control.ts";
import {
  execIn,
  Instance,
  listMachines,
  startTestCloud,
  type TestCloud,
  until,
  workspaceOf,
} from "../testing/cloud.ts";
import { writeLargeWorkspace } from "../testing/workspace.ts";
import { hasBrowser, mustBeAccessible, openPage, startBrowser } from "./browser.ts";

describe.skipIf(!hasBrowser)("a newcomer", () => {
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

  it("rents, sleeps, wakes and looks into what is stored", async () => {
    const { cloud } = test;
    const { page, complaints, close } = await openPage(browser, cloud.url);
    await page.getByRole("heading", { name: "Let your GPUs take naps." }).waitFor();
    await mustBeAccessible(page, "empty");
    await page.getByRole("textbox", { name: "Name" }).fill("first");
    await page.getByRole("combobox", { name: "GPU", exact: true }).fill("RTX 4090");
    // The price stands on the button before anything is rented.
    const rent = page.getByRole("button", { name: /^Rent for US\$\s[\d.]+\/h$/ });
    await rent.waitFor();
    expect(await listMachines(cloud)).toEqual([]);
    await rent.click();

    await page.getByRole("heading", { name: "first", level: 1 }).waitFor();
    const id = /\/i\/(i-[a-z2-7]{10})$/.exec(page.url())?.[1];
    expect(id).toBeDefined();
    const instance = new Instance(cloud, id!);
    await page.getByRole("button", { name: "Hibernate now" }).waitFor();
    writeLargeWorkspace(workspaceOf(await instance.machine()), { files: 12, fileBytes: 30_000, seed: 5 });

    await page.getByRole("button", { name: "Hibernate now" }).click();
    await page.getByRole("heading", { name: "Asleep. Nothing is rented." }).waitFor({ timeout: 90_000 });
    expect((await listMachines(cloud)).filter((one) => one.status === "running")).toEqual([]);

    await page.getByRole("link", { name: "Browse files" }).click();
    await page.getByRole("heading", { name: /Files of snapshot \d/ }).waitFor();
    const download = page.waitForEvent("download");
    await page
      .getByRole("link", { name: /^Download/ })
      .first()
      .click();
    expect(await (await download).failure()).toBeNull();
    await page.goBack();

    await page.getByRole("button", { name: "Wake" }).first().click();
    const dialog = page.getByRole("dialog", { name: "Wake first" });
    await dialog.getByRole("button", { name: /^Wake for US\$/ }).click();
    await dialog.waitFor({ state: "hidden" });
    await page.getByRole("heading", { name: /^Waking/ }).waitFor();
    await page.getByRole("button", { name: "Hibernate now" }).waitFor({ timeout: 90_000 });
    expect((await instance.view()).state).toBe("running");
    expect(complaints).toEqual([]);
    await close();
  });

  it("adopts a machine that runs: one line, and the page hears it report", async () => {
    const { cloud } = test;
    const machine = await rentByHand();
    const { page, complaints, close } = await openPage(browser, `${cloud.url}/settings`);
    // As where it is the first: the list is empty until then.
    const { body: before } = await cloud.api<{ instances: { id: string }[] }>("GET", "/api/instances");
    await page.route("**/api/instances?**", async (route) => {
      const answer = await route.fetch();
      const { instances } = (await answer.json()) as typeof before;
      const fresh = instances.filter(({ id }) => !before.instances.some((one) => one.id === id));
      await route.fulfill({ response: answer, json: { instances: fresh } });
    });
    await page.goto(cloud.url);
    await page.getByRole("tab", { name: "Manage one that runs" }).click();
    await page.getByRole("textbox", { name: "Its number at vast.ai" }).fill(String(machine.id));
    await page.getByRole("button", { name: "Manage it" }).last().click();
    const line = await page.getByRole("group", { name: "The line to run on the machine" }).textContent();
    await page.getByText("Listening for a heartbeat").waitFor();
    await mustBeAccessible(page, "adopt");
    // The list has it by now, and the line is still there; also after a look at the other way.
    await page.waitForResponse("**/api/instances?**");
    await page
      .getByText("1 instance", { exact: true })
      .or(page.getByText("1", { exact: true }))
      .first()
      .waitFor();
    await page.getByRole("tab", { name: "Rent a machine" }).click();
    await page.getByRole("tab", { name: "Manage one that runs" }).click();
    expect(await page.getByRole("group", { name: "The line to run on the machine" }).textContent()).toBe(line);
    const ran = await execIn(cloud, machine, "sh", "-c", line!);
    expect(ran.code, ran.stderr).toBe(0);
    await page.waitForURL(/\/i\/i-/, { timeout: 60_000 });
    await page.getByRole("button", { name: "Hibernate now" }).waitFor();
    expect(complaints).toEqual([]);
    await close();
  });

  /** As somebody does with the provider's own tools. */
  async function rentByHand(): Promise<LocalMachine> {
    const { cloud } = test;
    const query = { gpu_name: { eq: "RTX 4090" }, num_gpus: { eq: 1 }, rentable: { eq: true }, type: "on-demand" };
    const { offers } = await cloud.vastLocal<{ offers: { id: number }[] }>("POST", "/api/v0/bundles/", query);
    const order = { client_id: "me", image: "pytorch/pytorch:latest", disk: 32, runtype: "ssh" };
    const path = `/api/v0/asks/${offers[0]!.id}/`;
    const { new_contract } = await cloud.vastLocal<{ new_contract: number }>("PUT", path, order);
    return until("it runs", async () => {
      const all = await listMachines(cloud);
      return all.find((one) => one.id === new_contract && one.status === "running");
    });
  }
});
