/** The instance that the tests are about. */
import { type AutoHibernation, defaultAutoHibernation } from "../../protocol/config.ts";
import { newInstanceId, newUserId } from "../../protocol/ids.ts";
import type { Birth } from "../birth.ts";
import type { Actor } from "../types.ts";

export const owner = newUserId(new Uint8Array(10));
export const user: Actor = { kind: "user", id: owner };

export const testConfig: AutoHibernation = {
  ...defaultAutoHibernation,
  pause_after_idle_minutes: 1,
  delete_after_pause_minutes: 5,
  check_interval_seconds: 10,
  grace_minutes: 0,
};

export function birth(config: Partial<AutoHibernation> = {}): Birth {
  return {
    instance: newInstanceId(new Uint8Array(10)),
    owner,
    name: "test",
    spec: { gpuType: "RTX 4090", gpuCount: 1, region: null, diskGb: 40, image: "image", maxMicroUsdPerHour: null },
    config: { ...testConfig, ...config },
  };
}
