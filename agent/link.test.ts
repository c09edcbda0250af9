import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Held, type Result, type Seal, type StatusReport, statusReportSchema } from "../core/protocol/wire.ts";
import type { Tokens } from "./identity.ts";
import { createLink, type Link, type LinkEnd, type LinkOptions, parseAnswer } from "./link.ts";
import { createLogger } from "./log.ts";
import type { MonotonicInterval } from "./monitor.ts";
import type { WorkAnswer } from "./work.ts";

const instance = "i-abcdefghij";
const good = {
  ok: true,
  status: "running",
  nextBeatMs: 200,
  gpuUsageThreshold: 5,
  commands: [] as unknown[],
  intervalsKept: -1,
  resultsKept: [] as string[],
};
const digest = "a".repeat(64);

type Reply = (report: StatusReport, response: ServerResponse, request: IncomingMessage) => void;

let server: Server;
let url: string;
let reports: StatusReport[];
let arrivals: number[];
let reply: Reply;
let link: Link | null;
let lines: string[];
let work: ReturnType<typeof fakeWork>;
let intervals: MonotonicInterval[];
let held: Held[];
let tokens: Tokens & { text: string; renewed: string[] };

beforeEach(async () => {
  reports = [];
  arrivals = [];
  lines = [];
  intervals = [];
  held = [];
  work = fakeWork();
  link = null;
  reply = say(good);
  tokens = {
    text: "first",
    renewed: [],
    current: () => tokens.text,
    renew(token) {
      tokens.renewed.push(token);
      tokens.text = token;
      return true;
    },
  };
  server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    expect(request.url).toBe("/api/agent/status");
    expect(request.method).toBe("POST");
    const report = statusReportSchema.parse(JSON.parse(text));
    reports.push(report);
    arrivals.push(performance.now());
    reply(report, response, request);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  await link?.stop();
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

function say(value: unknown, status = 200, headers: Record<string, string> = {}): Reply {
  return (_report, response) =>
    response.writeHead(status, headers).end(typeof value === "string" ? value : JSON.stringify(value));
}

/** One reply after the other; the last one stays. */
function inTurn(...replies: Reply[]): Reply {
  let at = 0;
  return (...args) => replies[Math.min(at++, replies.length - 1)]!(...args);
}

const refuse = (status: number, code: string) =>
  say({ error: { code, message: `it is ${code}`, hint: "", retryable: false } }, status);

function fakeWork() {
  const state = {
    answers: [] as WorkAnswer[],
    stops: [] as { reason: string; forGood: boolean }[],
    results: [] as Result[],
    seal: null as Seal | null,
    active: false,
  };
  return {
    ...state,
    onAnswer(answer: WorkAnswer) {
      this.answers.push(answer);
      this.results = this.results.filter((one) => !answer.resultsKept.includes(one.commandId));
    },
    report() {
      return { results: this.results, progress: null, seal: this.seal };
    },
    isActive() {
      return this.active;
    },
    async stop(reason: string, forGood: boolean) {
      this.stops.push({ reason, forGood });
    },
  };
}

function start(options: Partial<LinkOptions> = {}): Promise<LinkEnd> {
  link = createLink({
    url,
    instance,
    workspace: "/workspace",
    tokens,
    monitor: { setPace() {}, takeInterval: () => intervals.shift() ?? null },
    signals: { setPace() {}, take: () => ({ cpu: { value: 12.5, detail: "python (7)" } }) },
    held: () => held,
    work,
    log: createLogger({ write: (line) => lines.push(line) }),
    ...options,
  });
  return link.run();
}

const interval = (n: number, max: number | null = 0): MonotonicInterval => ({
  n,
  fromMs: performance.now() - 1_000,
  toMs: performance.now(),
  expected: 4,
  taken: 4,
  gpus: [
    { index: 0, name: "GPU", max, mean: max, busyShare: max === null ? null : 0, memoryUsedMb: 1, memoryTotalMb: 2 },
  ],
  sensorError: null,
});
const beats = (count: number, timeout = 6_000) =>
  vi.waitFor(() => expect(reports.length).toBeGreaterThanOrEqual(count), { timeout, interval: 5 });
const failed: Result = { commandId: "c", outcome: "failed", code: "x", message: "y", retryable: true };

it("says which program it is and what became of a new one, and hands over what the answer says of them", async () => {
  const build = "b".repeat(64);
  const update = { id: "updated-1", outcome: "updated" as const, build, version: "0.2.0", reason: null };
  const order = { version: "0.3.0", build: "c".repeat(64) };
  const heard: unknown[] = [];
  const updater = { build, report: () => update, onAnswer: (answer: object) => void heard.push(answer) };
  reply = say({ ...good, update: order, updateKept: "updated-1" });
  void start({ updater });
  await vi.waitFor(() => expect(heard).toHaveLength(1));
  expect(heard[0]).toMatchObject({ update: order, updateKept: "updated-1" });
  expect(reports[0]).toMatchObject({ agent: { build }, update });
  expect(parseAnswer({ ...good, update: { version: "0.3.0", build: "../x" } })).toBeNull();
});

describe("a beat", () => {
  it("carries the plan's own fields and who speaks", async () => {
    intervals = [interval(0, 37)];
    let authorization: string | undefined;
    reply = (_report, response, request) => {
      authorization = request.headers.authorization;
      response.end(JSON.stringify(good));
    };
    void start();
    await beats(1);
    const [report] = reports;
    expect(report).toMatchObject({
      instance_id: instance,
      gpu_util: 37,
      status: "active",
      results: [],
      progress: null,
      seal: null,
    });
    expect(authorization).toBe("Bearer first");
    expect(Math.abs(Date.parse(report!.timestamp as string) - Date.now())).toBeLessThan(2_000);
    expect(report!.agent).toMatchObject({ workspace: "/workspace" });
    expect(report!.intervals).toHaveLength(1);
    const [sent] = report!.intervals!;
    expect(sent!.toAt).toBeLessThanOrEqual(report!.sentAt! + 1);
    expect(sent!.toAt - sent!.fromAt).toBeGreaterThanOrEqual(999);
    const line = lines.map((text) => JSON.parse(text)).find((one) => one.event === "interval");
    expect(line).toMatchObject({ gpu_util: 37, status: "active" });
    expect(line.time).toMatch(/^\d{4}-/);
  });

  it("carries the signals of each interval, and what holds the machine", async () => {
    intervals = [interval(0)];
    held = [{ id: "a", what: "python train.py" }];
    void start();
    await beats(1);
    expect(reports[0]!.intervals![0]!.signals).toEqual({ cpu: { value: 12.5, detail: "python (7)" } });
    expect(reports[0]!.held).toEqual(held);
  });

  it.each([
    ["idle", 0, 0],
    ["unknown", null, null],
  ])("says %s", async (status, max, util) => {
    intervals = [interval(0, max)];
    void start();
    await beats(1);
    expect(reports[0]).toMatchObject({ status, gpu_util: util });
  });

  it("says unknown before the first interval", async () => {
    void start();
    await beats(1);
    expect(reports[0]).toMatchObject({ status: "unknown", gpu_util: null, intervals: [] });
  });

  it("comes at the pace of the answer, one at a time", async () => {
    let open = 0;
    reply = (_report, response) => {
      expect(++open).toBe(1);
      setTimeout(() => {
        open--;
        response.end(JSON.stringify({ ...good, nextBeatMs: 1 }));
      }, 50);
    };
    void start();
    await beats(4);
    // Below 200 ms no pace goes.
    for (let i = 1; i < 4; i++) expect(arrivals[i]! - arrivals[i - 1]!).toBeGreaterThan(230);
  });

  it("comes at once when something happened, and one is enough for several things", async () => {
    reply = say({ ...good, nextBeatMs: 100_000 });
    void start();
    await beats(1);
    await sleep(30);
    work.results = [failed];
    link!.beatNow();
    link!.beatNow();
    await beats(2);
    expect(reports[1]!.results).toEqual([failed]);
    await sleep(300);
    expect(reports).toHaveLength(2);
  });

  it("comes soon after one that was under way when something happened", async () => {
    reply = (_report, response) =>
      setTimeout(() => response.end(JSON.stringify({ ...good, nextBeatMs: 100_000 })), 100);
    void start();
    await beats(1);
    work.results = [failed];
    link!.beatNow();
    await beats(2);
    expect(reports[1]!.results).toEqual([failed]);
  });
});

describe("what is not confirmed", () => {
  it("is sent again until it is, over failures and lost answers", async () => {
    intervals = [interval(0), interval(1), interval(2)];
    work.results = [failed];
    work.active = true;
    reply = inTurn(
      say("no", 503),
      (_report, response) => response.destroy(),
      say({ ...good, intervalsKept: 1 }),
      say({ ...good, intervalsKept: 2, resultsKept: ["c"] }),
      say({ ...good, intervalsKept: -1 }),
    );
    void start({ activeBackoffMs: 20 });
    await beats(5);
    expect(reports.slice(0, 5).map((report) => report.intervals!.map((one) => one.n))).toEqual([
      [0],
      [0, 1],
      [0, 1, 2],
      [2],
      [],
    ]);
    expect(reports.slice(0, 5).map((report) => report.results!.length)).toEqual([1, 1, 1, 1, 0]);
    expect(new Set(reports.map((report) => report.agent!.bootId)).size).toBe(1);
    expect(work.answers.length).toBeGreaterThanOrEqual(2);
  });

  it("is bounded to the newest 240 intervals", async () => {
    let n = 0;
    const bodies: StatusReport[] = [];
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      void start({
        fetch: async (_url, init) => {
          bodies.push(JSON.parse(String(init!.body)));
          throw new Error("down");
        },
        random: () => 0,
        monitor: { setPace() {}, takeInterval: () => interval(n++) },
      });
      await vi.advanceTimersByTimeAsync(260 * 200);
    } finally {
      vi.useRealTimers();
    }
    expect(bodies.length).toBeGreaterThan(250);
    const sent = bodies.at(-1)!.intervals!;
    expect(sent).toHaveLength(240);
    expect(sent.at(-1)!.n).toBe(bodies.length - 1);
    expect(() => statusReportSchema.parse(bodies.at(-1))).not.toThrow();
  });

  it("keeps its distance from sentAt when the clock is set", async () => {
    intervals = [interval(0)];
    const real = Date.now;
    const spy = vi.spyOn(Date, "now");
    reply = inTurn(say("down", 500), say(good));
    try {
      void start({ maxBackoffMs: 200 });
      await beats(1);
      spy.mockImplementation(() => real() + 3_600_000);
      await beats(2);
    } finally {
      spy.mockRestore();
    }
    const [first, second] = reports.map((report) => report.sentAt! - report.intervals![0]!.toAt);
    expect(second! - first!).toBeLessThan(2_000);
    // Which of the two is the newer does not depend on that clock.
    const uptimes = reports.map((report) => report.uptimeMs!);
    expect(uptimes[1]! - uptimes[0]!).toBeGreaterThan(0);
    expect(uptimes[1]! - uptimes[0]!).toBeLessThan(10_000);
    expect(reports[1]!.intervals![0]!.toAt - reports[0]!.intervals![0]!.toAt).toBeGreaterThan(3_500_000);
  });
});

describe("a failed beat", () => {
  it.each([
    ["no JSON", say("<html>")],
    ["an empty body", say("")],
    ["a field that is missing", say({ ...good, commands: undefined })],
    ["a field of the wrong kind", say({ ...good, nextBeatMs: "soon" })],
    ["ok: false", say({ ...good, ok: false })],
    ["a seal that names no snapshot", say({ ...good, commands: [{ id: "x", kind: "seal", seq: 1, holdMs: 1 }] })],
    ["a redirect", say("", 302, { location: "/elsewhere" })],
    ["a proxy's 401", say("<html>login</html>", 401)],
    ["too much", say(`{"ok":true,"x":"${"y".repeat(2_000_000)}"}`)],
  ])("%s changes nothing and is tried again", async (_name, bad) => {
    reply = inTurn(bad, say(good));
    void start({ maxBackoffMs: 200 });
    await beats(2);
    await vi.waitFor(() => expect(work.answers).toHaveLength(1));
    expect(work.stops).toEqual([]);
    expect(lines.join("")).toContain("beat_failed");
    expect(lines.join("")).toContain("link_restored");
  });

  it("an answer that does not come is given up after the timeout", async () => {
    reply = inTurn(() => {}, say(good));
    void start({ timeoutMs: 150, maxBackoffMs: 200 });
    await beats(2);
    expect(lines.join("")).toContain("no answer within 0.15 s");
  });

  it("an answer that stops half way is given up too", async () => {
    reply = inTurn((_report, response) => response.write('{"ok":true'), say(good));
    void start({ timeoutMs: 150, maxBackoffMs: 200 });
    await beats(2);
  });

  it("waits longer each time, but never longer than it may while a seal holds", async () => {
    reply = say("down", 503);
    const delays: number[] = [];
    work.active = true;
    void start({ maxBackoffMs: 1_500, activeBackoffMs: 250, random: () => 1 });
    await beats(4);
    for (let i = 1; i < 4; i++) delays.push(arrivals[i]! - arrivals[i - 1]!);
    for (const delay of delays) expect(delay).toBeLessThan(450);
    work.active = false;
    const count = reports.length;
    await beats(count + 2, 8_000);
    expect(arrivals[count + 1]! - arrivals[count]!).toBeGreaterThan(1_300);
  }, 15_000);

  it("a beat that is wanted at once does not break the backoff", async () => {
    reply = say("down", 503);
    void start({ random: () => 1, maxBackoffMs: 15_000 });
    await beats(1);
    for (let i = 0; i < 10; i++) link!.beatNow();
    await sleep(250);
    expect(reports).toHaveLength(1);
  });

  it("nobody there", async () => {
    await new Promise((done) => server.close(done));
    void start();
    await vi.waitFor(() => expect(lines.join("")).toContain("ECONNREFUSED"));
    server.listen(0);
  });
});

describe("tokens and fences", () => {
  it("a replaced machine stops all work and ends for good", async () => {
    reply = inTurn(say(good), refuse(403, "epoch_fenced"));
    expect(await start()).toBe("fenced");
    expect(work.stops).toEqual([{ reason: expect.any(String), forGood: true }]);
    expect(lines.join("")).toContain("epoch_fenced");
  });

  it.each([
    [401, "token_expired"],
    [401, "unauthenticated"],
    [403, "forbidden"],
  ])("%i %s ends the seals and is tried again slowly", async (status, code) => {
    reply = inTurn(refuse(status, code), say(good));
    void start({ refusedMs: 300 });
    await beats(1);
    link!.beatNow();
    await beats(2);
    expect(arrivals[1]! - arrivals[0]!).toBeGreaterThan(280);
    expect(work.stops).toEqual([{ reason: expect.any(String), forGood: false }]);
    await vi.waitFor(() => expect(work.answers).toHaveLength(1));
  });

  it("a renewed token is kept, used with the next beat and never logged", async () => {
    const fresh = "fresh-token-of-some-length";
    const seen: (string | undefined)[] = [];
    reply = (_report, response, request) => {
      seen.push(request.headers.authorization);
      response.end(JSON.stringify({ ...good, token: fresh }));
    };
    void start();
    await beats(2);
    expect(seen.slice(0, 2)).toEqual(["Bearer first", `Bearer ${fresh}`]);
    expect(tokens.renewed[0]).toBe(fresh);
    expect(lines.join("")).not.toContain(fresh);
  });

  it("a token that cannot be saved is no failed beat", async () => {
    tokens.renew = () => {
      throw new Error("disk full");
    };
    reply = say({ ...good, token: "x" });
    void start();
    await beats(2);
    expect(work.answers.length).toBeGreaterThanOrEqual(1);
    expect(lines.join("")).toContain("disk full");
  });
});

describe("the end", () => {
  it("sends one last report", async () => {
    reply = say({ ...good, nextBeatMs: 100_000 });
    const end = start();
    await beats(1);
    await sleep(30);
    await link!.stop(true);
    expect(await end).toBe("stopped");
    expect(reports).toHaveLength(2);
  });

  it("does not wait for an answer that is under way", async () => {
    reply = () => {};
    const end = start();
    await beats(1);
    await link!.stop();
    expect(await end).toBe("stopped");
  });
});

describe("parseAnswer", () => {
  it("tells commands from what it does not know", () => {
    const ref = { seq: 1, epoch: 1, digest };
    const commands = [
      { id: "a", kind: "snapshot", seq: 3, later: true },
      { id: "b", kind: "dance", steps: 3 },
      { id: "c", kind: "restore", snapshot: ref },
      { id: "d", kind: "seal", proved: ref, seq: 2, holdMs: 1000 },
    ];
    const answer = parseAnswer({ ...good, commands, more: 1 });
    expect(answer!.commands.map((one) => one.id)).toEqual(["a", "c", "d"]);
    expect(answer!.unknown).toEqual([{ id: "b", kind: "dance" }]);
  });
});
