/** Composition root: fetch, scheduled, the Durable Object classes. */
import { runCron } from "./cron.ts";
import type { Env } from "./env.ts";
import { createApp } from "./http/app.ts";
import { prepareLog } from "./log.ts";
import { serveService, serviceAddressOf } from "./proxy/serve.ts";

export { AccountObject } from "./account/object.ts";
export { InstanceObject } from "./instance/object.ts";
export { NoticesObject } from "./notices/object.ts";
export { RelayObject } from "./relay/object.ts";
export { SelfTestObject } from "./self-test/object.ts";

const app = createApp();

export default {
  async fetch(request, env, ctx) {
    prepareLog(env);
    const address = serviceAddressOf(request, env);
    if (address) return serveService(request, env, address);
    const { pathname } = new URL(request.url);
    const isFile = !pathname.startsWith("/api/") && (request.method === "GET" || request.method === "HEAD");
    const file = isFile ? await env.ASSETS.fetch(request) : null;
    if (file && file.status !== 404) return file;
    // Addresses within the dashboard: every one of them is its one page.
    const isPage = isFile && (request.headers.get("accept") ?? "").includes("text/html");
    return isPage ? env.ASSETS.fetch(new URL("/", request.url)) : app.fetch(request, env, ctx);
  },
  scheduled(controller, env) {
    prepareLog(env);
    return runCron(controller.cron, env);
  },
} satisfies ExportedHandler<Env>;
