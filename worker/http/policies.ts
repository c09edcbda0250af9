/** The routes of policies: what a team sets for all of its instances, or for those of one GPU type. */
import { mergePatches, withoutSettings } from "../../core/protocol/policy.ts";
import { changePolicy, listPolicies, type PolicyRow } from "../db/policies.ts";
import { tellPolicies } from "../policies.ts";
import { type App, teamOf } from "./context.ts";
import { mount } from "./mount.ts";

/** A request waits for so many instances; the cron tells the others within a minute. */
const toldPerRequest = 100;

export function mountPolicies(app: App): void {
  mount(app, "listPolicies", async (c) => ({ policies: (await listPolicies(c.env.DB, teamOf(c))).map(view) }));

  mount(app, "putPolicy", async (c, { body }) => {
    const team = teamOf(c);
    const row = await changePolicy(c.env.DB, team, body.gpu_type ?? null, (settings) =>
      mergePatches(withoutSettings(settings, body.unset ?? []), body.auto_hibernation ?? {}),
    );
    return { policy: view(row), instances: await tellPolicies(c.env, team, toldPerRequest) };
  });

  mount(app, "deletePolicy", async (c, { query }) => {
    const team = teamOf(c);
    const row = await changePolicy(c.env.DB, team, query.gpu_type ?? null, () => ({}));
    return { policy: view(row), instances: await tellPolicies(c.env, team, toldPerRequest) };
  });
}

function view({ gpuType, settings, updatedAt }: PolicyRow) {
  return { gpu_type: gpuType, auto_hibernation: settings, updated_at: updatedAt };
}
