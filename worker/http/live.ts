/** The routes of what happens to an instance over time. */
import { objectOf, orThrow } from "./ask.ts";
import { type App, askerOf } from "./context.ts";
import { idOf } from "./instances.ts";
import { mount } from "./mount.ts";
import { previewView } from "./preview.ts";

export function mountLive(app: App): void {
  mount(app, "getSeries", async (c, { query }) => {
    return orThrow(await objectOf(c, idOf(c)).series(askerOf(c), query.span)).series;
  });

  mount(app, "previewConfig", async (c, { body }) => {
    const { facts } = orThrow(await objectOf(c, idOf(c)).preview(askerOf(c), body.auto_hibernation ?? {}));
    return previewView(facts, Date.now());
  });
}
