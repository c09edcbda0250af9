/** The promises of the platform that an instance's life depends on, each tried once. */
import type { SelfTestAnswer, SelfTestPart } from "../../core/protocol/self-test.ts";
import type { Env } from "../env.ts";

type Check = SelfTestAnswer["checks"][number];

const alarmDelayMs = 1_000;
/** A late alarm is a fault of the platform that the cron makes good; here it is said. */
const alarmPatienceMs = 20_000;
/** The least that R2 takes for a part that is not the last. */
const partBytes = 5 * 1024 * 1024;

export const selfTests: Record<SelfTestPart, (env: Env) => Promise<Check[]>> = {
  store: testStore,
  database: testDatabase,
  alarm: testAlarm,
  cpu: testCpu,
};

async function testStore(env: Env): Promise<Check[]> {
  const bucket = env.SNAPSHOTS;
  const prefix = `self-test/${crypto.randomUUID()}/`;
  const key = `${prefix}part`;
  const bytes = crypto.getRandomValues(new Uint8Array(1024));
  const sha256 = await sha256Hex(bytes);
  try {
    return [
      await check("a part is stored under its hash", async () => {
        const put = await bucket.put(key, bytes, { sha256 });
        return put?.size === bytes.length;
      }),
      await check("a part with another hash is refused", async () => {
        const wrong = "0".repeat(64);
        const error = await bucket.put(`${prefix}wrong`, bytes, { sha256: wrong }).catch((thrown: Error) => thrown);
        return error instanceof Error && error.message.includes("10037");
      }),
      await check("what is there is not written over", async () => {
        return (await bucket.put(key, new Uint8Array(1), { onlyIf: { etagDoesNotMatch: "*" } })) === null;
      }),
      await check("a list says size and hash of each", async () => {
        const [one] = (await bucket.list({ prefix })).objects;
        return one?.size === bytes.length && one.checksums.toJSON().sha256 === sha256;
      }),
      await check("a range is read", async () => {
        const part = await bucket.get(key, { range: { offset: 1000, length: 24 } });
        const read = new Uint8Array((await part?.arrayBuffer()) ?? new ArrayBuffer(0));
        return read.join() === bytes.slice(1000).join();
      }),
      await check("an upload in parts is put together", async () => {
        const upload = await bucket.createMultipartUpload(`${prefix}multipart`);
        const first = await upload.uploadPart(1, new Uint8Array(partBytes));
        const last = await upload.uploadPart(2, new Uint8Array(7));
        return (await upload.complete([first, last])).size === partBytes + 7;
      }),
    ];
  } finally {
    await bucket.delete([key, `${prefix}wrong`, `${prefix}multipart`]);
  }
}

async function testDatabase(env: Env): Promise<Check[]> {
  return [
    await check("the database answers, with its tables", async () => {
      const row = await env.DB.prepare("SELECT count(*) AS n FROM users").first<{ n: number }>();
      return row !== null && row.n >= 0;
    }),
  ];
}

async function testAlarm(env: Env): Promise<Check[]> {
  const object = env.SELF_TEST.getByName(crypto.randomUUID());
  let lateMs: number | null = null;
  const fired = await check("an alarm of a Durable Object fires", async () => {
    const armedAt = Date.now();
    await object.arm(alarmDelayMs);
    while (Date.now() - armedAt < alarmDelayMs + alarmPatienceMs) {
      await new Promise((done) => setTimeout(done, 250));
      const at = await object.firedAt();
      if (at === null) continue;
      lateMs = Math.max(0, at - armedAt - alarmDelayMs);
      return true;
    }
    return false;
  });
  const detail = lateMs === null ? fired.detail || `not within ${alarmPatienceMs / 1000} s` : `${lateMs} ms late`;
  return [{ ...fired, detail }];
}

/** More than the 10 ms of the free plan: there the platform ends the request instead of this answer. */
async function testCpu(): Promise<Check[]> {
  let hash = 0;
  for (let i = 0; i < 60_000_000; i++) hash = (Math.imul(hash, 31) + i) | 0;
  return [{ name: "a request may compute for longer than the free plan allows", ok: true, detail: `${hash}` }];
}

async function check(name: string, holds: () => Promise<boolean>): Promise<Check> {
  try {
    return { name, ok: await holds(), detail: "" };
  } catch (error) {
    return { name, ok: false, detail: String(error).slice(0, 300) };
  }
}

async function sha256Hex(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
