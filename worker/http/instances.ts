/** The routes of instances: what their owner sees and asks for. */
import { type ClimbFacts, climbWords } from "../../core/lifecycle/ladder.ts";
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import { installCommand } from "../../core/protocol/bootstrap.ts";
import {
  type AutoHibernation,
  type AutoHibernationPatch,
  applyPatch,
  defaultAutoHibernation,
} from "../../core/protocol/config.ts";
import { AppError, type ErrorCode, type ErrorContext } from "../../core/protocol/errors.ts";
import {
  type InstanceId,
  isInstanceId,
  machineLabel,
  newInstanceId,
  parseMachineLabel,
  snapshotId,
} from "../../core/protocol/ids.ts";
import type { SnapshotView } from "../../core/protocol/views.ts";
import { maxManifestBytes, parseManifest } from "../../core/snapshot/manifest.ts";
import { instancePrefix, parseManifestKey } from "../../core/snapshot/store.ts";
import { accountOf } from "../account/object.ts";
import { listInstances } from "../db/read-model.ts";
import { factsOf } from "../instance/effects.ts";
import { climbLadder } from "../providers/climb.ts";
import { signAgentToken } from "../tokens.ts";
import type { App, AppContext } from "./context.ts";
import { mount } from "./mount.ts";

const defaults = { image: "nvidia/cuda:12.4.1-runtime-ubuntu22.04", diskGb: 50, gpuCount: 1 };

export function mountInstances(app: App): void {
  mount(app, "listInstances", async (c) => ({ instances: await listInstances(c.env.DB, userOf(c).id) }));

  mount(app, "createInstance", async (c, { body }) => {
    const user = userOf(c);
    const spec: MachineSpec = {
      gpuType: body.gpu_type ?? null,
      gpuCount: body.gpu_count ?? defaults.gpuCount,
      region: body.region?.toUpperCase() ?? null,
      diskGb: body.disk_gb ?? defaults.diskGb,
      image: body.image ?? defaults.image,
      maxMicroUsdPerHour: body.max_micro_usd_per_hour ?? null,
      ...(body.rent && { rent: body.rent }),
    };
    const config = configFrom(body.auto_hibernation);
    // Asked before anything is made, so that what cannot be had leaves nothing behind.
    const account = accountOf(c.env);
    const facts: ClimbFacts = { reach: "same", usual: null, workspaceBytes: 0 };
    const { offer, climb } = orThrow(
      await climbLadder((query) => account.searchOffers(query), { spec, avoid: [], facts }),
    );
    if (!offer) {
      const wanted = { gpu_type: spec.gpuType, region: spec.region, disk_gb: spec.diskGb };
      throw new AppError("no_offer", { ...wanted, ladder: climbWords(climb) });
    }
    const instance = freshInstanceId();
    const birth = { instance, owner: user.id, name: body.name ?? instance, spec, config };
    return orThrow(await objectOf(c, instance).create(birth)).view;
  });

  mount(app, "adoptInstance", async (c, { body }) => {
    const user = userOf(c);
    const config = configFrom(body.auto_hibernation);
    const instance = freshInstanceId();
    const label = machineLabel(instance, 1);
    const adopted = await accountOf(c.env).adoptMachine(body.vast_instance_id, label);
    if (!adopted.ok && adopted.code === "machine_already_adopted") {
      const owner = parseMachineLabel(adopted.label)?.instance;
      // Whose it is is told to its owner alone.
      const isYours = owner !== undefined && (await objectOf(c, owner).get(user.id)).ok;
      throw new AppError("machine_already_adopted", isYours ? { instance_id: owner } : {});
    }
    const { machine } = orThrow(adopted);
    const facts = factsOf(machine);
    const spec: MachineSpec = {
      gpuType: facts.gpuType,
      gpuCount: facts.gpuCount ?? defaults.gpuCount,
      region: null,
      diskGb: machine.diskGb ?? defaults.diskGb,
      image: machine.image ?? defaults.image,
      maxMicroUsdPerHour: null,
    };
    const birth = { instance, owner: user.id, name: body.name ?? instance, spec, config };
    const { view } = orThrow(await objectOf(c, instance).adopt(birth, facts, machine.startedAt ?? Date.now()));
    const token = await signAgentToken(c.env.AGENT_JWT_SECRET, instance, 1, Date.now());
    return { instance: view, agent_token: token, install_command: installCommand({ url: c.env.PUBLIC_URL, token }) };
  });

  mount(app, "getInstance", async (c) => orThrow(await objectOf(c, idOf(c)).get(userOf(c).id)).view);

  mount(app, "wakeInstance", async (c, { body }) => {
    const region = body.region?.toUpperCase() ?? null;
    const options = {
      maxMicroUsdPerHour: body.max_micro_usd_per_hour,
      rent: body.rent,
      keepTryingMs: (body.keep_trying_minutes ?? 0) * 60_000,
    };
    return orThrow(await objectOf(c, idOf(c)).wake(userOf(c).id, body.gpu_type ?? null, region, options)).view;
  });

  mount(app, "hibernateInstance", async (c) => orThrow(await objectOf(c, idOf(c)).act(userOf(c).id, "hibernate")).view);

  mount(app, "keepAwake", async (c, { body }) => {
    const held = await objectOf(c, idOf(c)).keepAwake(userOf(c).id, body.minutes, body.reason ?? null);
    return orThrow(held).view;
  });

  mount(app, "letSleep", async (c) => orThrow(await objectOf(c, idOf(c)).letSleep(userOf(c).id)).view);

  mount(app, "notNow", async (c) => orThrow(await objectOf(c, idOf(c)).keepAwake(userOf(c).id, null, null)).view);

  mount(app, "discardInstance", async (c, { body }) => {
    const id = idOf(c);
    orThrow(await objectOf(c, id).get(userOf(c).id));
    if (body.confirm !== id) throw new AppError("confirm_mismatch");
    return orThrow(await objectOf(c, id).act(userOf(c).id, "discard")).view;
  });

  mount(app, "getConfig", async (c) => {
    const { view } = orThrow(await objectOf(c, idOf(c)).get(userOf(c).id));
    return { auto_hibernation: view.auto_hibernation };
  });

  mount(app, "putConfig", async (c, { body }) => {
    const { view } = orThrow(await objectOf(c, idOf(c)).configure(userOf(c).id, body.auto_hibernation));
    return { auto_hibernation: view.auto_hibernation };
  });

  mount(app, "listEvents", async (c, { query }) => {
    const { events } = orThrow(await objectOf(c, idOf(c)).events(userOf(c).id, query.after, query.limit));
    return { events, next_after: events.at(-1)?.seq ?? query.after };
  });

  mount(app, "listSnapshots", async (c) => {
    const id = idOf(c);
    const { view } = orThrow(await objectOf(c, id).get(userOf(c).id));
    const snapshots = await storedSnapshots(c.env.SNAPSHOTS, id);
    return {
      snapshots: snapshots.map((one) =>
        one.seq === view.snapshot?.seq && one.digest === view.snapshot.digest
          ? { ...one, proved_at: view.snapshot.proved_at }
          : one,
      ),
    };
  });
}

/** The newest hundred manifests of the store, newest first; one that cannot be read is left out of the list, not hidden as whole. */
async function storedSnapshots(bucket: R2Bucket, instance: InstanceId): Promise<SnapshotView[]> {
  const prefix = `${instancePrefix(instance)}manifests/`;
  const keys: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await bucket.list({ prefix, cursor });
    keys.push(...page.objects.map((object) => object.key));
    cursor = page.truncated ? page.cursor : undefined;
  } while (cursor);
  const newest = keys.sort().reverse().slice(0, 100);
  const views: SnapshotView[] = [];
  // Few at a time: a manifest may have megabytes, and they are all held at once.
  for (let i = 0; i < newest.length; i += 4) {
    const few = newest.slice(i, i + 4).map((key) => snapshotView(bucket, instance, key, key.slice(prefix.length)));
    views.push(...(await Promise.all(few)).filter((view) => view !== null));
  }
  return views;
}

async function snapshotView(
  bucket: R2Bucket,
  instance: InstanceId,
  key: string,
  name: string,
): Promise<SnapshotView | null> {
  const numbers = parseManifestKey(name);
  const object = numbers && (await bucket.get(key));
  if (!object || object.size > maxManifestBytes) return null;
  const parsed = parseManifest(await object.text());
  if (!parsed.ok) return null;
  const { seq, epoch, digest, createdAt, stats, parts } = parsed.manifest;
  return {
    snapshot_id: snapshotId(instance, seq),
    seq,
    epoch,
    digest,
    created_at: new Date(createdAt).toISOString(),
    plain_bytes: stats.plainBytes,
    stored_bytes: stats.storedBytes,
    entries: stats.entries,
    parts: parts.length,
    proved_at: null,
  };
}

function configFrom(patch: AutoHibernationPatch | undefined): AutoHibernation {
  return applyPatch(defaultAutoHibernation, patch ?? {});
}

function freshInstanceId(): InstanceId {
  return newInstanceId(crypto.getRandomValues(new Uint8Array(10)));
}

export function idOf(c: AppContext): InstanceId {
  const id = c.req.param("id");
  // Not an id of ours: no object is woken for it.
  if (!isInstanceId(id)) throw new AppError("instance_not_found");
  return id;
}

export function objectOf(c: AppContext, id: InstanceId) {
  return c.env.INSTANCE.getByName(id);
}

export function userOf(c: AppContext) {
  const user = c.get("user");
  if (!user) throw new AppError("unauthenticated");
  return user;
}

interface Failure {
  ok: false;
  code: ErrorCode | "offer_gone";
  context?: ErrorContext;
  message?: string;
  retryAfterMs?: number;
}

/** A failure that came as a value becomes the error of the request. */
export function orThrow<A extends { ok: true } | Failure>(answer: A): Extract<A, { ok: true }> {
  if (answer.ok) return answer as Extract<A, { ok: true }>;
  const { code, context, message, retryAfterMs } = answer as Failure;
  throw new AppError(code === "offer_gone" ? "no_offer" : code, {
    ...context,
    ...(message ? { provider_message: message } : {}),
    ...(retryAfterMs ? { retryAfterMs } : {}),
  });
}
