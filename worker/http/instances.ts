/** The routes of instances: what their owner sees and asks for. */
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import { installCommand } from "../../core/protocol/bootstrap.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { type InstanceId, isInstanceId, machineLabel } from "../../core/protocol/ids.ts";
import { watchPath } from "../../core/protocol/live.ts";
import { ownersSettings } from "../../core/protocol/policy.ts";
import { scheduleExtras } from "../../core/protocol/schedule.ts";
import type { InstanceSummary } from "../../core/protocol/views.ts";
import { accountFor } from "../account/accounts.ts";
import { type By, reaches } from "../asker.ts";
import { listInstances } from "../db/read-model.ts";
import { factsOf } from "../instance/effects.ts";
import { type WatchBy, watcherHeader } from "../instance/watchers.ts";
import { createProxyKey, listProxyKeys, revokeProxyKey } from "../proxy/keys.ts";
import { pastSnapshots } from "../snapshots/view.ts";
import { signAgentToken } from "../tokens.ts";
import { freshInstanceId, objectOf, orThrow, settingsFor, wantOffer, whoseBirth } from "./ask.ts";
import { authenticate } from "./auth.ts";
import { type App, type AppContext, askerOf } from "./context.ts";
import { createForkOf } from "./forks.ts";
import { mount } from "./mount.ts";

/** What is rented where nobody says otherwise. */
export const defaults = { image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04", diskGb: 50, gpuCount: 1 };

/** Of one list: each is a request to an object. */
const maxRefreshed = 100;

export function mountInstances(app: App): void {
  mount(app, "listInstances", async (c, { query }) => {
    const rows = await instancesSeen(c);
    return { instances: query.live === "true" ? await refreshed(c, rows) : rows };
  });

  mount(app, "createInstance", async (c, { body }) => {
    const by = askerOf(c);
    if (body.from) return createForkOf(c, by, body.from, body);
    const spec: MachineSpec = {
      gpuType: body.gpu_type ?? null,
      gpuCount: body.gpu_count ?? defaults.gpuCount,
      region: body.region?.toUpperCase() ?? null,
      diskGb: body.disk_gb ?? defaults.diskGb,
      image: body.image ?? defaults.image,
      maxMicroUsdPerHour: body.max_micro_usd_per_hour ?? null,
      ...(body.rent && { rent: body.rent }),
    };
    const settings = await settingsFor(c, by.team, body.auto_hibernation ?? {}, spec.gpuType);
    await wantOffer(c, spec, 0);
    const instance = freshInstanceId();
    const birth = { ...whoseBirth(by, instance, body.name), spec, ...settings };
    return orThrow(await objectOf(c, instance).create(birth)).view;
  });

  mount(app, "adoptInstance", async (c, { body }) => {
    const by = askerOf(c);
    const instance = freshInstanceId();
    const label = machineLabel(instance, 1);
    const { name: accountName, account } = await accountFor(c.env, by.team);
    const adopted = await account.adoptMachine(body.vast_instance_id, label);
    if (!adopted.ok && adopted.code === "machine_already_adopted") {
      // Whose it is is told to its owner alone.
      const isYours = (await objectOf(c, adopted.instance).get(by)).ok;
      throw new AppError("machine_already_adopted", isYours ? { instance_id: adopted.instance } : {});
    }
    const { machine } = orThrow(adopted);
    const facts = factsOf(machine);
    const settings = await settingsFor(c, by.team, body.auto_hibernation ?? {}, facts.gpuType);
    const spec: MachineSpec = {
      gpuType: facts.gpuType,
      gpuCount: facts.gpuCount ?? defaults.gpuCount,
      region: null,
      diskGb: machine.diskGb ?? defaults.diskGb,
      image: machine.image ?? defaults.image,
      maxMicroUsdPerHour: null,
    };
    const birth = { ...whoseBirth(by, instance, body.name), spec, ...settings };
    const { view } = orThrow(
      await objectOf(c, instance).adopt(birth, facts, machine.startedAt ?? Date.now(), accountName),
    );
    const token = await signAgentToken(c.env.AGENT_JWT_SECRET, instance, 1, Date.now());
    return { instance: view, agent_token: token, install_command: installCommand({ url: c.env.PUBLIC_URL, token }) };
  });

  mount(app, "getInstance", async (c) => orThrow(await objectOf(c, idOf(c)).get(askerOf(c))).view);

  mount(app, "renameInstance", async (c, { body }) => {
    return orThrow(await objectOf(c, idOf(c)).rename(askerOf(c), body.name)).view;
  });

  // Not in the table: its answer is a WebSocket.
  app.get(watchPath, async (c) => {
    await authenticate(c, { principal: "user", role: "viewer" });
    if (c.req.header("upgrade")?.toLowerCase() !== "websocket") throw new AppError("upgrade_required");
    const { user, name, team, role, tokenId } = askerOf(c);
    const by = JSON.stringify({ user, name, team, role, tokenId } satisfies WatchBy);
    return objectOf(c, idOf(c)).fetch(
      new Request(c.req.url, { headers: { upgrade: "websocket", [watcherHeader]: by } }),
    );
  });

  mount(app, "wakeInstance", async (c, { body }) => {
    const region = body.region?.toUpperCase() ?? null;
    const options = {
      maxMicroUsdPerHour: body.max_micro_usd_per_hour,
      rent: body.rent,
      keepTryingMs: (body.keep_trying_minutes ?? 0) * 60_000,
      snapshot: body.snapshot,
    };
    return orThrow(await objectOf(c, idOf(c)).wake(askerOf(c), body.gpu_type ?? null, region, options)).view;
  });

  mount(app, "hibernateInstance", async (c, { body }) => {
    return orThrow(await objectOf(c, idOf(c)).act(askerOf(c), "hibernate", body.force)).view;
  });

  mount(app, "keepAwake", async (c, { body }) => {
    const held = await objectOf(c, idOf(c)).keepAwake(askerOf(c), body.minutes, body.reason ?? null);
    return orThrow(held).view;
  });

  mount(app, "letSleep", async (c) => orThrow(await objectOf(c, idOf(c)).letSleep(askerOf(c))).view);

  mount(app, "notNow", async (c) => orThrow(await objectOf(c, idOf(c)).keepAwake(askerOf(c), null, null)).view);

  mount(app, "discardInstance", async (c, { body }) => {
    const id = idOf(c);
    orThrow(await objectOf(c, id).get(askerOf(c)));
    if (body.confirm !== id) throw new AppError("confirm_mismatch");
    return orThrow(await objectOf(c, id).act(askerOf(c), "discard")).view;
  });

  mount(app, "getConfig", async (c) => orThrow(await objectOf(c, idOf(c)).settings(askerOf(c))).settings);

  mount(app, "putConfig", async (c, { body }) => {
    const { auto_hibernation = {}, unset = [] } = body;
    wantOwnSettings(askerOf(c), [...Object.keys(auto_hibernation), ...unset]);
    return orThrow(await objectOf(c, idOf(c)).configure(askerOf(c), auto_hibernation, unset)).settings;
  });

  mount(app, "putSchedule", async (c, { body }) => {
    const { enabled = true, ...schedule } = body;
    const change = { wake_method: enabled ? "scheduled" : "manual", schedule } as const;
    const unset = scheduleExtras.filter((name) => schedule[name] === undefined).map((name) => `schedule.${name}`);
    const object = objectOf(c, idOf(c));
    const { settings } = orThrow(await object.configure(askerOf(c), change, unset));
    return { ...settings, schedule: orThrow(await object.get(askerOf(c))).view.schedule };
  });

  mount(app, "listProxyKeys", async (c) => ({ keys: await listProxyKeys(c.env.DB, await ownedId(c)) }));
  mount(app, "createProxyKey", async (c, { body }) => createProxyKey(c.env.DB, await ownedId(c), body));
  mount(app, "revokeProxyKey", async (c) => {
    const found = await revokeProxyKey(c.env.DB, await ownedId(c), c.req.param("keyId") ?? "");
    if (!found) throw new AppError("object_not_found");
    return null;
  });

  mount(app, "listEvents", async (c, { query }) => {
    const { events } = orThrow(await objectOf(c, idOf(c)).events(askerOf(c), query.after, query.limit));
    return { events, next_after: events.at(-1)?.seq ?? query.after };
  });

  mount(app, "listSnapshots", async (c) => {
    const id = idOf(c);
    const known = orThrow(await objectOf(c, id).history(askerOf(c)));
    return { snapshots: await pastSnapshots(c.env.SNAPSHOTS, id, known) };
  });
}

/** The rows of the team, as far as the token reaches. */
export async function instancesSeen(c: AppContext): Promise<InstanceSummary[]> {
  const asker = askerOf(c);
  const rows = await listInstances(c.env.DB, asker.team);
  return rows.filter(({ id }) => reaches(asker, id));
}

/** Rows of what is awake, or on its way, as their objects know them now. One that does not answer stays as it is. */
async function refreshed(c: AppContext, rows: InstanceSummary[]): Promise<InstanceSummary[]> {
  const by = askerOf(c);
  const restless = rows.filter(({ status }) => status !== "hibernated" && status !== "deleted").slice(0, maxRefreshed);
  const answers = await Promise.allSettled(restless.map(({ id }) => c.env.INSTANCE.getByName(id).glance(by)));
  const fresh = new Map<string, InstanceSummary>();
  for (const answer of answers) {
    if (answer.status === "fulfilled" && answer.value.ok) fresh.set(answer.value.summary.id, answer.value.summary);
  }
  return rows.map((row) => fresh.get(row.id) ?? row);
}

export function idOf(c: AppContext): InstanceId {
  const id = c.req.param("id");
  // Not an id of ours: no object is woken for it.
  if (!isInstanceId(id)) throw new AppError("instance_not_found");
  return id;
}

/** What keeps snapshots, runs scripts and opens services is an owner's to say. Errors: role_too_low. */
function wantOwnSettings({ role }: By, names: string[]): void {
  const settings = names.filter((name) => ownersSettings.some((one) => name === one || name.startsWith(`${one}.`)));
  if (settings.length > 0 && role !== "owner") throw new AppError("role_too_low", { role, wants: "owner", settings });
}

/** The id, once its object says that it is the team's. */
async function ownedId(c: AppContext): Promise<InstanceId> {
  const id = idOf(c);
  orThrow(await objectOf(c, id).settings(askerOf(c)));
  return id;
}
