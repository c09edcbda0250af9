import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createLogger } from "./log.ts";
import { createUpdater, type UpdaterOptions } from "./update.ts";

const sha256Of = (text: string) => createHash("sha256").update(text).digest("hex");
const next = "the next agent";
const order = { version: "9.9.9", build: sha256Of(next) };
let home: string;
let lines: string[];
let asked: number;
let ended: number;
let atRest: boolean;
let now: number;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "soneca-update-"));
  writeFileSync(join(home, "soneca-agent.mjs"), "this agent");
  [lines, asked, ended, atRest, now] = [[], 0, 0, true, 1_000_000];
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function make(answer: () => Response | Promise<Response>, more: Partial<UpdaterOptions> = {}) {
  return createUpdater({
    ...{ home, url: "http://plane", env: { SONECA_LOOP: "1" }, isAtRest: () => atRest, now: () => now },
    log: createLogger({ write: (line) => lines.push(line) }),
    onReady: () => ended++,
    fetch: (async (url: string) => {
      asked++;
      expect(url).toBe("http://plane/agent/soneca-agent.mjs");
      return answer();
    }) as unknown as typeof fetch,
    ...more,
  })!;
}

const turn = () => new Promise((done) => setTimeout(done, 20));
const has = (name: string) => existsSync(join(home, name));

it("fetches what is wanted, checks it, and ends for it", async () => {
  const updater = make(() => new Response(next));
  expect(updater.build).toBe(sha256Of("this agent"));
  updater.onAnswer({});
  updater.onAnswer({ update: { version: "0.1.0", build: updater.build } });
  expect(asked).toBe(0);
  updater.onAnswer({ update: order });
  updater.onAnswer({ update: order });
  await vi.waitFor(() => expect(ended).toBe(1));
  expect([asked, updater.isReady()]).toEqual([1, true]);
  expect(readFileSync(join(home, "soneca-agent.mjs.next"), "utf8")).toBe(next);
  expect(readFileSync(join(home, "soneca-agent.mjs"), "utf8")).toBe("this agent");
});

it("waits for rest, also where work began while it was fetched", async () => {
  atRest = false;
  let send = (_: Response) => {};
  const updater = make(
    () =>
      new Promise<Response>((resolve) => {
        send = resolve;
      }),
  );
  updater.onAnswer({ update: order });
  expect(asked).toBe(0);
  atRest = true;
  updater.onAnswer({ update: order });
  await turn();
  atRest = false;
  send(new Response(next));
  await turn();
  expect([ended, has("soneca-agent.mjs.next"), has("soneca-agent.mjs.next.draft")]).toEqual([0, false, false]);
  atRest = true;
  updater.onAnswer({ update: order });
  send(new Response(next));
  await vi.waitFor(() => expect(ended).toBe(1));
});

it.each([
  ["an answer that is none", () => new Response("", { status: 503 }), "HTTP 503"],
  ["another file", () => new Response("a page of a proxy"), "it is "],
  ["a lost connection", () => Promise.reject(new TypeError("fetch failed")), "fetch failed"],
])("goes on after %s, and tries again ever more seldom", async (_, answer, words) => {
  const updater = make(answer as () => Response);
  const tryAgain = async () => {
    updater.onAnswer({ update: order });
    await turn();
  };
  await tryAgain();
  await tryAgain();
  expect([asked, ended]).toEqual([1, 0]);
  expect(lines.at(-1)).toContain(words);
  now += 30_000;
  await tryAgain();
  now += 30_000;
  await tryAgain();
  expect(asked).toBe(2);
  now += 30_000;
  await tryAgain();
  expect(asked).toBe(3);
  expect(readdirSync(home)).toEqual(["soneca-agent.mjs"]);
});

it("does not take one that did not work, nor one while it is on trial itself", async () => {
  writeFileSync(join(home, "bad-builds"), `${"0".repeat(64)}\n${order.build}\n`);
  const updater = make(() => new Response(next));
  updater.onAnswer({ update: order });
  rmSync(join(home, "bad-builds"));
  writeFileSync(join(home, "trial"), `${updater.build}\n`);
  updater.onAnswer({ update: order });
  await turn();
  expect(asked).toBe(0);
});

it("is confirmed by the third answer, and tells it until that has arrived", () => {
  const build = sha256Of("this agent");
  writeFileSync(join(home, "trial"), `${build}\n`);
  writeFileSync(join(home, "trial.starts"), "1\n");
  const updater = make(() => new Response(next));
  updater.onAnswer({});
  updater.onAnswer({});
  expect([has("trial"), updater.report()]).toEqual([true, undefined]);
  updater.onAnswer({});
  expect([has("trial"), has("trial.starts")]).toEqual([false, false]);
  const report = updater.report()!;
  expect(report).toMatchObject({ outcome: "updated", build, reason: null });
  updater.onAnswer({ updateKept: "another" });
  expect(updater.report()).toEqual(report);
  updater.onAnswer({ updateKept: report.id });
  expect(updater.report()).toBeUndefined();
});

it("tells of one that was taken back, once", () => {
  writeFileSync(join(home, "rolled-back"), `${order.build} did not report within 300 s\n`);
  const updater = make(() => new Response(next));
  const report = updater.report()!;
  expect(report).toMatchObject({ outcome: "rolled_back", build: order.build, reason: "did not report within 300 s" });
  updater.onAnswer({ updateKept: report.id });
  expect([updater.report(), has("rolled-back")]).toEqual([undefined, false]);
  expect(make(() => new Response(next)).report()).toBeUndefined();
});

it("is not there where no loop would start the next one", () => {
  expect(make(() => new Response(next), { env: {} })).toBeNull();
  rmSync(join(home, "soneca-agent.mjs"));
  expect(make(() => new Response(next))).toBeNull();
});
