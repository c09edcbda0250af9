/** Which object asks the provider: one per account, the deployment's or a team's own. */
import { accountOfTeam, deploymentAccount } from "../db/provider-keys.ts";
import type { Env } from "../env.ts";
import type { AccountObject } from "./object.ts";

export type Account = DurableObjectStub<AccountObject>;

export function accountNamed(env: Env, name: string): Account {
  return env.ACCOUNT.getByName(name);
}

/** The deployment's own. */
export function accountOf(env: Env): Account {
  return accountNamed(env, deploymentAccount);
}

/** With which this team's next machine is rented, and its name. */
export async function accountFor(env: Env, team: string): Promise<{ name: string; account: Account }> {
  const name = await accountOfTeam(env.DB, team);
  return { name, account: accountNamed(env, name) };
}
