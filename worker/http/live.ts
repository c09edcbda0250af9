/** The routes of what happens to an instance over time. */
import { objectOf, orThrow } from "./ask.ts";
import type { App } from "./context.ts";
import { idOf, userOf } from "./instances.ts";
import { mount } from "./mount.ts";

export function mountLive(app: App): void {
  mount(app, "getSeries", async (c, { query }) => {
    return orThrow(await objectOf(c, idOf(c)).series(userOf(c).id, query.span)).series;
  });
}
