/** `POST /api/instances` with `from`: an instance that begins with a snapshot of another one of the same team. */
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import type { BodyOf } from "../../core/protocol/api.ts";
import { AppError } from "../../core/protocol/errors.ts";
import type { InstanceId } from "../../core/protocol/ids.ts";
import { mergePatches } from "../../core/protocol/policy.ts";
import type { InstanceView } from "../../core/protocol/views.ts";
import type { By } from "../asker.ts";
import { freshInstanceId, objectOf, orThrow, settingsFor, wantOffer, whoseBirth } from "./ask.ts";
import type { AppContext } from "./context.ts";

type Body = BodyOf<"createInstance">;

/** Errors: instance_not_found, snapshot_not_found, snapshot_damaged, no_offer, invalid_input, the provider's. */
export async function createForkOf(
  c: AppContext,
  by: By,
  from: NonNullable<Body["from"]>,
  body: Body,
): Promise<InstanceView> {
  const parent = from.instance as InstanceId;
  const instance = freshInstanceId();
  const lent = orThrow(await objectOf(c, parent).lend(by, instance, from.snapshot ?? null));
  const { ref, stats } = lent.snapshot;
  try {
    const spec = specOf(lent.spec, body);
    const plainGb = (stats?.plainBytes ?? 0) / 1e9;
    // As large a disk as the other one has is large enough, whatever holes its files have.
    if (spec.diskGb < Math.min(plainGb, lent.spec.diskGb)) {
      const message = `the snapshot holds ${Math.ceil(plainGb)} GB, which do not fit on ${spec.diskGb} GB`;
      throw new AppError("invalid_input", { issues: [{ path: "disk_gb", message }] });
    }
    const isWoken = body.start ?? true;
    if (isWoken) await wantOffer(c, spec, stats?.storedBytes ?? 0);
    const own = mergePatches(lent.own, body.auto_hibernation ?? {});
    const settings = await settingsFor(c, by.team, own, spec.gpuType);
    const birth = { ...whoseBirth(by, instance, body.name), spec, ...settings };
    return orThrow(await objectOf(c, instance).fork(birth, { instance: parent, ref }, isWoken)).view;
  } catch (error) {
    // Nothing was made, so nothing needs it; without this the hold ends by itself.
    await objectOf(c, parent)
      .hold({ by: instance, ref, until: 0 })
      .catch(() => {});
    throw error;
  }
}

/** As the other one's, but for what is named. */
function specOf(spec: MachineSpec, body: Body): MachineSpec {
  return {
    gpuType: body.gpu_type === undefined ? spec.gpuType : body.gpu_type,
    gpuCount: body.gpu_count ?? spec.gpuCount,
    region: body.region === undefined ? spec.region : (body.region?.toUpperCase() ?? null),
    diskGb: body.disk_gb ?? spec.diskGb,
    image: body.image ?? spec.image,
    maxMicroUsdPerHour:
      body.max_micro_usd_per_hour === undefined ? spec.maxMicroUsdPerHour : body.max_micro_usd_per_hour,
    ...((spec.rent || body.rent) && { rent: { ...spec.rent, ...body.rent } }),
  };
}
