/**
 * What runs on the machine in the proxy's tests: `node services.ts PORT [GIT_ROOT]`. A small model server that speaks as OpenAI's does,
 * events, bytes, git over HTTP, a kernel's WebSocket. It knows nothing of the product.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { WebSocketServer } from "ws";

const [port = "8000", gitRoot = "/nowhere"] = process.argv.slice(2);
let open = 0;

const server = createServer((req, res) => {
  open++;
  res.once("close", () => open--);
  void answer(req, res).catch((error) => res.destroy(error));
});

async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const url = new URL(req.url ?? "/", "http://service");
  const number = (name: string, usual: number) => Number(url.searchParams.get(name) ?? usual);
  switch (url.pathname) {
    case "/v1/models":
      return json(res, { object: "list", data: [{ id: "tiny", object: "model" }] });
    case "/v1/chat/completions":
      return complete(req, res);
    case "/events":
      return events(res, number("n", 5), number("ms", 50));
    case "/bytes":
      return bytes(req, res, number("mb", 1));
    case "/sum": {
      const hash = createHash("sha256");
      let length = 0;
      for await (const part of req) {
        hash.update(part);
        length += part.length;
      }
      return json(res, { length, sha256: hash.digest("hex") });
    }
    case "/echo": {
      let body = "";
      for await (const part of req) body += part;
      return json(res, { method: req.method, url: req.url, headers: req.rawHeaders, body });
    }
    case "/too-large":
      res.writeHead(413, { connection: "close", "content-length": "9" });
      return void res.end("too large");
    case "/gzip":
      res.writeHead(200, { "content-encoding": "gzip", "content-type": "text/plain" });
      return void res.end(gzipSync("compressed by the service"));
    case "/cookies":
      res.writeHead(200, ["Set-Cookie", "a=1; Path=/", "Set-Cookie", "b=2; HttpOnly"]);
      return void res.end();
    case "/moved":
      return void res.writeHead(302, { location: "/echo?moved=1" }).end();
    case "/wait":
      await sleep(number("ms", 1000));
      return json(res, { waited: true });
    case "/open":
      return json(res, { open: open - 1 });
    default:
      if (url.pathname.startsWith("/git/")) return git(req, res, url);
      res.writeHead(404, { "content-type": "text/plain" });
      res.end("the service has nothing here\n");
  }
}

function json(res: ServerResponse, value: unknown): void {
  res.writeHead(200, { "content-type": "application/json" });
  res.end(JSON.stringify(value));
}

async function complete(req: IncomingMessage, res: ServerResponse): Promise<void> {
  let text = "";
  for await (const part of req) text += part;
  const { stream, messages } = JSON.parse(text) as { stream?: boolean; messages: { content: string }[] };
  const words = `You said: ${messages.at(-1)?.content}`.split(/(?= )/);
  const chunk = (delta: object, finish: string | null = null) => ({
    ...{ id: "c-1", object: "chat.completion.chunk", created: 1, model: "tiny" },
    choices: [{ index: 0, delta, finish_reason: finish }],
  });
  if (!stream) {
    const message = { role: "assistant", content: words.join("") };
    const choices = [{ index: 0, message, finish_reason: "stop" }];
    return json(res, { id: "c-1", object: "chat.completion", created: 1, model: "tiny", choices });
  }
  res.writeHead(200, { "content-type": "text/event-stream" });
  for (const word of words) {
    res.write(`data: ${JSON.stringify(chunk({ content: word }))}\n\n`);
    await sleep(20);
  }
  res.write(`data: ${JSON.stringify(chunk({}, "stop"))}\n\n`);
  res.end("data: [DONE]\n\n");
}

async function events(res: ServerResponse, count: number, everyMs: number): Promise<void> {
  res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  for (let i = 1; i <= count && !res.destroyed; i++) {
    res.write(`id: ${i}\nevent: tick\ndata: ${Date.now()}\n\n`);
    await sleep(everyMs);
  }
  res.end();
}

/** The same for everybody who asks for so many, and in one range as well. */
async function bytes(req: IncomingMessage, res: ServerResponse, mb: number): Promise<void> {
  const total = mb * 1_000_000;
  const range = /^bytes=(\d+)-(\d+)$/.exec(req.headers.range ?? "");
  const [from, to] = range ? [Number(range[1]), Number(range[2])] : [0, total - 1];
  const length = to - from + 1;
  const headers = { "content-length": String(length), "content-type": "application/octet-stream" };
  res.writeHead(range ? 206 : 200, range ? { ...headers, "content-range": `bytes ${from}-${to}/${total}` } : headers);
  if (req.method === "HEAD") return void res.end();
  for (let at = from; at <= to && !res.destroyed; ) {
    const size = Math.min(65_536 - (at % 65_536), to - at + 1);
    const block = blockAt(Math.floor(at / 65_536));
    const isRoom = res.write(block.subarray(at % 65_536, (at % 65_536) + size));
    at += size;
    if (!isRoom) await Promise.race([once(res, "drain"), once(res, "close")]);
  }
  res.end();
}

/** 64 KiB that differ from every other block. */
function blockAt(n: number): Buffer {
  const seed = createHash("sha256").update(String(n)).digest();
  return Buffer.alloc(65_536, seed);
}

function git(req: IncomingMessage, res: ServerResponse, url: URL): void {
  const child = spawn("git", ["http-backend"], {
    env: {
      ...process.env,
      GIT_PROJECT_ROOT: gitRoot,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: url.pathname.slice("/git".length),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: req.method ?? "GET",
      CONTENT_TYPE: req.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: req.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(req.headers["git-protocol"] ?? ""),
    },
  });
  req.pipe(child.stdin);
  let head = Buffer.alloc(0);
  child.stdout.on("data", function onHead(part: Buffer) {
    head = Buffer.concat([head, part]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    child.stdout.off("data", onHead);
    const lines = head.subarray(0, end).toString("latin1").split("\r\n");
    const pairs = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
    const status = pairs.find(([name]) => name === "Status")?.[1] ?? "200";
    res.writeHead(Number.parseInt(status, 10), pairs.filter(([name]) => name !== "Status").flat() as never);
    res.write(head.subarray(end + 4));
    child.stdout.pipe(res);
  });
}

const sockets = new WebSocketServer({ noServer: true, handleProtocols: (all) => [...all][0] ?? false });
server.on("upgrade", (req, socket, head) => {
  sockets.handleUpgrade(req, socket, head, (client) => {
    const isKernel = /^\/api\/kernels\/[^/]+\/channels/.test(req.url ?? "");
    client.on("message", (data, isBinary) => {
      if (!isKernel) return client.send(data, { binary: isBinary });
      for (const message of kernelReplies(JSON.parse(String(data)))) client.send(JSON.stringify(message));
    });
  });
});

interface KernelMessage {
  header: { msg_id: string; msg_type: string };
  content: { code: string };
}

/** As a kernel answers `execute_request`, on its channels. */
function kernelReplies(message: KernelMessage): object[] {
  const reply = (channel: string, type: string, content: object) => ({
    ...{ channel, header: { msg_type: type }, parent_header: message.header, content },
  });
  return [
    reply("iopub", "status", { execution_state: "busy" }),
    reply("iopub", "stream", { name: "stdout", text: message.content.code.toUpperCase() }),
    reply("shell", "execute_reply", { status: "ok" }),
    reply("iopub", "status", { execution_state: "idle" }),
  ];
}

server.listen(Number(port), "127.0.0.1");
