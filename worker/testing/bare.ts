/**
 * The worker as it is deployed, and beside it one that only fetches: `/bare/PORT/...` goes to that port of this host. For the bench alone: what
 * a request over it takes is the local cloud's own.
 */
import worker from "../index.ts";

export { AccountObject, InstanceObject, NoticesObject, RelayObject, SelfTestObject } from "../index.ts";

export default {
  ...worker,
  async fetch(request, env, ctx) {
    const { pathname, search } = new URL(request.url);
    const [, port, path] = /^\/bare\/(\d+)(\/.*)$/.exec(pathname) ?? [];
    if (port === undefined) return worker.fetch(request, env, ctx);
    return fetch(new Request(`http://127.0.0.1:${port}${path}${search}`, request));
  },
} satisfies ExportedHandler<Parameters<typeof worker.fetch>[1]>;
