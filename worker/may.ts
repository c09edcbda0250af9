/** What a role may do, as the route table says it: in words for clients, and taken out of what they are offered. */
import { routes } from "../core/protocol/api.ts";
import { isAtLeast, type Role } from "../core/protocol/roles.ts";
import type { Route } from "../core/protocol/route.ts";
import type { InstanceView } from "../core/protocol/views.ts";
import type { Asker } from "./asker.ts";

type Action = InstanceView["actions"][number];

const routeOfAction = {
  wake: routes.wakeInstance,
  hibernate: routes.hibernateInstance,
  keep_awake: routes.keepAwake,
  not_now: routes.notNow,
  configure: routes.putConfig,
  discard: routes.discardInstance,
} as const satisfies Record<Action, Route>;

/** Names of the operations that they may ask. */
export function operationsOf({ role, instances }: Asker): string[] {
  return Object.entries(routes as Record<string, Route>)
    .filter(([, route]) => {
      if (route.principal !== "user" || !isAtLeast(role, route.role)) return false;
      return instances === null || route.reach === "token" || route.path.includes("/:id");
    })
    .map(([name]) => name);
}

export function actionsFor(role: Role, actions: readonly Action[]): Action[] {
  return actions.filter((action) => isAtLeast(role, routeOfAction[action].role));
}

interface WithActions {
  actions?: Action[];
  instance?: WithActions;
  instances?: { glance?: WithActions | null }[];
}

/** An answer without the actions that the role may not ask for: here, for all routes, so that none forgets. */
export function offeredTo<T>(role: Role, answer: T): T {
  if (role === "owner" || typeof answer !== "object" || answer === null) return answer;
  const { actions, instance, instances } = answer as WithActions;
  if (Array.isArray(actions)) return { ...answer, actions: actionsFor(role, actions) };
  if (instance) return { ...answer, instance: offeredTo(role, instance) };
  if (!Array.isArray(instances)) return answer;
  const rows = instances.map((row) => (row.glance ? { ...row, glance: offeredTo(role, row.glance) } : row));
  return { ...answer, instances: rows };
}
