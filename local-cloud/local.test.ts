import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { formatTable, main, readLoads, resolveMachine } from "./local.ts";
import { startVastStandIn, type VastStandIn } from "./vast/server.ts";

const KEY = "key-of-the-account";
let state: string;
let standIn: VastStandIn;
let id: number;

beforeAll(async () => {
  state = mkdtempSync(join(tmpdir(), "soneca-local-"));
  standIn = await startVastStandIn({ port: 0, stateDir: join(state, "vast"), apiKey: KEY, bootMs: 20 });
  writeFileSync(join(state, "local.json"), JSON.stringify({ vastUrl: standIn.url, vastApiKey: KEY }));
  // biome-ignore lint/suspicious/noExplicitAny: the answers are the stand-in's, tested elsewhere
  const ask = async (method: string, path: string, body: object): Promise<any> =>
    (
      await fetch(standIn.url + path, {
        method,
        headers: { authorization: `Bearer ${KEY}` },
        body: JSON.stringify(body),
      })
    ).json();
  const { offers } = await ask("POST", "/api/v0/bundles/", { num_gpus: { eq: 2 } });
  const onstart = "# soneca-onstart\necho hello\n";
  const made = await ask("PUT", `/api/v0/asks/${offers[0].id}/`, {
    image: "x",
    disk: 10,
    label: "soneca:i-k3v7q2m4xa:3",
    onstart,
  });
  id = made.new_contract;
  await vi.waitFor(async () => expect((await run("list", "--json")).value.machines[0].status).toBe("running"), 5000);
});
afterAll(async () => {
  await standIn.close();
  rmSync(state, { recursive: true, force: true });
});

async function run(...args: string[]) {
  const out: string[] = [];
  const err: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((text) => void out.push(String(text)));
  const error = vi.spyOn(console, "error").mockImplementation((text) => void err.push(String(text)));
  const cut = args.indexOf("--");
  const own = cut < 0 ? [...args, "--state", state] : [...args.slice(0, cut), "--state", state, ...args.slice(cut)];
  try {
    const code = await main(own, {});
    const text = out.join("\n");
    return { code, text, error: err.join("\n"), value: args.includes("--json") ? JSON.parse(text) : null };
  } finally {
    log.mockRestore();
    error.mockRestore();
  }
}

describe("a machine's name", () => {
  const machines = [
    { id: 41000001, label: "soneca:i-k3v7q2m4xa:3" },
    { id: 41000002, label: "soneca:i-k3zzzzzzzz:1" },
    { id: 41000003, label: "mine" },
    { id: 41000004, label: null },
  ];
  it("is its number, its label, its instance, or the beginning of that", () => {
    for (const [name, found] of [
      ["41000004", 41000004],
      ["mine", 41000003],
      ["i-k3v7q2m4xa", 41000001],
      ["i-k3v", 41000001],
      ["k3z", 41000002],
      ["soneca:i-k3zzzzzzzz:1", 41000002],
    ] as const) {
      expect(resolveMachine(machines, name).id).toBe(found);
    }
  });
  it("must be one", () => {
    expect(() => resolveMachine(machines, "k3")).toThrow(/2 machines[\s\S]*41000001[\s\S]*41000002/);
    expect(() => resolveMachine(machines, "nope")).toThrow(/no machine nope; there are:[\s\S]*mine/);
    expect(() => resolveMachine([], "x")).toThrow("none is rented");
  });
});

it("reads loads as people type them", () => {
  expect(readLoads(["busy"])).toEqual(["busy"]);
  expect(readLoads(["95%,idle"])).toEqual(["95", "idle"]);
  expect(readLoads(["fail", "9"])).toEqual(["fail 9"]);
  expect(() => readLoads([])).toThrow("missing");
});

it("formats a table", () => {
  expect(
    formatTable(
      ["A", "BB"],
      [
        ["long", null],
        [1, 2],
      ],
    ),
  ).toBe("A     BB\nlong  -\n1     2");
});

describe("commands", () => {
  it("list", async () => {
    const { text } = await run("list");
    expect(text.split("\n")[1]).toMatch(new RegExp(`^${id}\\s+soneca:i-k3v7q2m4xa:3\\s+running\\s+2x`));
  });

  it("gpu, exec and the exit code of the command", async () => {
    expect(await run("gpu", "k3v", "95,idle")).toMatchObject({ code: 0, text: `${id}: 95, idle` });
    const smi = await run("exec", "k3v", "--", "nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader");
    expect(smi).toMatchObject({ code: 0, text: "95 %\n0 %" });
    await run("gpu", "k3v", "fail", "9");
    expect((await run("exec", "k3v", "--", "nvidia-smi")).code).toBe(9);
    await run("gpu", "k3v", "idle");
    expect(await run("gpu", "k3v", "ugly")).toMatchObject({
      code: 2,
      error: expect.stringContaining("not a GPU load: ugly"),
    });
  });

  it("log, path, bill and kill", async () => {
    expect((await run("log", String(id))).text).toBe("hello");
    expect((await run("path", String(id))).text).toBe(join(state, "vast", "machines", String(id)));
    const bill = await run("bill", "--json");
    expect(bill.value.bill[0]).toMatchObject({ id, endedAt: null });
    expect((await run("bill")).text).toMatch(/total \$0\.\d{6}$/);
    expect(await run("kill", "k3v")).toMatchObject({ code: 1, text: "no agent runs in it" });
  });

  it("pause, resume, host; what the stand-in lacks is said", async () => {
    expect((await run("pause", "k3v", "machine-init")).text).toMatch(/^SIGSTOP to \d+$/);
    expect((await run("resume", "k3v")).text).toMatch(/^SIGCONT to \d+/);
    expect(await run("pause", "k3v", "no such program")).toMatchObject({ code: 1 });
    expect(await run("host", "k3v", "burns")).toMatchObject({ code: 2, error: expect.stringContaining("offline") });
    expect(await run("network", "k3v", "down")).toMatchObject({ code: 2, error: expect.stringContaining("--network") });
    expect(await run("disk", "k3v", "full")).toMatchObject({ code: 2, error: expect.stringContaining("--disk-bytes") });
    expect(await run("clock", "k3v", "60")).toMatchObject({ code: 2, error: expect.stringContaining("--clock") });
    expect(await run("clock", "k3v")).toMatchObject({ code: 2, error: expect.stringContaining("offsetMs") });
  });

  it("fault", async () => {
    expect((await run("fault")).text).toContain("no fault is armed");
    expect(await run("fault", "list_fails", "--times", "2")).toMatchObject({
      code: 0,
      text: "list_fails strikes 2 time(s)",
    });
    expect((await run("fault", "--json")).value.armed).toMatchObject([{ name: "list_fails", times: 2 }]);
    expect((await run("fault", "counts")).text).toBe("no fault has struck");
    expect(await run("fault", "list_pages", "--after", "1", "--amount", "2")).toMatchObject({ code: 0 });
    expect((await run("fault", "--json")).value.armed).toMatchObject([{}, { after: 1, amount: 2 }]);
    expect(await run("fault", "clear")).toMatchObject({ code: 0 });
    expect(await run("fault", "nope")).toMatchObject({ code: 2, error: expect.stringContaining("boot_never") });
  });

  it("helps", async () => {
    expect((await run("--help")).text).toContain("usage");
    expect(await run("dance")).toMatchObject({ code: 2, error: expect.stringContaining("no command dance") });
    expect(await run("gpu")).toMatchObject({ code: 2, error: expect.stringContaining("needs a MACHINE") });
    expect(await run("list", "--nope")).toMatchObject({ code: 2 });
    const script = join(import.meta.dirname, "local.ts");
    const nowhere = spawnSync(process.execPath, [script, "list", "--state", join(state, "nothing")], {
      encoding: "utf8",
    });
    expect(nowhere).toMatchObject({ status: 2, stderr: expect.stringContaining("npm start") });
  });
});
