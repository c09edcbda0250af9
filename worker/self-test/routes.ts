/** The routes of the self-test; all of them for the admin token alone. */
import { AppError } from "../../core/protocol/errors.ts";
import { maxSelfTestBytes, selfTestEvents, selfTestPaths } from "../../core/protocol/self-test.ts";
import { authenticate } from "../http/auth.ts";
import type { App, AppContext } from "../http/context.ts";
import { mount } from "../http/mount.ts";
import { selfTests } from "./checks.ts";

export function mountSelfTest(app: App): void {
  mount(app, "selfTest", async (c, { body: { part } }) => ({ part, checks: await selfTests[part](c.env) }));
  app.put(selfTestPaths.body, storeBody);
  app.get(selfTestPaths.stream, stream);
  app.get(selfTestPaths.socket, socket);
}

/** As a part of a snapshot is taken: with its length known, and hashed by the store. */
async function storeBody(c: AppContext): Promise<Response> {
  await authenticate(c, { principal: "admin" });
  const length = c.req.header("content-length");
  if (length === undefined || !/^\d+$/.test(length)) throw new AppError("length_required");
  if (Number(length) > maxSelfTestBytes) throw new AppError("payload_too_large", { limit_bytes: maxSelfTestBytes });
  const key = `self-test/${crypto.randomUUID()}/body`;
  try {
    const put = await c.env.SNAPSHOTS.put(key, c.req.raw.body);
    return c.json({ bytes: put?.size ?? 0 });
  } finally {
    await c.env.SNAPSHOTS.delete(key);
  }
}

async function stream(c: AppContext): Promise<Response> {
  await authenticate(c, { principal: "admin" });
  const { count, everyMs } = selfTestEvents;
  const encoder = new TextEncoder();
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (sent > 0) await new Promise((done) => setTimeout(done, everyMs));
      sent++;
      controller.enqueue(encoder.encode(`event: tick\ndata: ${sent}\n\n`));
      if (sent === count) controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } });
}

async function socket(c: AppContext): Promise<Response> {
  await authenticate(c, { principal: "admin" });
  if (c.req.header("upgrade")?.toLowerCase() !== "websocket") throw new AppError("upgrade_required");
  return c.env.SELF_TEST.getByName("socket").fetch(new Request(c.req.url, { headers: { upgrade: "websocket" } }));
}
