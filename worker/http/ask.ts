/** How a route asks an instance's object and the provider, and what becomes of a failure that came as a value. */
import type { Birth } from "../../core/lifecycle/birth.ts";
import { type ClimbFacts, climbWords } from "../../core/lifecycle/ladder.ts";
import { layersFor } from "../../core/lifecycle/policy.ts";
import type { MachineSpec } from "../../core/lifecycle/types.ts";
import type { AutoHibernationPatch } from "../../core/protocol/config.ts";
import { AppError, type ErrorCode, type ErrorContext } from "../../core/protocol/errors.ts";
import { type InstanceId, newInstanceId, type UserId } from "../../core/protocol/ids.ts";
import { resolveSettings } from "../../core/protocol/policy.ts";
import { accountFor } from "../account/accounts.ts";
import type { By } from "../asker.ts";
import { policiesOf } from "../db/policies.ts";
import { climbLadder } from "../providers/climb.ts";
import { type AppContext, teamOf } from "./context.ts";

/** Asked before anything is made, so that what cannot be had leaves nothing behind. Errors: no_offer, the provider's. */
export async function wantOffer(c: AppContext, spec: MachineSpec, workspaceBytes: number): Promise<void> {
  const { account } = await accountFor(c.env, teamOf(c));
  const facts: ClimbFacts = { reach: "same", usual: null, workspaceBytes };
  const { offer, climb } = orThrow(
    await climbLadder((query) => account.searchOffers(query), { spec, avoid: [], facts }),
  );
  if (offer) return;
  const wanted = { gpu_type: spec.gpuType, region: spec.region, disk_gb: spec.diskGb };
  throw new AppError("no_offer", { ...wanted, ladder: climbWords(climb) });
}

/** What a new instance begins with: its own settings on top of its owner's policies. Errors: invalid_input. */
export async function settingsFor(
  c: AppContext,
  owner: UserId,
  own: AutoHibernationPatch,
  gpuType: string | null,
): Promise<Pick<Birth, "config" | "own" | "policies">> {
  const policies = await policiesOf(c.env.DB, owner);
  return { own, policies, config: resolveSettings(layersFor(own, policies, gpuType)) };
}

/** Whose a new instance is, and who wants it. */
export function whoseBirth({ team, user, name }: By, instance: InstanceId, wanted: string | undefined) {
  return { instance, owner: team, by: user, byName: name, name: wanted ?? instance };
}

export function freshInstanceId(): InstanceId {
  return newInstanceId(crypto.getRandomValues(new Uint8Array(10)));
}

export function objectOf(c: AppContext, id: InstanceId) {
  return c.env.INSTANCE.getByName(id);
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
