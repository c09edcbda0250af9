/** The relay's object: requests of the proxy over an agent's socket. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { gateHeaders } from "../../core/protocol/gate.ts";
import { type InstanceId, newInstanceId } from "../../core/protocol/ids.ts";
import { frameBytes, relayEpochHeader, relayPath, relaySubprotocol } from "../../core/protocol/relay.ts";
import { firstWindowBytes, maxWindowBytes } from "../../core/protocol/relay-flow.ts";
import { relayPipe } from "../proxy/relay-pipe.ts";
import type { RelayObject } from "../relay/object.ts";
import { signAgentToken } from "../tokens.ts";
import { newUser, realWait, runningInstance, type Sleeper, send, startClock, until } from "./helpers.ts";
import { type AgentStream, RelayAgent } from "./relay-agent.ts";
import { FakeVast } from "./vast.ts";

let id: string;
let agent: RelayAgent;

beforeEach(async () => {
  id = newInstanceId(crypto.getRandomValues(new Uint8Array(10)));
  agent = new RelayAgent();
  expect(await agent.connect(id, 1)).toBe(101);
});

const relay = () => env.RELAY.getByName(id);
const ask = (path: string, init?: RequestInit) => relay().fetch(new Request(`http://machine${path}`, init));
/** Patient: twenty megabytes take their time on a busy machine. */
async function seen<T>(what: string, look: () => T | undefined | null | false): Promise<T> {
  for (let i = 0; i < 5_000; i++) {
    const found = look();
    if (found) return found;
    await realWait(4);
  }
  throw new Error(`never happened: ${what}`);
}
const pipeErrorOf = (response: Response) => response.headers.get(gateHeaders.pipe);
const filled = (bytes: number) => {
  const all = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += frameBytes)
    crypto.getRandomValues(all.subarray(at, Math.min(bytes, at + frameBytes)));
  return all;
};
const sha256 = async (bytes: Uint8Array<ArrayBuffer>) =>
  Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))).join();

describe("requests", () => {
  it("arrive with method, path, query and headers, and their answers with theirs", async () => {
    agent.onOpen = (stream) => {
      stream.answer(201, [
        ["x-one", "1"],
        ["set-cookie", "a=1; Path=/"],
        ["set-cookie", "b=2"],
        ["content-type", "text/plain"],
        ["connection", "x-hop"],
        ["x-hop", "dropped"],
      ]);
      stream.push("hello ").push("world").end();
    };
    const response = await ask("/a/b?c=d%20e", { headers: { "x-two": "2", cookie: "k=v", [gateHeaders.token]: "t" } });
    expect(response.status).toBe(201);
    expect(response.headers.getSetCookie()).toEqual(["a=1; Path=/", "b=2"]);
    expect(response.headers.get("x-one")).toBe("1");
    expect(response.headers.has("x-hop")).toBe(false);
    expect(await response.text()).toBe("hello world");
    const { head } = agent.streams[0]!;
    expect(head).toMatchObject({ method: "GET", path: "/a/b?c=d%20e", hasBody: false, isUpgrade: false });
    expect(Object.fromEntries(head.headers)).toMatchObject({ "x-two": "2", cookie: "k=v", [gateHeaders.token]: "t" });
  });

  it("without a body in the answer are whole: HEAD, 204, 304", async () => {
    agent.onOpen = (stream) => {
      const status = stream.head.path === "/head" ? 200 : Number(stream.head.path.slice(1));
      stream
        .answer(
          status,
          status === 204
            ? []
            : [
                ["content-length", "1234"],
                ["etag", '"x"'],
              ],
        )
        .end();
    };
    const head = await ask("/head", { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "1234", ""]);
    expect((await ask("/204")).status).toBe(204);
    const unchanged = await ask("/304");
    expect([unchanged.status, unchanged.headers.get("etag"), unchanged.body]).toEqual([304, '"x"', null]);
    await noStreams();
  });

  it("keep ranges, lengths and encodings as they are", async () => {
    const gzip = new Uint8Array(
      await new Response(
        new Response("x".repeat(5_000)).body!.pipeThrough(new CompressionStream("gzip")),
      ).arrayBuffer(),
    );
    agent.onOpen = (stream) => {
      if (stream.head.path === "/gzip") {
        stream
          .answer(200, [
            ["content-encoding", "gzip"],
            ["content-length", String(gzip.length)],
          ])
          .push(gzip)
          .end();
      } else {
        stream
          .answer(206, [
            ["content-range", "bytes 2-4/10"],
            ["content-length", "3"],
          ])
          .push("234")
          .end();
      }
    };
    const part = await ask("/part", { headers: { range: "bytes=2-4" } });
    expect([
      part.status,
      part.headers.get("content-range"),
      part.headers.get("content-length"),
      await part.text(),
    ]).toEqual([206, "bytes 2-4/10", "3", "234"]);
    expect(agent.streams[0]!.head.headers).toContainEqual(["range", "bytes=2-4"]);
    const encoded = await ask("/gzip");
    expect(encoded.headers.get("content-encoding")).toBe("gzip");
    expect(encoded.headers.get("content-length")).toBe(String(gzip.length));
    // This client decodes; what went through is what was sent, or it could not.
    expect(await encoded.text()).toBe("x".repeat(5_000));
  });

  it("carry 20 MB each way, checked", async () => {
    const bytes = filled(20_000_000);
    const got: Uint8Array[] = [];
    agent.onOpen = (stream) => {
      if (stream.head.method === "POST") return;
      stream.answer(200, []).push(bytes).end();
    };
    const down = new Uint8Array(await (await ask("/down")).arrayBuffer());
    expect(await sha256(down)).toBe(await sha256(bytes));
    const up = ask("/up", { method: "POST", body: new Response(bytes).body, headers: { "x-kind": "chunked" } });
    const stream = await seen("the upload is here", () => agent.streams[1]);
    await seen("its end", () => stream.saw("end"));
    for (const frame of stream.received) if (frame.type === "data") got.push(frame.bytes);
    stream.answer(200).push("thanks").end();
    expect(await (await up).text()).toBe("thanks");
    expect(await sha256(new Uint8Array(await new Blob(got).arrayBuffer()))).toBe(await sha256(bytes));
    await noStreams();
  });

  it("give events as they come", async () => {
    const response = ask("/events");
    const stream = await seen("the request", () => agent.streams[0]);
    stream.answer(200, [["content-type", "text/event-stream"]]).push("data: 1\n\n");
    const reader = (await response).body!.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("data: 1\n\n");
    const next = reader.read();
    await realWait(30);
    stream.push("data: 2\n\n");
    expect(new TextDecoder().decode((await next).value)).toBe("data: 2\n\n");
    stream.end();
    expect((await reader.read()).done).toBe(true);
  });

  it("go side by side, 200 of them, and no more than 256", async () => {
    agent.onOpen = (stream) => {
      if (stream.head.path.startsWith("/wait")) return;
      stream.answer(200).push(stream.head.path).end();
    };
    const paths = Array.from({ length: 200 }, (_, i) => `/${i}`);
    const texts = await Promise.all(paths.map(async (path) => (await ask(path)).text()));
    expect(texts).toEqual(paths);
    const waiting = Array.from({ length: 256 }, (_, i) => ask(`/wait${i}`));
    await seen("all wait", () => agent.streams.length === 456);
    const refused = await ask("/one-more");
    expect([refused.status, pipeErrorOf(refused)]).toEqual([503, "full"]);
    expect(await refused.text()).toContain("256 requests");
    for (const stream of agent.streams.slice(200)) stream.answer(200).end();
    for (const response of waiting) expect((await response).status).toBe(200);
    await noStreams();
  });

  it("with a head that is too long are refused before the machine hears of them", async () => {
    const response = await ask("/", { headers: { "x-long": "x".repeat(70_000) } });
    expect(response.status).toBe(431);
    expect(agent.streams).toHaveLength(0);
    await noStreams();
  });
});

describe("windows", () => {
  it("hold back an answer that nobody reads, and no other", async () => {
    agent.onOpen = (stream) => void stream.answer(200).push(filled(6_000_000)).end();
    const slow = await ask("/slow");
    await realWait(50);
    expect(agent.sentBytes).toBeLessThan(firstWindowBytes + 200_000);
    const others = await Promise.all([1, 2, 3].map(async () => (await (await ask("/quick")).arrayBuffer()).byteLength));
    expect(others).toEqual([6_000_000, 6_000_000, 6_000_000]);
    const [first] = agent.streams;
    expect(first!.lane.bytes).toBeGreaterThan(6_000_000 - firstWindowBytes - 200_000);
    expect((await slow.arrayBuffer()).byteLength).toBe(6_000_000);
  });

  it("hold back a request's body that the service does not take", async () => {
    agent.onOpen = (stream) => {
      stream.isTaking = false;
    };
    let pulled = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += frameBytes;
        if (pulled > 100 * frameBytes) controller.close();
        else controller.enqueue(new Uint8Array(frameBytes));
      },
    });
    const response = ask("/up", { method: "POST", body });
    const stream = await seen(
      "the window is full",
      () => agent.streams[0]?.bytes === firstWindowBytes && agent.streams[0],
    );
    await realWait(50);
    expect(stream.bytes).toBe(firstWindowBytes);
    expect(pulled).toBeLessThan(firstWindowBytes + 12 * frameBytes);
    stream.answer(413).push("enough").end();
    const answer = await response;
    expect([answer.status, await answer.text()]).toEqual([413, "enough"]);
    await seen("the agent is told that the rest will not come", () => stream.saw("reset"));
    await noStreams();
  });

  it("that are overrun end the stream alone", async () => {
    agent.onOpen = (stream) => {
      if (stream.head.path !== "/bad") return void stream.answer(200).push("fine").end();
      stream.lane.credit.add(maxWindowBytes);
      stream.answer(200).push(filled(4_000_000));
    };
    const bad = await ask("/bad");
    await seen("a reset", () => agent.streams[0]!.saw("reset"));
    await expect(bad.arrayBuffer()).rejects.toThrow();
    expect(await (await ask("/good")).text()).toBe("fine");
  });
});

describe("ends", () => {
  it("a client that goes away is told to the agent, before and within the answer", async () => {
    const early = new AbortController();
    const never = ask("/early", { signal: early.signal }).catch(() => "gone");
    const first = await seen("the request", () => agent.streams[0]);
    early.abort();
    await seen("a reset", () => first.saw("reset"));
    expect(await never).toBe("gone");

    const response = ask("/late");
    const second = await seen("the request", () => agent.streams[1]);
    second.answer(200, [["content-type", "text/event-stream"]]).push("data: 1\n\n");
    await (await response).body!.cancel();
    await seen("a reset", () => second.saw("reset"));
    await noStreams();
  });

  it("a service that breaks off is an error of the pipe before the answer, and of the body within it", async () => {
    agent.onOpen = (stream) => {
      if (stream.head.path === "/late") stream.answer(200).push("half");
      const code = stream.head.path === "/no-gate" ? "no_gate" : "broke";
      const reset = () => agent.send({ type: "reset", stream: stream.number, code, message: "why" });
      if (stream.head.path === "/late") setTimeout(reset, 30);
      else reset();
    };
    const broke = await ask("/early");
    expect([broke.status, pipeErrorOf(broke), await broke.text()]).toEqual([503, "broken", "why"]);
    expect(pipeErrorOf(await ask("/no-gate"))).toBe("closed");
    await expect((await ask("/late")).text()).rejects.toThrow();
    await noStreams();
  });

  it("a body that is shorter than its length is no whole body", async () => {
    agent.onOpen = (stream) =>
      void stream
        .answer(200, [["content-length", "10"]])
        .push("1234")
        .end();
    await expect((await ask("/")).text()).rejects.toThrow();
    await noStreams();
  });

  it("a lost socket ends all that is under way", async () => {
    agent.onOpen = (stream) => void (stream.head.path === "/late" && stream.answer(200).push("half"));
    const early = ask("/early");
    const late = await ask("/late");
    await seen("both", () => agent.streams.length === 2);
    agent.close(1000);
    const answer = await early;
    expect([answer.status, pipeErrorOf(answer)]).toEqual([503, "broken"]);
    await expect(late.text()).rejects.toThrow();
    expect(pipeErrorOf(await ask("/after"))).toBe("closed");
  });

  it("a socket that is silent while a request waits is asked, and given up", async () => {
    await runInDurableObject<RelayObject, void>(relay(), (object) => {
      object.quietMs = 60;
    });
    const slow = ask("/slow");
    const stream = await seen("the request", () => agent.streams[0]);
    await realWait(400);
    stream.answer(200).push("late").end();
    expect(await (await slow).text()).toBe("late");
    expect(agent.strays.filter((frame) => frame.type === "ping").length).toBeGreaterThan(1);
    agent.answersPings = false;
    const lost = await ask("/lost");
    expect([lost.status, pipeErrorOf(lost)]).toEqual([503, "broken"]);
    await seen("the socket is closed", () => agent.closed.some(({ code }) => code === 4003));
  });

  it("a damaged frame closes the socket", async () => {
    const lost = ask("/");
    await seen("the request", () => agent.streams[0]);
    agent.sendBytes(new Uint8Array([99, 0, 0, 0, 1]));
    expect(pipeErrorOf(await lost)).toBe("broken");
    await seen("the close", () => agent.closed.some(({ code }) => code === 1002));
  });
});

describe("WebSockets", () => {
  async function open(
    path: string,
    headers: Record<string, string> = {},
  ): Promise<{ socket: WebSocket; response: Response }> {
    const response = await ask(path, { headers: { upgrade: "websocket", ...headers } });
    const socket = response.webSocket!;
    socket.binaryType = "arraybuffer";
    socket.accept();
    return { socket, response };
  }
  const events = (socket: WebSocket) => {
    const messages: (string | ArrayBuffer)[] = [];
    const closes: { code: number; reason: string }[] = [];
    socket.addEventListener("message", ({ data }) => void messages.push(data as string | ArrayBuffer));
    socket.addEventListener("close", ({ code, reason }) => void closes.push({ code, reason }));
    return { messages, closes };
  };
  const echo = (stream: AgentStream) => {
    stream.answer(101, [["sec-websocket-protocol", "two"]]);
    stream.onMessage = (type, bytes) => void stream.message(type, bytes);
  };

  it("echo text, binary and a message of a megabyte, with their subprotocol", async () => {
    agent.onOpen = echo;
    const { socket, response } = await open("/ws?x=1", { "sec-websocket-protocol": "one, two" });
    expect(response.status).toBe(101);
    expect(response.headers.get("sec-websocket-protocol")).toBe("two");
    const { head } = agent.streams[0]!;
    expect(head).toMatchObject({ path: "/ws?x=1", isUpgrade: true, hasBody: false });
    expect(head.headers).toContainEqual(["sec-websocket-protocol", "one, two"]);
    const { messages } = events(socket);
    const big = filled(1_048_576);
    socket.send("olá ✓");
    socket.send(new Uint8Array([1, 2, 3]));
    socket.send(big);
    socket.send("");
    await seen("four messages", () => messages.length === 4);
    expect(messages[0]).toBe("olá ✓");
    expect([...new Uint8Array(messages[1] as ArrayBuffer)]).toEqual([1, 2, 3]);
    expect(await sha256(new Uint8Array(messages[2] as ArrayBuffer))).toBe(await sha256(big));
    expect(messages[3]).toBe("");
  });

  it("pass close codes both ways, after what was sent before", async () => {
    agent.onOpen = echo;
    const mine = await open("/mine");
    mine.socket.send("last words");
    mine.socket.close(4_123, "enough");
    const close = await seen("the close", () => agent.streams[0]!.saw("close"));
    expect(close).toMatchObject({ code: 4_123, reason: "enough" });
    expect(agent.streams[0]!.saw("text")).toBeDefined();
    const theirs = await open("/theirs");
    const { messages, closes } = events(theirs.socket);
    agent.streams[1]!.message("text", new TextEncoder().encode("bye")).close(4_321, "done");
    await seen("the close", () => closes[0]);
    expect(messages).toEqual(["bye"]);
    expect(closes[0]).toEqual({ code: 4_321, reason: "done" });
    await noStreams();
  });

  it("of clients that are gone end, though the machine takes nothing of what they sent", async () => {
    await runInDurableObject<RelayObject, void>(relay(), (object) => {
      object.leaveMs = 200;
    });
    agent.onOpen = (stream) => {
      stream.isTaking = false;
      stream.answer(101);
    };
    const { socket } = await open("/stuck");
    for (let i = 0; i < 8; i++) socket.send(new Uint8Array(100_000));
    const stuck = agent.streams[0]!;
    await seen("the first of it", () => stuck.bytes > 0);
    socket.close(1001, "gone");
    await realWait(50);
    expect(stuck.saw("reset")).toBeUndefined();
    expect(await seen("a reset", () => stuck.saw("reset"))).toMatchObject({ code: "cancelled" });
    expect(stuck.saw("close")).toBeUndefined();
    await noStreams();
  });

  it("of clients that are gone end properly where the machine is slow and goes on", async () => {
    await runInDurableObject<RelayObject, void>(relay(), (object) => {
      object.leaveMs = 300;
    });
    agent.onOpen = (stream) => {
      stream.isTaking = false;
      stream.answer(101);
    };
    const { socket } = await open("/slow");
    for (let i = 0; i < 16; i++) socket.send(new Uint8Array(100_000));
    socket.close(1001, "gone");
    const slow = await seen("the request", () => agent.streams[0]);
    for (let i = 0; i < 20 && !slow.saw("close"); i++) {
      await realWait(150);
      slow.takeAll();
    }
    expect(await seen("the close", () => slow.saw("close"))).toMatchObject({ code: 1001, reason: "gone" });
    expect(slow.saw("reset")).toBeUndefined();
    await noStreams();
  });

  it("of more messages than the machine takes, or than fit here, are closed", async () => {
    agent.onOpen = (stream) => {
      stream.isTaking = false;
      stream.answer(101);
    };
    const fast = await open("/fast");
    const { closes } = events(fast.socket);
    for (let i = 0; i < 4; i++) fast.socket.send(new Uint8Array(9_000_000));
    await seen("the close", () => closes[0]);
    expect(closes[0]).toMatchObject({ code: 1013 });
    await seen("the agent hears of it", () => agent.streams[0]!.saw("close"));

    agent.onOpen = (stream) => void stream.answer(101);
    const both = [await open("/a"), await open("/b")].map(({ socket }) => events(socket));
    for (const stream of agent.streams.slice(1)) {
      for (let i = 0; i < 330; i++) {
        agent.send({ type: "binary", stream: stream.number, isFinal: false, bytes: new Uint8Array(frameBytes) });
        if (i % 2 === 1) await realWait(0);
      }
    }
    await seen("one is closed", () => both.some((one) => one.closes.some(({ code }) => code === 1013)));
    for (const stream of agent.streams) if (!stream.saw("close")) stream.close(1000, "");
    await noStreams();
  });

  it("that the service refuses are its plain answer", async () => {
    agent.onOpen = (stream) =>
      void stream
        .answer(404, [["x-why", "none"]])
        .push("no socket here")
        .end();
    const response = await ask("/ws", { headers: { upgrade: "websocket" } });
    expect([response.status, response.headers.get("x-why"), await response.text()]).toEqual([
      404,
      "none",
      "no socket here",
    ]);
    await noStreams();
  });

  it("are closed when the machine's side is lost", async () => {
    agent.onOpen = echo;
    const { closes } = events((await open("/a")).socket);
    const other = events((await open("/b")).socket);
    agent.send({ type: "reset", stream: agent.streams[0]!.number, code: "broke", message: "the service broke off" });
    await seen("the close", () => closes[0]);
    expect(closes[0]).toMatchObject({ code: 1011 });
    agent.close(1000);
    await seen("the close", () => other.closes[0]);
    expect(other.closes[0]).toMatchObject({ code: 1011 });
  });
});

describe("the agent's socket", () => {
  it("is replaced by one of the same or a newer epoch, and an older one is refused", async () => {
    const lost = ask("/");
    await seen("the request", () => agent.streams[0]);
    const again = new RelayAgent();
    expect(await again.connect(id, 1)).toBe(101);
    const answer = await lost;
    expect([pipeErrorOf(answer), await answer.text()]).toEqual(["broken", "replaced"]);
    await seen("replaced", () => agent.closed.some(({ code }) => code === 4001));
    const newer = new RelayAgent();
    expect(await newer.connect(id, 3)).toBe(101);
    await seen("replaced", () => again.closed.some(({ code }) => code === 4001));
    expect(await new RelayAgent().connect(id, 2)).toBe(403);
    newer.onOpen = (stream) => void stream.answer(200).push("newest").end();
    expect(await (await ask("/")).text()).toBe("newest");
    newer.close();
    await evictDurableObject(relay());
    expect(await new RelayAgent().connect(id, 2)).toBe(403);
  });

  it("outlives the object's sleep; what was under way is lost, and the agent is told", async () => {
    agent.onOpen = (stream) => void stream.answer(200).push("first").end();
    expect(await (await ask("/")).text()).toBe("first");
    await evictDurableObject(relay(), { webSockets: "hibernate" });
    agent.onOpen = (stream) => void stream.answer(200).push("second").end();
    expect(await (await ask("/")).text()).toBe("second");
    expect(agent.strays).toContainEqual(expect.objectContaining({ type: "reset", stream: 0, code: "unknown" }));
    const [first, second] = agent.streams;
    // A frame of the earlier life.
    agent.send({ type: "data", stream: first!.number, bytes: new Uint8Array([1]) });
    await seen("it is disowned", () => first!.saw("reset"));
    expect(second!.saw("reset")).toBeUndefined();
  });

  it("is closed when the machine goes", async () => {
    await relay().shut(0);
    expect(agent.closed).toEqual([]);
    await relay().shut(1);
    await seen("the close", () => agent.closed.some(({ code }) => code === 4002));
    expect(pipeErrorOf(await ask("/"))).toBe("closed");
  });

  it("needs the right words", async () => {
    expect(await new RelayAgent().connect(id, 0)).toBe(400);
    expect(await new RelayAgent().connect(id, 5, { "sec-websocket-protocol": "soneca-relay.99" })).toBe(426);
    expect(agent.closed).toEqual([]);
  });
});

describe("the route", () => {
  const vast = new FakeVast();
  let nest: Sleeper;
  const upgrade = (token: string) =>
    send("GET", relayPath, {
      token,
      headers: { upgrade: "websocket", "sec-websocket-protocol": relaySubprotocol, [relayEpochHeader]: "99" },
    });

  beforeAll(async () => {
    startClock();
    vast.install();
    ({ nest } = await runningInstance(vast, await newUser()));
  });

  afterAll(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it("opens the socket of the machine that the token names, in its epoch", async () => {
    const response = await upgrade(nest.agent().token);
    expect(response.status).toBe(101);
    expect(response.headers.get("sec-websocket-protocol")).toBe(relaySubprotocol);
    const machine = new RelayAgent();
    machine.adopt(response.webSocket!);
    machine.onOpen = (stream) => void stream.answer(200).push("from the machine").end();
    const relay = env.RELAY.getByName(nest.id);
    expect(await (await relay.fetch("http://machine/")).text()).toBe("from the machine");
    expect(await runInDurableObject(relay, (_, { storage }) => storage.kv.get("epoch"))).toBe(1);
  });

  it("wants the token of an agent, and an upgrade", async () => {
    expect((await upgrade("snu_somebody")).status).toBe(403);
    const stranger = await signAgentToken(env.AGENT_JWT_SECRET, "i-abcdefghij" as InstanceId, 1, Date.now());
    expect((await upgrade(stranger)).status).toBe(404);
    const old = await signAgentToken(env.AGENT_JWT_SECRET, nest.id, 7, Date.now());
    expect((await upgrade(old)).status).toBe(403);
    expect((await send("GET", relayPath, { token: nest.agent().token })).status).toBe(400);
  });
});

describe("the pipe", () => {
  it("gives answers, and errors as values", async () => {
    const pipe = relayPipe(relay());
    agent.onOpen = (stream) => {
      if (stream.head.path === "/503")
        stream
          .answer(503, [["x-of", "the service"]])
          .push("busy")
          .end();
      else agent.send({ type: "reset", stream: stream.number, code: "broke", message: "why" });
    };
    const answer = await pipe.fetch(new Request("http://machine/503"));
    expect(answer.ok && answer.response.status).toBe(503);
    expect(await pipe.fetch(new Request("http://machine/"))).toEqual({ ok: false, code: "broken", message: "why" });
    const none = relayPipe(env.RELAY.getByName("i-nobody"));
    expect(await none.fetch(new Request("http://machine/"))).toMatchObject({ ok: false, code: "closed" });
    const thrown = relayPipe({ fetch: () => Promise.reject(new Error("overloaded")) });
    expect(await thrown.fetch(new Request("http://machine/"))).toEqual({
      ok: false,
      code: "broken",
      message: "overloaded",
    });
  });

  it("never lets a client pass for the machine", async () => {
    agent.onOpen = (stream) => void stream.answer(200).push("a plain request").end();
    const forged = new Request("http://machine/", {
      headers: { upgrade: "websocket", [relayEpochHeader]: "99", "sec-websocket-protocol": relaySubprotocol },
    });
    const reached = await relayPipe(relay()).fetch(forged);
    expect(reached.ok && (await reached.response.text())).toBe("a plain request");
    expect(agent.streams[0]!.head.headers.map(([name]) => name)).not.toContain(relayEpochHeader);
    expect(agent.closed).toEqual([]);
  });
});

/** Nothing is left in the object of what was under way. */
async function noStreams(): Promise<void> {
  await until("no streams are left", () =>
    runInDurableObject<RelayObject, boolean>(relay(), (object) => object.streams === 0),
  );
}
