/** The parts of the contract that the page needs while it runs: the route table, the limits of numbers among the settings, the defaults. */
import { defaults, limits, routes } from "soneca:contract";
import type { RouteName } from "../../core/protocol/api.ts";
import type { AutoHibernation } from "../../core/protocol/config.ts";

export const routeTable = routes as Record<RouteName, readonly [method: string, path: string]>;

/** By the setting's name, such as `checkpoint.interval_minutes`. */
export function limitsOf(setting: string): readonly [least: number, most: number] {
  return limits[setting] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
}

/** What holds where nobody set anything. */
export const defaultSettings = defaults as AutoHibernation;
