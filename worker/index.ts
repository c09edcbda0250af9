/** Composition root: fetch, scheduled, the Durable Object classes. */
import { runCron } from "./cron.ts";
import type { Env } from "./env.ts";
import { createApp } from "./http/app.ts";
import { serveService, serviceAddressOf } from "./proxy/serve.ts";

export { AccountObject } from "./account/object.ts";
export { InstanceObject } from "./instance/object.ts";
export { RelayObject } from "./relay/object.ts";

const app = createApp();

export default {
  fetch(request, env, ctx) {
    const address = serviceAddressOf(request, env);
    if (address) return serveService(request, env, address);
    const { pathname } = new URL(request.url);
    return pathname.startsWith("/api/") || pathname === "/api"
      ? app.fetch(request, env, ctx)
      : env.ASSETS.fetch(request);
  },
  scheduled: (controller, env) => runCron(controller.cron, env),
} satisfies ExportedHandler<Env>;
