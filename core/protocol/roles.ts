/** What somebody may do in a team: each role may do what those before it may. Which route wants which is said by its row. */

export const roles = ["viewer", "operator", "owner"] as const;
/**
 * viewer: sees everything but the contents of files and services · operator: also wakes, hibernates, holds awake, sets times
 * and schedules, uses services and files · owner: everything, with members, keys, and what cannot be taken back.
 */
export type Role = (typeof roles)[number];

export function isAtLeast(role: Role, least: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(least);
}

export function lesserRole(a: Role, b: Role): Role {
  return isAtLeast(a, b) ? b : a;
}
