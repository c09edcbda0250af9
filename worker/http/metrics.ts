/** The route of metrics. */
import { version } from "../../core/protocol/version.ts";
import { readMeters } from "../db/meters.ts";
import { formatMetrics, openMetricsType, textType } from "../metrics/exposition.ts";
import { familiesOf } from "../metrics/families.ts";
import type { App } from "./context.ts";
import { mount } from "./mount.ts";

export function mountMetrics(app: App): void {
  mount(app, "getMetrics", async (c) => {
    const now = Date.now();
    const families = familiesOf(await readMeters(c.env.DB, now), { version, now });
    const isOpenMetrics = (c.req.header("accept") ?? "").includes("application/openmetrics-text");
    const headers = { "content-type": isOpenMetrics ? openMetricsType : textType };
    return new Response(formatMetrics(families, isOpenMetrics), { headers });
  });
}
