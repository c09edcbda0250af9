/** Whoever calls: the same code for every way, over connections that are kept. Times in ms, to the last byte unless said otherwise. */
import { once } from "node:events";
import { Agent, type IncomingMessage, type RequestOptions, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

/** One way to the service. */
export interface Way {
  name: string;
  /** Ends with a slash. */
  base: string;
  headers: Record<string, string>;
  agent: Agent;
}

export function createWay(name: string, base: string, headers: Record<string, string> = {}): Way {
  return { name, base, headers, agent: new Agent({ keepAlive: true }) };
}

const prompt = JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "word ".repeat(190) }] });

/** A prompt of 1 kB, and an answer of 1 kB that the service takes `serviceMs` for. */
export async function timeAnswer(way: Way, serviceMs: number): Promise<number> {
  const began = performance.now();
  const answer = await ask(way, `answer?ms=${serviceMs}`, { method: "POST", body: prompt });
  const length = await drain(answer);
  if (length < 900) throw new Error(`${way.name}: an answer of ${length} bytes`);
  return performance.now() - began;
}

/** `count` of them, `parallel` at a time. */
export async function timeAnswers(
  way: Way,
  { serviceMs, count, parallel }: { serviceMs: number; count: number; parallel: number },
): Promise<number[]> {
  const times: number[] = [];
  let left = count;
  const caller = async () => {
    while (left-- > 0) times.push(await timeAnswer(way, serviceMs));
  };
  await Promise.all(Array.from({ length: parallel }, caller));
  return times;
}

export interface EventTimes {
  firstMs: number;
  gapsMs: number[];
}

export async function timeEvents(
  way: Way,
  { serviceMs, count, gapMs }: { serviceMs: number; count: number; gapMs: number },
): Promise<EventTimes> {
  const began = performance.now();
  const answer = await ask(way, `events?ms=${serviceMs}&n=${count}&gap=${gapMs}`, { method: "POST", body: prompt });
  const at: number[] = [];
  answer.setEncoding("latin1");
  for await (const text of answer) {
    const now = performance.now();
    for (const _ of (text as string).matchAll(/data: /g)) at.push(now);
  }
  if (at.length !== count) throw new Error(`${way.name}: ${at.length} of ${count} events`);
  return { firstMs: at[0]! - began, gapsMs: at.slice(1).map((one, i) => one - at[i]!) };
}

/** Bytes per second; `pace`: at most so many, which the service keeps to. */
export async function measureDown(way: Way, bytes: number, pace: number): Promise<number> {
  const began = performance.now();
  const length = await drain(await ask(way, `bytes?bytes=${bytes}&pace=${pace}`, { method: "GET" }));
  if (length !== bytes) throw new Error(`${way.name}: ${length} of ${bytes} bytes came`);
  return (bytes / (performance.now() - began)) * 1000;
}

/** As above; here it is this side that keeps to the pace. */
export async function measureUp(way: Way, bytes: number, pace: number): Promise<number> {
  const began = performance.now();
  const answer = await ask(way, "take", { method: "POST", body: { bytes, pace } });
  let text = "";
  for await (const part of answer.setEncoding("latin1")) text += part;
  if (Number(text) !== bytes) throw new Error(`${way.name}: ${text} of ${bytes} bytes arrived`);
  return (bytes / (performance.now() - began)) * 1000;
}

const block = Buffer.alloc(64 * 1024, "soneca ");

async function ask(
  way: Way,
  path: string,
  { method, body }: { method: string; body?: string | { bytes: number; pace: number } },
): Promise<IncomingMessage> {
  const length = typeof body === "object" ? body.bytes : Buffer.byteLength(body ?? "");
  const options: RequestOptions = {
    method,
    agent: way.agent,
    headers: { ...way.headers, ...(body !== undefined && { "content-length": length }) },
  };
  const sent = request(way.base + path, options);
  const answered = once(sent, "response") as Promise<[IncomingMessage]>;
  if (typeof body === "object") {
    // Awaited below, where its failure is seen.
    answered.catch(() => undefined);
    const first = performance.now();
    for (let at = 0; at < length && !sent.destroyed; at += block.length) {
      const early = body.pace > 0 ? first + (at / body.pace) * 1000 - performance.now() : 0;
      if (early > 0) await sleep(early);
      const isRoom = sent.write(at + block.length <= length ? block : block.subarray(0, length - at));
      if (!isRoom) await Promise.race([once(sent, "drain"), answered]);
    }
    sent.end();
  } else sent.end(body);
  const [answer] = await answered;
  if (answer.statusCode === 200) return answer;
  throw new Error(`${way.name}: ${path} was answered with ${answer.statusCode}`);
}

async function drain(answer: IncomingMessage): Promise<number> {
  let length = 0;
  answer.on("data", (part: Buffer) => {
    length += part.length;
  });
  await once(answer, "end");
  return length;
}
