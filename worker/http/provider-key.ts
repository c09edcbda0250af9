/** The routes of keys: a team's own to the provider, and those that seal what the deployment keeps. */
import { AppError } from "../../core/protocol/errors.ts";
import { accountNamed } from "../account/accounts.ts";
import type { KeyChange } from "../account/object.ts";
import { tryKey } from "../account/try-key.ts";
import { insertKey, keyOfTeam, keyPurpose, keyView } from "../db/provider-keys.ts";
import { base64Url } from "../fresh-secret.ts";
import { labelOf } from "../instance/whose.ts";
import { sealSecret } from "../sealed.ts";
import { countSecrets, resealSecrets } from "../secrets.ts";
import { orThrow } from "./ask.ts";
import { type App, type AppContext, teamOf } from "./context.ts";
import { mount } from "./mount.ts";

/** A request of whoever runs the deployment moves so many at most; the cron goes on. */
const resealedPerRequest = 2_000;

export function mountKeys(app: App): void {
  mount(app, "getProviderKey", async (c) => ({ key: await ownKey(c) }));

  mount(app, "setProviderKey", async (c, { body: { key } }) => {
    const before = await keyOfTeam(c.env.DB, teamOf(c));
    const account = before?.account ?? freshAccount();
    // First of all: without a key to seal with there is nothing to be tried.
    const sealed = await sealSecret(c.env, keyPurpose(account), key);
    const hint = key.slice(-4);
    if (before) done(await accountNamed(c.env, account).replaceKey(key, sealed, hint));
    else {
      orThrow(await tryKey(c.env, key));
      const made = await insertKey(c.env.DB, { account, teamId: teamOf(c), sealed, hint });
      if (!made) throw new AppError("provider_key_in_use", { detail: "another key was set at the same moment" });
    }
    return { key: await ownKey(c) };
  });

  mount(app, "testProviderKey", async (c) => {
    const row = await keyOfTeam(c.env.DB, teamOf(c));
    if (!row) throw new AppError("object_not_found");
    const { machines } = orThrow(await accountNamed(c.env, row.account).listMachines(0));
    return { machines: machines.length, managed: machines.filter((one) => labelOf(one) !== null).length };
  });

  mount(app, "removeProviderKey", async (c) => {
    const row = await keyOfTeam(c.env.DB, teamOf(c));
    if (!row) throw new AppError("object_not_found");
    done(await accountNamed(c.env, row.account).retireKey());
    return null;
  });

  mount(app, "getSecrets", (c) => countSecrets(c.env));
  mount(app, "resealSecrets", async (c) => {
    const resealed = await resealSecrets(c.env, resealedPerRequest);
    return { resealed, ...(await countSecrets(c.env)) };
  });
}

async function ownKey(c: AppContext) {
  const row = await keyOfTeam(c.env.DB, teamOf(c));
  return row && keyView(row);
}

/** Errors: provider_key_in_use, the provider's. */
function done(change: KeyChange): void {
  if (!change.ok && change.code === "provider_key_in_use")
    throw new AppError("provider_key_in_use", { machines: change.machines.slice(0, 50) });
  orThrow(change);
}

function freshAccount(): string {
  return `k-${base64Url(crypto.getRandomValues(new Uint8Array(12)))}`;
}
