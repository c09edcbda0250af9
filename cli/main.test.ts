/** The real program, as a process, against canned answers over HTTP. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { defaultAutoHibernation } from "../core/protocol/config.ts";
import { type SettingLayers, sourcesOf } from "../core/protocol/policy.ts";
import { version } from "../core/protocol/version.ts";
import { ledgerCsv } from "./money-words.ts";
import { ledgerAnswer, savingsAnswer } from "./testing/money.ts";
import { previewAnswer } from "./testing/preview.ts";
import { type Ended, runProgram } from "./testing/program.ts";
import { offersAnswer, seriesAnswer } from "./testing/series.ts";
import {
  errorAnswer,
  eventOf,
  hibernatedView,
  instanceView,
  meAnswer,
  startTestServer,
  summary,
  type TestServer,
  testId,
} from "./testing/server.ts";

const token = "snu_never-shown-anywhere";
let server: TestServer;
let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-cli-"));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
beforeEach(async () => {
  server = await startTestServer();
  server.on("GET /api/instances", { json: { instances: [summary()] } });
  server.on(`GET /api/instances/${testId}`, { json: instanceView() });
});
afterEach(() => server.close());

async function soneca(
  args: string[],
  { env, cwd = home, until }: { env?: Record<string, string>; cwd?: string; until?: RegExp } = {},
): Promise<Ended> {
  const own = {
    PATH: process.env.PATH,
    HOME: home,
    TZ: "America/Sao_Paulo",
    SONECA_URL: server.url,
    SONECA_TOKEN: token,
  };
  const ended = await runProgram(args, { env: { ...own, ...env }, cwd, until });
  expect(ended.out + ended.err).not.toContain(token);
  expect(ended.out).not.toContain("\u001b");
  return ended;
}

describe("without a control plane", () => {
  test("version and help", async () => {
    expect(version).toBe(JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")).version);
    const [plain, json, help, sub] = await Promise.all([
      soneca(["--version"]),
      soneca(["--version", "--json"]),
      soneca(["--help"]),
      soneca(["instance", "create", "--help"]),
    ]);
    expect([plain.code, plain.out]).toEqual([0, `${version}\n`]);
    expect(JSON.parse(json.out)).toEqual({ version });
    expect(help.out).toContain("EXIT CODES");
    for (const word of ["instance", "ls", "whoami", "token", "SONECA_TOKEN"]) expect(help.out).toContain(word);
    expect(sub.out).toContain("soneca instance create");
    expect(sub.out).toContain("--max-price=<USD>");
  });

  test("usage errors end with 2, before anything is asked", async () => {
    const wrong = [
      ["bogus"],
      ["instance"],
      ["instance", "show"],
      ["instance", "show", "a", "b"],
      ["instance", "create", "--max-prize", "1"],
      ["instance", "create", "--max-price", "cheap"],
      ["instance", "create", "--gpu-count", "0"],
      ["instance", "create", "--region", "Brazil"],
      ["instance", "create", "--name"],
      ["instance", "create", "--disk", "10", "--disk", "20"],
      ["instance", "wake", testId, "--timeout", "3m"],
      ["instance", "config", testId, "--pause", "soon"],
    ];
    for (const ended of await Promise.all(wrong.map((args) => soneca(args)))) {
      expect(ended.code, ended.err).toBe(2);
      expect(ended.out).toBe("");
    }
    expect(server.asked).toEqual([]);
  });

  test("nothing known, and nothing there", async () => {
    const [unknown, gone] = await Promise.all([
      soneca(["ls"], { env: { SONECA_URL: "", SONECA_TOKEN: "" } }),
      soneca(["instance", "create", "--json"], { env: { SONECA_URL: "http://127.0.0.1:9" } }),
    ]);
    expect([unknown.code, unknown.out]).toEqual([2, ""]);
    expect(unknown.err).toContain("npm start");
    expect([gone.code, gone.out]).toEqual([4, ""]);
    expect(JSON.parse(gone.err).error).toMatchObject({ code: "unreachable", retryable: true });
  });

  test("a local cloud of a folder above is found", async () => {
    const folder = join(home, "project");
    mkdirSync(join(folder, ".soneca"), { recursive: true });
    mkdirSync(join(folder, "src"), { recursive: true });
    writeFileSync(join(folder, ".soneca", "local.json"), JSON.stringify({ url: server.url, apiToken: token }));
    server.on("GET /api/me", { json: meAnswer("local") });
    const ended = await soneca(["whoami"], { env: { SONECA_URL: "", SONECA_TOKEN: "" }, cwd: join(folder, "src") });
    expect(ended).toMatchObject({ code: 0 });
    expect(ended.out).toContain("local  u-aaaaaaaaaa");
    expect(server.asked[0]?.authorization).toBe(`Bearer ${token}`);
  });
});

describe("reading", () => {
  test("ls: what costs first, with its sum", async () => {
    const asleep = summary({
      id: "i-bbbbbbbbbb",
      name: "alpha",
      status: "hibernated",
      vast_instance_id: null,
      micro_usd_per_hour: null,
    });
    server.on("GET /api/instances", { json: { instances: [asleep, summary()] } });
    const { code, out } = await soneca(["ls"]);
    expect(code).toBe(0);
    const lines = out.split("\n");
    expect(lines[1]).toMatch(
      /^i-aaaaaaaaaa {2}train {2}Running +RTX 4090 +BR +37 % +US\$ 0\.42\/h +2 min ago +12 min ago$/,
    );
    expect(lines[2]).toContain("Hibernated");
    expect(out).toContain("1 of 2 rented now, US$ 0.42/h.");
  });

  test("ls --json is the contract's own document; an empty list says how to begin", async () => {
    const { out } = await soneca(["--json", "instance", "list"]);
    expect(JSON.parse(out).instances[0].id).toBe(testId);
    server.on("GET /api/instances", { json: { instances: [] } });
    expect((await soneca(["instance", "ls"])).out).toContain("soneca instance create");
  });

  test("show by name: why, next, cost, in local time", async () => {
    const { code, out } = await soneca(["instance", "show", "train"]);
    expect(code).toBe(0);
    expect(out).toMatch(/Awake because +GPU 0 at 37 %, the threshold is 5 %/);
    expect(out).toMatch(/Paid so far +US\$ 1\.26 for 3 h of rented time/);
    expect(out).toMatch(/Costs now +US\$ 0\.42\/h/);
    expect(out).toMatch(/Status +Running, since \d+ \w+ \d\d:\d\d GMT-3 \(1 h ago\)/);
    expect(out).toContain("ssh -p 4022 root@192.0.2.7");
  });

  test("a name cannot steer the terminal, but stays whole in JSON", async () => {
    const name = "x\u001b[2Jy";
    server.on(`GET /api/instances/${testId}`, { json: instanceView({ name }) });
    const [text, json] = await Promise.all([
      soneca(["instance", "show", testId]),
      soneca(["instance", "show", testId, "--json"]),
    ]);
    expect(text.out).toContain("xy");
    expect(JSON.parse(json.out).name).toBe(name);
  });

  test("an ambiguous name lists the candidates", async () => {
    server.on("GET /api/instances", { json: { instances: [summary(), summary({ id: "i-bbbbbbbbbb" })] } });
    const [text, json] = await Promise.all([
      soneca(["instance", "show", "train"]),
      soneca(["instance", "show", "train", "--json"]),
    ]);
    expect([text.code, text.out]).toEqual([2, ""]);
    expect(text.err).toContain("i-bbbbbbbbbb");
    expect(JSON.parse(json.err).error.context.candidates).toHaveLength(2);
  });

  test("errors: words, what to do, code, request id; JSON on stderr", async () => {
    server.on(`GET /api/instances/${testId}`, errorAnswer("instance_not_found"));
    const [text, json] = await Promise.all([
      soneca(["instance", "show", testId]),
      soneca(["instance", "show", testId, "--json"]),
    ]);
    expect([text.code, text.out]).toEqual([3, ""]);
    expect(text.err).toBe(
      "There is no such instance.\nList yours with `soneca ls`.\n(code instance_not_found, request req-9)\n",
    );
    expect(JSON.parse(json.err).error).toMatchObject({ code: "instance_not_found", request_id: "req-9" });
    server.on(`GET /api/instances/${testId}`, errorAnswer("unauthenticated"));
    expect((await soneca(["instance", "show", testId])).code).toBe(5);
  });

  test("snapshots", async () => {
    const past = { kind: "sleep", is_current: true, files: 12_000, new_stored_bytes: 2e8, damaged: null };
    const manifest = { manifest_bytes: null, manifest_sha256: null };
    const times = { at: new Date().toISOString(), sealed_at: null, machine_gone_at: null };
    const proof = { ...times, ...manifest, digest: "ab".repeat(32), parts: 50, bytes: 3.1e9 };
    const snapshot = { ...hibernatedView().snapshot, ...past, proof };
    const older = { ...snapshot, snapshot_id: `${testId}@2`, seq: 2, is_current: false, kind: null, proof: null };
    const damaged = { at: proof.at, message: "1 of 50 parts are missing" };
    server.on(`GET /api/instances/${testId}/snapshots`, {
      json: { snapshots: [snapshot, { ...older, proved_at: null }, { ...older, seq: 1, damaged }] },
    });
    const { out } = await soneca(["instance", "snapshots", testId]);
    expect(out).toMatch(/i-aaaaaaaaaa@3 \* +sleep .* 7\.4 GB +3\.1 GB +200 MB +12,345 +50 +[0-9a-f]{12} /);
    expect(out).toMatch(/i-aaaaaaaaaa@2 +- .* no\n/);
    expect(out).toMatch(/damaged: 1 of 50 parts are missing/);
  });

  test("an instance that is being copied says how far it is", async () => {
    const copying = {
      from_snapshot_id: "i-bbbbbbbbbb@4",
      since: new Date().toISOString(),
      parts_done: 1,
      parts_total: 4,
    };
    const view = hibernatedView({ snapshot: null, next: null, copying: { ...copying, then_wakes: true } });
    server.on(`GET /api/instances/${testId}`, { json: view });
    const { out } = await soneca(["instance", "show", testId]);
    expect(out).toMatch(/i-bbbbbbbbbb@4 is being copied, 25 %; then it wakes/);
  });

  test("a 503 with Retry-After is waited for and asked again", async () => {
    server.on("GET /api/instances", errorAnswer("storage_unavailable", {}, { "retry-after": "1" }), {
      json: { instances: [summary()] },
    });
    const startAt = Date.now();
    expect((await soneca(["ls"])).code).toBe(0);
    expect(Date.now() - startAt).toBeGreaterThan(1_000);
  });
});

describe("making", () => {
  test("fork sends the instance and the snapshot, and waits for the copy and the wake", async () => {
    const copying = {
      from_snapshot_id: `${testId}@7`,
      since: new Date().toISOString(),
      parts_done: 0,
      parts_total: null,
    };
    server.on("POST /api/instances", {
      status: 201,
      json: hibernatedView({ snapshot: null, copying: { ...copying, then_wakes: true } }),
    });
    server.on(`GET /api/instances/${testId}`, { json: instanceView() });
    const ended = await soneca(["instance", "fork", testId, "--snapshot", `${testId}@7`, "--name", "branch", "--wait"]);
    expect(ended.code, ended.err).toBe(0);
    expect(server.asked.find((one) => one.method === "POST")?.body).toEqual({
      from: { instance: testId, snapshot: 7 },
      name: "branch",
    });
    const asleep = await soneca(["instance", "fork", testId, "--asleep", "--json"]);
    expect(asleep.code, asleep.err).toBe(0);
    expect(server.asked.at(-1)?.body).toEqual({ from: { instance: testId }, start: false });
    expect((await soneca(["instance", "fork", testId, "--snapshot", "new"])).code).toBe(2);
  });

  test("wake with a snapshot", async () => {
    server.on(`POST /api/instances/${testId}/wake`, { status: 202, json: instanceView({ status: "waking" }) });
    const ended = await soneca(["instance", "wake", testId, "--snapshot", "3"]);
    expect(ended.code, ended.err).toBe(0);
    expect(server.asked.at(-1)?.body).toEqual({ snapshot: 3 });
  });

  test("create sends what was asked and prints what came", async () => {
    server.on("POST /api/instances", { status: 201, json: instanceView({ status: "waking", state: "provisioning" }) });
    const args = ["--name", "train", "--gpu", "RTX 4090", "--gpu-count", "2", "--region", "BR", "--disk", "100"];
    const ended = await soneca(["instance", "create", ...args, "--max-price", "0.45", "--pause", "5", "--json"]);
    expect(ended.code, ended.err).toBe(0);
    expect(JSON.parse(ended.out).id).toBe(testId);
    expect(server.asked[0]?.body).toEqual({
      name: "train",
      gpu_type: "RTX 4090",
      gpu_count: 2,
      region: "BR",
      disk_gb: 100,
      max_micro_usd_per_hour: 450_000,
      auto_hibernation: { pause_after_idle_minutes: 5 },
    });
  });

  test("no offer: exit 6, asked once", async () => {
    server.on("POST /api/instances", errorAnswer("no_offer"));
    expect((await soneca(["instance", "create"])).code).toBe(6);
    expect(server.asked).toHaveLength(1);
  });

  test("adopt: stdout is the one line", async () => {
    const instance = instanceView({ status: "waking", state: "provisioning" });
    const answer = { instance, agent_token: "a.b.c", install_command: "curl -fsS http://x/agent | sh" };
    server.on("POST /api/instances/adopt", { status: 201, json: answer });
    const [text, json] = await Promise.all([
      soneca(["instance", "adopt", "4711"]),
      soneca(["instance", "adopt", "4711", "--json"]),
    ]);
    expect(text.out).toBe("curl -fsS http://x/agent | sh\n");
    expect(text.err).toContain(`Adopted as ${testId}`);
    expect(JSON.parse(json.out)).toEqual(answer);
    expect(server.asked[0]?.body).toEqual({ vast_instance_id: 4711 });
  });

  test("keys to services: the secret once; revoke by name", async () => {
    const one = { id: "key-1", name: "app", created_at: "2026-11-29T10:00:00Z", expires_at: null, wakes_per_hour: 3 };
    const path = `/api/instances/${testId}/proxy-keys`;
    server.on(`POST ${path}`, { status: 201, json: { ...one, key: "snp_new" } });
    server.on(`GET ${path}`, { json: { keys: [one] } });
    server.on(`DELETE ${path}/key-1`, { status: 204 });
    const created = await soneca(["instance", "key", "create", testId, "app", "--wakes-per-hour", "3"]);
    expect(created).toMatchObject({ code: 0, out: "snp_new\n" });
    expect(created.err).toContain(`/p/${testId}/`);
    expect(server.asked.find((asked) => asked.method === "POST")?.body).toEqual({ name: "app", wakes_per_hour: 3 });
    const listed = await soneca(["instance", "key", "list", testId]);
    expect(listed.out).toMatch(/key-1 +app +3 /);
    const revoked = await soneca(["instance", "key", "revoke", testId, "app", "--json"]);
    expect(JSON.parse(revoked.out)).toEqual({ revoked: { id: "key-1", name: "app" } });
    expect((await soneca(["instance", "key", "revoke", testId, "other"])).code).not.toBe(0);
    expect((await soneca(["instance", "key", "create", testId, "app", "--wakes-per-hour", "-1"])).code).not.toBe(0);
  });
});

describe("waiting", () => {
  const waking = instanceView({ status: "waking", state: "provisioning" });
  const path = `/api/instances/${testId}`;

  test("wake --wait follows to running", async () => {
    server.on(`POST ${path}/wake`, { status: 202, json: waking });
    server.on(`GET ${path}`, { json: hibernatedView() }, { json: waking }, { json: instanceView() });
    const { code, out } = await soneca(["instance", "wake", testId, "--wait", "--gpu", "RTX 3090"]);
    expect(code).toBe(0);
    expect(out).toMatch(/Waking[\s\S]*rents a machine[\s\S]*Running[\s\S]*Connect: ssh/);
    expect(server.asked.find((one) => one.method === "POST")?.body).toEqual({ gpu_type: "RTX 3090" });
  });

  test("a wake that fails ends with 1 and the words of trouble", async () => {
    const trouble = { code: "no_offer", message: "No offer fits.", at: "2026-11-24T10:00:00Z", kept: null };
    server.on(`POST ${path}/wake`, { status: 202, json: waking });
    server.on(`GET ${path}`, { json: hibernatedView() }, { json: hibernatedView({ trouble }) });
    const { code, out, err } = await soneca(["instance", "wake", testId, "--wait", "--json"]);
    expect(code).toBe(1);
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).type),
    ).toEqual(["state", "state"]);
    expect(JSON.parse(err).error).toMatchObject({ code: "wait_failed", context: { trouble: { code: "no_offer" } } });
  });

  test("hibernate --wait --json ends with done", async () => {
    server.on(`POST ${path}/hibernate`, {
      status: 202,
      json: instanceView({ status: "hibernating", state: "destroying" }),
    });
    server.on(`GET ${path}`, { json: instanceView() }, { json: hibernatedView() });
    const { code, out } = await soneca(["instance", "hibernate", testId, "--wait", "--json"]);
    expect(code).toBe(0);
    const lines = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({ type: "done", instance: { status: "hibernated" } });
  });

  test("a wait that is left says that it goes on", async () => {
    server.on(`POST ${path}/wake`, { status: 202, json: waking });
    server.on(`GET ${path}`, { json: waking });
    const { code, err } = await soneca(["instance", "wake", testId, "--wait"], { until: /Waking/ });
    expect(code).toBe(130);
    expect(err).toContain("it goes on");
  });
});

describe("discard", () => {
  const path = `/api/instances/${testId}`;

  test("says what is lost, and does nothing without the id", async () => {
    for (const args of [[], ["--confirm", "train"]]) {
      const { code, err, out } = await soneca(["instance", "discard", "train", ...args]);
      expect([code, out]).toEqual([2, ""]);
      expect(err).toContain("the whole workspace");
      expect(err).toContain(`--confirm ${testId}`);
    }
    const { err } = await soneca(["instance", "discard", testId, "--json"]);
    expect(JSON.parse(err).error.context.lost).toHaveLength(1);
    expect(server.asked.filter((one) => one.method !== "GET")).toEqual([]);
  });

  test("goes through with it", async () => {
    server.on(`POST ${path}/discard`, {
      status: 202,
      json: instanceView({ status: "hibernating", state: "destroying" }),
    });
    const { code, err, out } = await soneca(["instance", "discard", "train", "--confirm", testId]);
    expect(code).toBe(0);
    expect(err).toContain("Will be lost");
    expect(out).toContain("on the bill until the provider says");
    expect(server.asked.at(-1)?.body).toEqual({ confirm: testId });
  });

  test("is refused where it is not possible", async () => {
    server.on(`GET ${path}`, { json: hibernatedView() });
    expect((await soneca(["instance", "discard", testId, "--confirm", testId])).code).toBe(6);
  });
});

const settingsOf = (layers: Partial<SettingLayers>) => sourcesOf({ user: {}, gpuType: {}, instance: {}, ...layers });

describe("config", () => {
  const path = `/api/instances/${testId}/config`;

  test("shows, and changes what is named", async () => {
    const sources = {
      ...settingsOf({}),
      "retention.keep_newest": "gpu_type",
      grace_minutes: "user",
      enabled: "instance",
    };
    const whose = { sources, gpu_type: "RTX 4090" };
    server.on(`GET ${path}`, { json: { auto_hibernation: defaultAutoHibernation, ...whose } });
    server.on(`PUT ${path}`, { json: { auto_hibernation: { ...defaultAutoHibernation, enabled: false }, ...whose } });
    const shown = await soneca(["instance", "config", testId]);
    expect(shown.out).toMatch(/schedule.timezone +America\/Sao_Paulo +built in/);
    expect(shown.out).toMatch(/retention.keep_newest +10 +policy for RTX 4090/);
    expect(shown.out).toMatch(/grace_minutes +3 +policy for all/);
    expect(shown.out).toMatch(/enabled +true +its own/);
    expect(shown.out).toContain("After 3 min below 5 % GPU");
    const args = [
      "--enabled",
      "off",
      "--schedule",
      "none",
      "--set",
      "wake_method=auto",
      "--set",
      "gpu_usage_threshold=7",
    ];
    const changed = await soneca(["instance", "config", testId, ...args, "--json"]);
    expect(JSON.parse(changed.out).auto_hibernation.enabled).toBe(false);
    expect(server.asked.at(-1)?.body).toEqual({
      auto_hibernation: { enabled: false, schedule: null, wake_method: "auto", gpu_usage_threshold: 7 },
    });
    await soneca(["instance", "config", testId, "--unset", "grace_minutes", "--set", "retention.keep_days=7"]);
    expect(server.asked.at(-1)?.body).toEqual({
      auto_hibernation: { retention: { keep_days: 7 } },
      unset: ["grace_minutes"],
    });
    const unknown = await soneca(["instance", "config", testId, "--unset", "naps"]);
    expect(unknown.code).toBe(2);
    expect(unknown.err).toContain("the name of a setting");
  });
});

describe("schedule", () => {
  const path = `/api/instances/${testId}`;
  const before = {
    ...defaultAutoHibernation.schedule!,
    exceptions: [{ date: "2026-12-25" }],
    hold: { activity: true },
  };
  const whose = { sources: settingsOf({}), gpu_type: null };
  const next = {
    timezone: "America/Sao_Paulo",
    next: [{ what: "wake", at: "2026-11-30T12:00:00.000Z", local: "2026-11-30T09:00:00-03:00" }],
    wake_begins_at: "2026-11-30T11:58:00.000Z",
    sleep_due_since: null,
  } as const;

  test("is shown, with what comes next", async () => {
    server.on(`GET ${path}/config`, {
      json: { auto_hibernation: { ...defaultAutoHibernation, schedule: before }, ...whose },
    });
    server.on(`GET ${path}`, { json: instanceView({ schedule: { ...next, next: [...next.next] } }) });
    const { out, code } = await soneca(["instance", "schedule", testId]);
    expect(code).toBe(0);
    for (const text of [
      "every day 09:00-18:00",
      "2026-12-25: none",
      "zone: America/Sao_Paulo",
      "next: wakes 2026-11-30 09:00",
    ])
      expect(out).toContain(text);
  });

  test("changes what is named, and keeps what the route would forget", async () => {
    server.on(`GET ${path}/config`, {
      json: { auto_hibernation: { ...defaultAutoHibernation, schedule: before }, ...whose },
    });
    server.on(`PUT ${path}/schedule`, { json: { auto_hibernation: defaultAutoHibernation, ...whose, schedule: null } });
    const change = async (...args: string[]) => {
      const { code, err } = await soneca(["instance", "schedule", testId, ...args]);
      expect([code, err]).toEqual([0, ""]);
      return server.asked.at(-1)?.body;
    };
    const kept = { exceptions: before.exceptions, hold: before.hold };
    const windows = [
      { days: ["mon", "tue", "wed", "thu", "fri"], start: "09:00", end: "18:00" },
      { days: ["sat", "sun", "mon"], start: "22:30", end: "06:00" },
    ];
    expect(await change("--window", "mon-fri 9:00-18:00", "--window", "sat-mon 22:30-06:00")).toEqual({
      ...kept,
      windows,
    });
    expect(await change("--daily", "08:00-12:00", "--zone", "Europe/Lisbon", "--skip", "2027-01-01")).toEqual({
      wake_time: "08:00",
      sleep_time: "12:00",
      timezone: "Europe/Lisbon",
      exceptions: [{ date: "2026-12-25" }, { date: "2027-01-01" }],
      hold: before.hold,
    });
    expect(await change("--clear", "--wake-once", "2026-12-24T20:00", "--hold", "none")).toEqual({
      once: [{ at: "2026-12-24T20:00", do: "wake" }],
      hold: { leases: false, activity: false },
    });
    expect(await change("--off")).toEqual({ ...kept, enabled: false });
  });

  test.each([
    ["--window", "9-18"],
    ["--window", "mon-someday 09:00-18:00"],
    ["--skip", "25/12/2026"],
    ["--wake-once", "tomorrow"],
    ["--hold", "tight"],
    ["--zone", "Mars/Olympus"],
  ])("%s %s is refused in words", async (flag, value) => {
    server.on(`GET ${path}/config`, { json: { auto_hibernation: defaultAutoHibernation, ...whose } });
    const { code, err } = await soneca(["instance", "schedule", testId, flag, value]);
    expect(code).toBe(2);
    expect(err).not.toBe("");
    expect(server.asked.at(-1)?.method).toBe("GET");
  });
});

describe("policy", () => {
  const updated_at = new Date().toISOString();
  const forAll = { gpu_type: null, auto_hibernation: { grace_minutes: 9, retention: { keep_days: null } }, updated_at };
  const forType = { gpu_type: "RTX 4090", auto_hibernation: { enabled: false }, updated_at };

  test("shows them, or that of a GPU type", async () => {
    server.on("GET /api/policies", { json: { policies: [forAll, forType] } });
    const { out } = await soneca(["policy", "show"]);
    expect(out).toMatch(/Policy for all\n.*\n.*grace_minutes +9\n.*retention.keep_days +none\n\nPolicy for RTX 4090\n/);
    const one = await soneca(["policy", "show", "--gpu", "rtx_4090", "--json"]);
    expect(JSON.parse(one.out).policies).toEqual([forType]);
    server.on("GET /api/policies", { json: { policies: [] } });
    expect((await soneca(["policy", "show"])).out).toContain("No policies");
  });

  test("sets and unsets what is named, and says whom it has reached", async () => {
    server.on("PUT /api/policies", { json: { policy: forType, instances: { told: 3, waiting: 1 } } });
    server.on("DELETE /api/policies", {
      json: { policy: { ...forAll, auto_hibernation: {} }, instances: { told: 1, waiting: 0 } },
    });
    const set = await soneca([
      "policy",
      "set",
      "--gpu",
      "RTX_4090",
      "--pause",
      "auto",
      "--set",
      "retention.keep_newest=4",
    ]);
    expect(set.code, set.err).toBe(0);
    expect(set.out).toContain("3 instances told. 1 will be within a few minutes.");
    expect(server.asked.at(-1)?.body).toEqual({
      gpu_type: "RTX 4090",
      auto_hibernation: { pause_after_idle_minutes: "auto", retention: { keep_newest: 4 } },
    });
    await soneca(["policy", "unset", "--setting", "enabled", "--setting", "retention"]);
    expect(server.asked.at(-1)?.body).toEqual({ unset: ["enabled", "retention"] });
    const all = await soneca(["policy", "unset"]);
    expect(server.asked.at(-1)).toMatchObject({ method: "DELETE", path: "/api/policies" });
    expect(all.out).toBe("Nothing is set for all any more.\n\n1 instance told.\n");
    await soneca(["policy", "unset", "--gpu", "H100"]);
    expect(server.asked.at(-1)?.query.get("gpu_type")).toBe("H100");
    expect((await soneca(["policy", "set"])).code).toBe(2);
    expect((await soneca(["policy", "unset", "--setting", "naps"])).code).toBe(2);
  });
});

describe("events", () => {
  const path = `/api/instances/${testId}/events`;
  const all = Array.from({ length: 1_205 }, (_, i) => eventOf(i + 1));

  beforeEach(() => {
    server.on(`GET ${path}`, ({ query }) => {
      const after = Number(query.get("after") ?? 0);
      const events = all.filter((one) => one.seq > after).slice(0, Number(query.get("limit") ?? 200));
      return { json: { events, next_after: events.at(-1)?.seq ?? after } };
    });
  });

  test("the newest, or on from a number", async () => {
    const [newest, after] = await Promise.all([
      soneca(["instance", "events", testId, "--limit", "2", "--json"]),
      soneca(["instance", "events", testId, "--after", "7", "--limit", "2", "--json"]),
    ]);
    expect(JSON.parse(newest.out).events.map((one: { seq: number }) => one.seq)).toEqual([1_204, 1_205]);
    expect(JSON.parse(after.out)).toMatchObject({ next_after: 9, events: [{ seq: 8 }, { seq: 9 }] });
  });

  test("in words", async () => {
    const { out } = await soneca(["instance", "events", testId, "--limit", "1"]);
    expect(out).toMatch(/^ 1205 {2}\d+ \w+ \d\d:\d\d:\d\d GMT-3 {2}idle rule {2}Idle \(GPU 1 %\)\n$/);
  });

  test("--follow shows what happens next, one line each", async () => {
    // It comes after the second look.
    let looks = 0;
    server.on(`GET ${path}`, ({ query }) => {
      looks += 1;
      const after = Number(query.get("after"));
      const events = [eventOf(1), eventOf(2)].filter(({ seq }) => seq > after && (seq === 1 || looks > 2));
      return { json: { events, next_after: events.at(-1)?.seq ?? after } };
    });
    const { code, out } = await soneca(["instance", "events", testId, "--follow", "--json"], { until: /"seq":2/ });
    expect(code).toBe(130);
    expect(
      out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).seq),
    ).toEqual([1, 2]);
  });
});

describe("simulate", () => {
  const write = (name: string, text: string) => {
    const path = join(home, name);
    writeFileSync(path, text);
    return path;
  };

  test("compares settings on a trace, without any control plane", async () => {
    const path = write(
      "day.csv",
      "t,util\r\n0,90\r\n3600,0\r\n# lunch and night\r\n40000,80\r\n43600,0\r\n86400,0\r\n",
    );
    const env = { SONECA_URL: "", SONECA_TOKEN: "" };
    const [text, json] = await Promise.all([
      soneca(["simulate", path, "--price", "1.5"], { env }),
      soneca(["--json", "simulate", path, "--policy", "never", "--policy", "auto", "--workspace-gb", "10"], { env }),
    ]);
    expect(text.err).toBe("");
    expect(text.code).toBe(0);
    expect(text.out).toMatch(/Sleeping pays\s+after 31 min/);
    for (const name of ["fixed:3", "break-even", "auto"]) expect(text.out).toContain(`\n${name} `);
    const answer = JSON.parse(json.out);
    const [never, auto] = answer.policies;
    expect(never).toMatchObject({ policy: "never", sleeps: 0, traffic_micro_usd: 0 });
    expect(auto).toMatchObject({ policy: "auto", sleeps: 2, false_sleeps: 0 });
    expect(auto.avoided_micro_usd).toBe(answer.always_on_micro_usd - auto.paid_micro_usd);
    expect(auto.regret_micro_usd).toBe(auto.paid_micro_usd - answer.optimum_micro_usd);
    expect(auto.regret_micro_usd).toBeGreaterThan(0);
    expect(server.asked).toEqual([]);
  });

  test("what is wrong is said with its line, and ends with the code for wrong usage", async () => {
    const unsorted = write("unsorted.csv", "t,util\n0,90\n60,0\n30,0\n");
    const [line, option, policy, missing] = await Promise.all([
      soneca(["simulate", unsorted, "--json"]),
      soneca(["simulate", unsorted, "--price", "free"]),
      soneca(["simulate", unsorted, "--policy", "fixed:never"]),
      soneca(["simulate", join(home, "nowhere.csv")]),
    ]);
    expect(line.code).toBe(2);
    const { error } = JSON.parse(line.err);
    expect(error.message).toMatch(/unsorted\.csv, line 4: t is 30, not after/);
    expect(error.context).toEqual({ line: 4 });
    expect([option.code, policy.code, missing.code]).toEqual([2, 2, 3]);
    expect(option.err).toContain("--price");
    expect(missing.err).toContain("there is no such file");
  });
});

describe("money", () => {
  test("savings and cost ask for the period in the zone of this machine, and show what comes", async () => {
    server.on("GET /api/savings", { json: savingsAnswer() });
    server.on(`GET /api/instances/${testId}/ledger`, { json: ledgerAnswer() });
    const saved = await soneca(["savings", "--from", "2026-11-27", "--json"]);
    expect(JSON.parse(saved.out)).toEqual(savingsAnswer());
    const asked = server.asked.find((one) => one.path === "/api/savings");
    expect(Object.fromEntries(asked!.query)).toEqual({ from: "2026-11-27", tz: "America/Sao_Paulo" });
    const cost = await soneca(["instance", "cost", "train", "--csv"]);
    expect(cost).toMatchObject({ code: 0, err: "" });
    expect(cost.out).toBe(`${ledgerCsv(ledgerAnswer())}\n`);
    expect((await soneca(["instance", "cost", "train", "--csv", "--json"])).code).toBe(2);
  });
});

describe("over time, and for rent", () => {
  test("series asks for its span, and shows a line for each GPU", async () => {
    server.on(`GET /api/instances/${testId}/series`, { json: seriesAnswer() });
    const [plain, json, wrong] = await Promise.all([
      soneca(["instance", "series", "train"]),
      soneca(["instance", "series", "train", "--span", "24h", "--json"]),
      soneca(["instance", "series", "train", "--span", "2h"]),
    ]);
    expect([plain.code, plain.err]).toEqual([0, ""]);
    expect(plain.out).toContain("GPU 0 RTX 4090");
    expect(JSON.parse(json.out)).toEqual(seriesAnswer());
    const asked = server.asked.filter((one) => one.path.endsWith("/series")).map((one) => one.query.get("span"));
    expect(asked.toSorted()).toEqual(["24h", "6h"]);
    expect(wrong.code).toBe(2);
  });

  test("preview asks what settings would have done, shows them beside the present ones, and sets nothing", async () => {
    const path = `/api/instances/${testId}`;
    server.on(`GET ${path}/config`, {
      json: { auto_hibernation: defaultAutoHibernation, sources: {}, gpu_type: null },
    });
    server.on(`POST ${path}/preview`, { json: previewAnswer() });
    const [plain, json, wrong, refused] = await Promise.all([
      soneca(["instance", "preview", "train", "--pause", "10", "--set", "retention.keep_newest=9"]),
      soneca(["instance", "preview", "train", "--json"]),
      soneca(["instance", "preview", "train", "--set", "naps=9"]),
      soneca(["instance", "preview", "train", "--pause", "-1"]),
    ]);
    expect([plain.code, plain.err]).toEqual([0, ""]);
    expect(plain.out).toMatch(/pause_after_idle_minutes +3 +10/);
    expect(plain.out).toMatch(/Sleeps +12 +7/);
    const settings = { as_is: defaultAutoHibernation, as_set: defaultAutoHibernation };
    expect(JSON.parse(json.out)).toEqual({ settings, ...previewAnswer() });
    const asked = server.asked.filter((one) => one.path === `${path}/preview`).map((one) => one.body);
    expect(asked).toHaveLength(2);
    expect(asked).toContainEqual({});
    expect(asked).toContainEqual({
      auto_hibernation: { pause_after_idle_minutes: 10, retention: { keep_newest: 9 } },
    });
    expect([wrong.code, refused.code]).toEqual([2, 2]);
    expect(server.asked.some((one) => one.method === "PUT")).toBe(false);
  });

  test("offers asks for what is named, and for an instance by its name", async () => {
    server.on("GET /api/offers", { json: offersAnswer() });
    const [plain, own, wrong] = await Promise.all([
      soneca(["offers", "--gpu", "RTX 4090", "--region", "EU"]),
      soneca(["offers", "--instance", "train", "--json"]),
      soneca(["offers", "--region", "Brazil"]),
    ]);
    expect([plain.code, plain.err]).toEqual([0, ""]);
    expect(plain.out).toContain("over its price");
    expect(JSON.parse(own.out)).toEqual(offersAnswer());
    const asked = server.asked.filter((one) => one.path === "/api/offers").map((one) => Object.fromEntries(one.query));
    expect(asked).toContainEqual({ gpu_type: "RTX 4090", region: "EU", limit: "12" });
    expect(asked).toContainEqual({ instance: testId, limit: "12" });
    expect(wrong.code).toBe(2);
  });
});
