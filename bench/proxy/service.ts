/**
 * What is called in the proxy's bench, alone and through the proxy: `node service.ts PORT`. As a model's server it takes its time before it answers;
 * otherwise it does as little as it can.
 *
 *   /answer?ms=N             reads the body and answers with 1 kB of JSON, N ms after it was asked
 *   /events?ms=N&n=K&gap=G   the first event after N ms, then one each G ms
 *   /bytes?bytes=N[&pace=P]  so many bytes, at most P of them in a second
 *   /take                    reads the body and says how many bytes it had
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const block = Buffer.alloc(64 * 1024, "soneca ");
const answer = JSON.stringify({ id: "c-1", object: "chat.completion", text: "word ".repeat(190) });

const server = createServer((req, res) => {
  void serve(req, res).catch((error) => res.destroy(error));
});

async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(req.url ?? "/", "http://service");
  const number = (name: string, usual = 0) => Number(searchParams.get(name) ?? usual);
  switch (pathname) {
    case "/answer":
      await Promise.all([drain(req), wait(number("ms"))]);
      res.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(answer) });
      return void res.end(answer);
    case "/events":
      await wait(number("ms"));
      return events(res, number("n", 10), number("gap", 20));
    case "/bytes":
      return bytes(res, number("bytes"), number("pace"));
    case "/take":
      return void res.end(String(await drain(req)));
    default:
      return void res.writeHead(404).end();
  }
}

async function drain(req: IncomingMessage): Promise<number> {
  let length = 0;
  req.on("data", (part: Buffer) => {
    length += part.length;
  });
  await once(req, "end");
  return length;
}

async function wait(ms: number): Promise<void> {
  if (ms > 0) await sleep(ms);
}

async function events(res: ServerResponse, count: number, gapMs: number): Promise<void> {
  res.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const first = performance.now();
  for (let i = 0; i < count && !res.destroyed; i++) {
    // Each at its own moment: an event that was late does not move the others.
    await wait(first + i * gapMs - performance.now());
    res.write(`data: {"choices":[{"index":0,"delta":{"content":" word ${i}"}}]}\n\n`);
  }
  res.end();
}

async function bytes(res: ServerResponse, total: number, perSecond: number): Promise<void> {
  res.writeHead(200, { "content-type": "application/octet-stream", "content-length": total });
  const closed = once(res, "close");
  const first = performance.now();
  for (let at = 0; at < total && !res.destroyed; at += block.length) {
    if (perSecond > 0) await wait(first + (at / perSecond) * 1000 - performance.now());
    const isRoom = res.write(at + block.length <= total ? block : block.subarray(0, total - at));
    if (!isRoom) await Promise.race([once(res, "drain"), closed]);
  }
  res.end();
}

server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
