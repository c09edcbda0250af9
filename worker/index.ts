/** Composition root: fetch, scheduled, the Durable Object classes. */
import { runCron } from "./cron.ts";
import type { Env } from "./env.ts";
import { createApp } from "./http/app.ts";

export { AccountObject } from "./account/object.ts";
export { InstanceObject } from "./instance/object.ts";
export { RelayObject } from "./relay/object.ts";

const app = createApp();

export default {
  fetch: app.fetch,
  scheduled: (controller, env) => runCron(controller.cron, env),
} satisfies ExportedHandler<Env>;
