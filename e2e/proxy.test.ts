/**
 * Real clients against a service behind the wake proxy, over each pipe: first while the instance sleeps, so that they wake it, then
 * while it is awake. Clients that wait as Retry-After says come after those that do not: by then it is known how long its wakes take.
 */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { EventSource } from "eventsource";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { sleep } from "../local-cloud/processes.ts";
import { freePort } from "../local-cloud/secrets.ts";
import { createTunnels } from "../worker/tunnel/tunnels.ts";
import { Instance, startTestCloud, type TestCloud, until } from "./testing/cloud.ts";

interface Standing {
  tunnels: { id: string; deletedAt: string | null; connections: number }[];
  records: { type: string; content: string }[];
}

const isSlow = Boolean(process.env.SONECA_SLOW);
const services = join(import.meta.dirname, "testing/services.ts");

describe.each(["direct", "relay", "tunnel"] as const)("over %s", (pipe) => {
  // How each client takes a wake says little of the pipe: over the others npm run test:slow looks at it.
  const hasWakes = pipe === "direct" || isSlow;
  const itOfWakes = it.runIf(hasWakes);
  const itOfTunnels = it.runIf(pipe === "tunnel");
  let test: TestCloud;
  let instance: Instance;
  let key: string;
  let base: string;
  let gitRoot: string;

  beforeAll(async () => {
    test = await startTestCloud({
      pipe,
      bootMs: 300,
      intervals: { search: 100, create: 50, list: 50, change: 50, destroy: 50 },
      timings: { endEveryMs: 300, goneAgainMs: 300, lookEveryMs: 300, wakeEveryMs: 0 },
    });
    gitRoot = makeGitRoot(test.base);
    const port = await freePort();
    instance = await Instance.create(test.cloud, {
      name: `served over ${pipe}`,
      gpu_type: "RTX 4090",
      auto_hibernation: {
        ...{ enabled: false, check_interval_seconds: 1, wake_method: "auto" },
        proxy: { port, wakes_per_hour: 60 },
        hooks: {
          after_wake: `setsid ${process.execPath} ${services} ${port} ${gitRoot} </dev/null >../service.log 2>&1 &`,
        },
      },
    });
    base = (await instance.untilState("running")).proxy.url;
    const made = await test.cloud.api<{ key: string }>("POST", `/api/instances/${instance.id}/proxy-keys`, {
      name: "app",
    });
    ({ key } = made.body);
    await fallAsleep();
  });
  afterAll(async () => {
    await test?.end();
  });

  const fallAsleep = async () => {
    await instance.post("hibernate");
    await instance.untilState("hibernated");
  };
  const get = (path: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
    fetch(base + path, { redirect: "manual", ...init, headers: { "x-soneca-key": key, ...init.headers } });
  const standing = async () => {
    const { tunnels, records } = await test.cloud.cloudflareLocal<Standing>("GET", "/local/state");
    return { tunnels: tunnels.filter((one) => one.deletedAt === null), records };
  };
  const wakes = async () => (await instance.events()).filter((one) => one.event_type === "woke_up").length;

  it("a hundred requests in one second to a sleeping instance make one machine, and each a truthful answer", async () => {
    const before = await wakes();
    const answers = await Promise.all(Array.from({ length: 100 }, () => get("v1/models")));
    for (const answer of answers) {
      expect(answer.status).toBe(503);
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(await answer.json()).toMatchObject({
        error: { code: "waking", type: "service_unavailable", param: null },
      });
    }
    await until("the service answers", async () => (await get("v1/models")).status === 200);
    expect(await instance.eventsUpTo("woke_up")).toBeTruthy();
    expect(await wakes()).toBe(before + 1);
    expect(await instance.machines()).toHaveLength(1);
    const asked = (await instance.events()).filter((one) => one.actor.startsWith("proxy:key:"));
    expect(asked.length).toBeGreaterThan(0);
  });

  itOfWakes("one that is patient is held, with its body, until the service listens", async () => {
    await fallAsleep();
    const answer = await get("echo", { method: "POST", body: "kept meanwhile", headers: { prefer: "wait=60" } });
    expect(answer.status, answer.ok ? "" : await answer.text()).toBe(200);
    expect(await answer.json()).toMatchObject({ method: "POST", url: "/echo", body: "kept meanwhile" });
  });

  it("an EventSource is told that it wakes, and hears every event once it is awake", async () => {
    if (hasWakes) await fallAsleep();
    const connect = () =>
      new EventSource(`${base}events?n=4&ms=200`, {
        fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, "x-soneca-key": key } }),
      });
    const seen: { id: string; lateMs: number }[] = [];
    const codes: (number | undefined)[] = [];
    await until("all events came", async () => {
      const source = connect();
      source.addEventListener("tick", (event) => {
        seen.push({ id: event.lastEventId, lateMs: Date.now() - Number(event.data) });
        if (seen.length === 4) source.close();
      });
      await new Promise<void>((resolve) => {
        source.addEventListener("error", (event) => {
          codes.push(event.code);
          source.close();
          resolve();
        });
        const watch = setInterval(() => {
          if (source.readyState !== 2) return;
          clearInterval(watch);
          resolve();
        }, 50);
      });
      return seen.length >= 4;
    });
    if (hasWakes) expect(codes[0]).toBe(503);
    expect(seen.map((one) => one.id)).toEqual(["1", "2", "3", "4"]);
    // As they were written, and not at the end.
    expect(Math.max(...seen.map((one) => one.lateMs))).toBeLessThan(190);
  });

  itOfWakes("events of the wake itself, until it is ready", async () => {
    await fallAsleep();
    // Events come each second: it is to be seen.
    await test.cloud.vastLocal("POST", "/local/faults", { name: "boot_slow", ms: 1_500, times: 1 });
    const answer = await get("v1/models", { headers: { accept: "text/event-stream" } });
    expect(answer.status).toBe(503);
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    const text = await answer.text();
    const phases = [...text.matchAll(/"phase":"(\w+)"/g)].map((match) => match[1]);
    expect(phases).toContain("booting");
    expect(text).toMatch(/event: ready\ndata: \{\}\n\n$/);
    await until("the service answers", async () => (await get("v1/models")).status === 200);
  });

  it("the openai SDK streams, awake and from asleep", async () => {
    // Its own tries are few and soon: the SDK honours Retry-After, and is allowed as many as it takes.
    const client = new OpenAI({ baseURL: `${base}v1`, apiKey: key, maxRetries: 50, timeout: 60_000 });
    const say = async (content: string) => {
      const messages = [{ role: "user" as const, content }];
      const stream = await client.chat.completions.create({ model: "tiny", messages, stream: true });
      const parts: string[] = [];
      for await (const part of stream) parts.push(part.choices[0]?.delta.content ?? "");
      return parts;
    };
    const awake = await say("good morning to all");
    expect(awake.join("")).toBe("You said: good morning to all");
    expect(awake.length).toBeGreaterThan(5);
    expect((await client.models.list()).data[0]!.id).toBe("tiny");
    if (hasWakes) await fallAsleep();
    expect((await say("wake up")).join("")).toBe("You said: wake up");
  });

  itOfWakes("curl with --retry waits as Retry-After says", async () => {
    await fallAsleep();
    const argv = [
      "--no-progress-meter",
      "-m",
      "100",
      "--retry",
      "40",
      "-H",
      `Authorization: Bearer ${key}`,
      `${base}v1/models`,
    ];
    const run = await runProgram("curl", argv);
    expect(run.stderr).toMatch(/Will retry in \d+ seconds?/i);
    expect(JSON.parse(run.stdout.slice(run.stdout.lastIndexOf('{"object"')))).toMatchObject({ object: "list" });
  });

  itOfWakes("git clones, from asleep and awake", async () => {
    await fallAsleep();
    const clone = (name: string) =>
      runProgram("git", [
        "-c",
        `http.extraHeader=X-Soneca-Key: ${key}`,
        "clone",
        "-q",
        `${base}git/repo.git`,
        join(test.base, name),
      ]);
    await until("git clones", async () => (await clone("asleep")).code === 0, { everyMs: 1_000 });
    expect(await clone("awake")).toMatchObject({ code: 0 });
    const log = spawnSync("git", ["-C", join(test.base, "awake"), "log", "--oneline"], { encoding: "utf8" });
    expect(log.stdout.trim().split("\n")).toHaveLength(3);
    // Basic with the key as password is what git and browsers know by themselves.
    const withPassword = `${base.replace("//", `//key:${key}@`)}git/repo.git`;
    expect((await runProgram("git", ["clone", "-q", withPassword, join(test.base, "password")])).code).toBe(0);
  });

  it("WebSockets: an echo of all sizes, a kernel's channels, close codes and subprotocols", async () => {
    const url = base.replace("http:", "ws:");
    const options = { headers: { "x-soneca-key": key } };
    const echo = new WebSocket(`${url}echo-socket`, ["one.two"], options);
    await once(echo, "open");
    expect(echo.protocol).toBe("one.two");
    for (const size of [0, 1, 70_000, 1_000_000]) {
      const data = Buffer.alloc(size, "ab");
      echo.send(data);
      const [back, isBinary] = await once(echo, "message");
      expect(isBinary).toBe(true);
      expect((back as Buffer).equals(data)).toBe(true);
    }
    echo.send("text");
    const [text, isBinary] = await once(echo, "message");
    expect([String(text), isBinary]).toEqual(["text", false]);
    // An open socket is use.
    await instance.until("traffic is seen", (view) =>
      view.signals.some((one) => one.name === "traffic" && one.state === "busy"),
    );
    echo.close(4001, "enough");
    const [code] = await once(echo, "close");
    expect(code).toBe(4001);

    const kernel = new WebSocket(`${url}api/kernels/k-1/channels?session_id=s`, options);
    await once(kernel, "open");
    const replies: { header: { msg_type: string }; content: { text?: string } }[] = [];
    kernel.on("message", (data) => replies.push(JSON.parse(String(data))));
    kernel.send(
      JSON.stringify({ header: { msg_id: "m", msg_type: "execute_request" }, content: { code: "print(1)" } }),
    );
    await until("the kernel is idle", () => replies.length === 4);
    expect(replies[1]).toMatchObject({ header: { msg_type: "stream" }, content: { text: "PRINT(1)" } });
    kernel.close();
  });

  itOfWakes("a WebSocket that comes while it sleeps wakes it", async () => {
    await fallAsleep();
    const url = base.replace("http:", "ws:");
    const open = async () => {
      const socket = new WebSocket(url, { headers: { "x-soneca-key": key } });
      const outcome = await once(socket, "open").then(() => "open", String);
      socket.terminate();
      return outcome;
    };
    expect(await open()).toContain("503");
    await until("it opens", async () => (await open()) === "open");
  });

  // The relay counts what it lends in flight, so it is the one that a long body can break.
  const megabytes = !isSlow ? 16 : pipe === "relay" ? 200 : 50;
  it(`${megabytes} MB up, from asleep, and down, with checksums`, async () => {
    const blocks = megabytes * 16;
    const block = (n: number) => Buffer.alloc(65_536, createHash("sha256").update(String(n)).digest());
    const up = createHash("sha256");
    async function* body() {
      for (let i = 0; i < blocks; i++) {
        const part = block(i);
        up.update(part);
        yield part;
      }
    }
    // It waits in the client until the machine is there and its service listens; the length is not told.
    await fallAsleep();
    const headers = { prefer: "wait=100" };
    const answer = await get("sum", { method: "POST", body: body(), duplex: "half", headers } as never);
    expect(await answer.json()).toEqual({ length: blocks * 65_536, sha256: up.digest("hex") });
    const down = await get(`bytes?mb=${megabytes}`);
    expect(down.headers.get("content-length")).toBe(String(megabytes * 1_000_000));
    const [got, wanted] = [createHash("sha256"), createHash("sha256")];
    let bytes = 0;
    for await (const part of down.body as unknown as AsyncIterable<Uint8Array>) {
      got.update(part);
      bytes += part.length;
    }
    for (let left = megabytes * 1_000_000, i = 0; left > 0; left -= 65_536, i++)
      wanted.update(left >= 65_536 ? block(i) : block(i).subarray(0, left));
    expect(bytes).toBe(megabytes * 1_000_000);
    expect(got.digest("hex")).toBe(wanted.digest("hex"));
  });

  it("200 requests side by side, each with its own answer", async () => {
    const answers = await Promise.all(
      Array.from({ length: 200 }, async (_, i) => {
        const answer = await get(`echo?i=${i}`, { method: "POST", body: `body ${i}` });
        const text = await answer.text();
        if (answer.status !== 200) return `${answer.status} ${text}`;
        const { url, body } = JSON.parse(text) as { url: string; body: string };
        return `${url} ${body}`;
      }),
    );
    expect(answers).toEqual(answers.map((_, i) => `/echo?i=${i} body ${i}`));
  });

  it("is invisible: method, path, query, headers, cookies, ranges, HEAD, encodings, redirects, errors of the service", async () => {
    const own = { authorization: "Bearer sk-of-the-service", cookie: "c=3", "accept-encoding": "identity" };
    const answer = (await (await get("echo?x=%20&y=1", { method: "PATCH", body: "{}", headers: own })).json()) as {
      method: string;
      url: string;
      headers: string[];
      body: string;
    };
    expect([answer.method, answer.url, answer.body]).toEqual(["PATCH", "/echo?x=%20&y=1", "{}"]);
    const sent = new Headers(
      answer.headers.flatMap((name, i, all) => (i % 2 ? [] : [[name, all[i + 1]!] as [string, string]])),
    );
    expect(sent.get("authorization")).toBe("Bearer sk-of-the-service");
    expect(sent.get("cookie")).toBe("c=3");
    expect(sent.get("host")).toBe(new URL(base).host);
    expect(sent.get("x-forwarded-prefix")).toBe(`/p/${instance.id}`);
    expect(sent.get("x-forwarded-for")).toMatch(/^(127\.0\.0\.1|::1)$/);
    expect([...sent.keys()].filter((name) => name.startsWith("x-soneca") || name.startsWith("cf-"))).toEqual([]);
    const mine = (await (await fetch(`${base}echo`, { headers: { authorization: `Bearer ${key}` } })).text()) ?? "";
    expect(mine).not.toContain(key);

    expect((await get("cookies")).headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2; HttpOnly"]);
    const part = await get("bytes?mb=1", { headers: { range: "bytes=100-199" } });
    expect([part.status, part.headers.get("content-range")]).toEqual([206, "bytes 100-199/1000000"]);
    expect((await part.arrayBuffer()).byteLength).toBe(100);
    const head = await get("bytes?mb=3", { method: "HEAD" });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, "3000000"]);
    const zipped = await runProgram("curl", [
      "-sS",
      "--raw",
      "-D-",
      "-H",
      `X-Soneca-Key: ${key}`,
      "-H",
      "Accept-Encoding: gzip",
      `${base}gzip`,
    ]);
    expect(zipped.stdout.toLowerCase()).toContain("content-encoding: gzip");
    expect(zipped.bytes.includes(gzipSync("compressed by the service"))).toBe(true);
    expect(await (await get("gzip")).text()).toBe("compressed by the service");
    const moved = await get("moved");
    expect([moved.status, moved.headers.get("location")]).toEqual([302, `/p/${instance.id}/echo?moved=1`]);
    const lost = await get("not-here");
    expect([lost.status, await lost.text()]).toEqual([404, "the service has nothing here\n"]);
    expect((await fetch(`${base}echo`)).status).toBe(401);
    expect((await fetch(base.slice(0, -1), { redirect: "manual" })).headers.get("location")).toBe(`/p/${instance.id}/`);
  });

  // The stand-in's edge keeps no connection, so that its own end comes before the upload's.
  it.runIf(pipe !== "tunnel")("an answer that comes before the upload is through is the answer", async () => {
    const file = join(test.base, "upload");
    writeFileSync(file, Buffer.alloc(20_000_000));
    // Slower than its way: curl looks for an answer only where a write waits, and gives up at one that fails.
    const argv = ["-sS", "-w", " %{http_code}", "-H", `X-Soneca-Key: ${key}`, "-H", "Expect:", "--limit-rate", "20M"];
    for (let i = 0; i < 5; i++) {
      const { stdout } = await runProgram("curl", [...argv, "--data-binary", `@${file}`, `${base}too-large`]);
      expect(stdout).toBe("too large 413");
    }
  });

  it("a GET with an empty body passes, and one with something in it is told that it cannot", async () => {
    const curl = async (...more: string[]) =>
      (await runProgram("curl", ["-sS", "-X", "GET", "-H", `X-Soneca-Key: ${key}`, ...more, `${base}echo`])).stdout;
    for (const header of ["content-length: 0", "transfer-encoding: chunked"]) {
      expect(JSON.parse(await curl("-H", header, "--data-binary", ""))).toMatchObject({ method: "GET", body: "" });
    }
    expect(JSON.parse(await curl("--data-binary", "{}"))).toMatchObject({ error: { code: "get_has_body" } });
  });

  it("whoever goes away is gone at the service, too", async () => {
    const abort = new AbortController();
    const answer = await get("events?n=1000&ms=50", { signal: abort.signal });
    await answer.body!.getReader().read();
    const openNow = async () => ((await (await get("open")).json()) as { open: number }).open;
    expect(await openNow()).toBeGreaterThan(0);
    abort.abort();
    await until("nothing is open", async () => (await openNow()) === 0, { withinMs: 5_000 });
  });

  itOfWakes("a click is felt by the agent within two seconds, at rest", async () => {
    await instance.cloud.api("PUT", `/api/instances/${instance.id}/config`, {
      auto_hibernation: { check_interval_seconds: 60 },
    });
    // The agent learns of its new pace with a beat of the old one.
    await sleep(2_500);
    const askedAt = Date.now();
    await instance.post("hibernate");
    await instance.untilState("hibernated", 30_000);
    const log = await instance.events();
    const taken = log.find((one) => one.event_type === "snapshot_taken" && Date.parse(one.timestamp) > askedAt);
    expect(Date.parse(taken!.timestamp) - askedAt).toBeLessThan(5_000);
  });

  itOfTunnels("the tunnel and its name are gone when the machine is", async () => {
    expect(await standing()).toMatchObject({ tunnels: [{ connections: 1 }], records: [{ type: "CNAME" }] });
    await fallAsleep();
    await until("nothing is left", async () => {
      const { tunnels, records } = await standing();
      return tunnels.length + records.length === 0;
    });
  });

  itOfTunnels("a tunnel that was left is ended by the sweep, and that of the machine stays", async () => {
    await until("the service answers", async () => (await get("v1/models")).status === 200);
    const [mine] = (await standing()).tunnels;
    const { port, ...account } = test.cloud.tunnels!;
    const settings = { ...account, apiUrl: `http://127.0.0.1:${port}/client/v4`, deployment: test.cloud.url };
    const tunnels = createTunnels({ ...settings, edgeUrl: null, access: null });
    expect(await tunnels.openTunnel({ instance: instance.id, epoch: 99, gatePort: 9 })).toMatchObject({ ok: true });
    // What is younger than ten minutes is left alone, so all of it is made older.
    await test.cloud.killProgram("cloudflare");
    const file = join(test.cloud.stateDir, "cloudflare.json");
    const ago = (at: string) => new Date(Date.parse(at) - 11 * 60_000).toISOString();
    const text = readFileSync(file, "utf8").replace(/(?<="(?:created|modified)At":")[^"]+/g, ago);
    writeFileSync(file, text);
    await test.cloud.startProgram("cloudflare");
    expect((await standing()).tunnels).toHaveLength(2);
    await test.cloud.runCron(["*/5 * * * *"]);
    expect(await standing()).toMatchObject({
      tunnels: [{ id: mine!.id }],
      records: [{ content: `${mine!.id}.cfargotunnel.com` }],
    });
    await until("the service answers", async () => (await get("v1/models")).status === 200);
  });
});

function makeGitRoot(base: string): string {
  const root = join(base, "git");
  const work = join(base, "git-work");
  mkdirSync(work, { recursive: true });
  const git = (...argv: string[]) => {
    const run = spawnSync("git", ["-C", work, "-c", "user.name=t", "-c", "user.email=t@example.com", ...argv], {
      encoding: "utf8",
    });
    if (run.status !== 0) throw new Error(run.stderr);
  };
  git("init", "-q", "-b", "main");
  for (let i = 0; i < 3; i++) {
    writeFileSync(join(work, `file-${i}.txt`), `line ${i}\n`.repeat(2_000));
    git("add", ".");
    git("commit", "-q", "-m", `commit ${i}`);
  }
  const clone = spawnSync("git", ["clone", "-q", "--bare", work, join(root, "repo.git")], { encoding: "utf8" });
  if (clone.status !== 0) throw new Error(clone.stderr);
  return root;
}

async function runProgram(program: string, argv: string[]) {
  const child = spawn(program, argv, { env: { ...process.env, GIT_TERMINAL_PROMPT: "0" } });
  let [stdout, stderr] = ["", ""];
  const parts: Buffer[] = [];
  child.stdout.on("data", (part) => {
    parts.push(part);
    stdout += part;
  });
  child.stderr.on("data", (part) => (stderr += part));
  const [code] = await once(child, "close");
  return { code: code as number, stdout, stderr, bytes: Buffer.concat(parts) };
}
