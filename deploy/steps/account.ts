/** Whose account, what is in it under this name, and which secrets are wanted: all of it looked at before anything changes. */
import type { Cloudflare } from "../cloudflare.ts";
import {
  alreadyThere,
  type Context,
  permissions,
  planned,
  type Result,
  type WorkerFound,
  wouldDo,
} from "../context.ts";
import { DeployError } from "../error.ts";
import { type SecretName, secretNames } from "../options.ts";

/** Errors: no_credentials; those of the API. */
export async function findAccount({ options, world, found }: Context): Promise<Result> {
  if (!world.hasCredentials) {
    found.account = "ACCOUNT";
    return wouldDo("no credentials: nothing is looked at, a new account is assumed");
  }
  const given = options.account ?? (world.env.CLOUDFLARE_ACCOUNT_ID || null);
  found.account = given ?? (await onlyAccount(world.cloudflare));
  return alreadyThere(found.account);
}

export async function onlyAccount(cloudflare: Cloudflare): Promise<string> {
  const accounts: { id: string; name: string }[] = [];
  for await (const one of cloudflare.list<{ id: string; name: string }>("/accounts", {
    permission: permissions.account,
  }))
    accounts.push(one);
  const [first, second] = accounts;
  if (first && !second) return first.id;
  if (!first) {
    const hint = `Set CLOUDFLARE_ACCOUNT_ID, or give the token the permission ${permissions.account}.`;
    throw new DeployError("no_credentials", "The token shows no account.", hint);
  }
  const list = accounts.map(({ id, name }) => `${id} (${name})`).join(", ");
  throw new DeployError("no_credentials", `The token sees several accounts: ${list}.`, "Say which with --account ID.");
}

/** Errors: name_taken where a worker of this name is another program. */
export async function findWorker(context: Context): Promise<Result> {
  const { options, world, found } = context;
  found.worker = await readWorker(world.cloudflare, found.account, options.name);
  return found.worker
    ? alreadyThere(`${options.name}, deployed before: what it was told stays`)
    : planned(context, `${options.name} is new`);
}

interface Settings {
  bindings?: { name: string; type: string; text?: string; class_name?: string }[];
  limits?: { cpu_ms?: number };
}

export async function readWorker(cloudflare: Cloudflare, account: string, name: string): Promise<WorkerFound | null> {
  const call = { permission: permissions.scripts, absent: [10007] };
  const settings = await cloudflare.get<Settings>(`/accounts/${account}/workers/scripts/${name}/settings`, call);
  if (!settings) return null;
  const bindings = settings.bindings ?? [];
  // A worker that only has our secrets is what an interrupted first run left.
  const ourSecrets: string[] = [...secretNames, "CLOUDFLARE_API_TOKEN"];
  const hasOnlySecrets = bindings.every(({ type, name }) => type === "secret_text" && ourSecrets.includes(name));
  const isOurs = bindings.some((one) => one.class_name === "InstanceObject") || (hasOnlySecrets && bindings.length > 0);
  if (!isOurs) {
    const hint = "Say --name for another name: this one is not touched.";
    throw new DeployError("name_taken", `The account has a worker "${name}" that is another program.`, hint);
  }
  const plain = bindings.filter(({ type }) => type === "plain_text");
  return {
    vars: Object.fromEntries(plain.map(({ name, text }) => [name, text ?? ""])),
    secrets: new Set(bindings.filter(({ type }) => type === "secret_text").map((one) => one.name)),
    cpuMs: settings.limits?.cpu_ms ?? null,
  };
}

/** Decides the value of each secret that the worker lacks, or that is to be rotated. Errors: secret_missing. */
export async function gatherSecrets(context: Context): Promise<Result> {
  const { options, world, found } = context;
  const has = (name: string) => found.worker?.secrets.has(name) ?? false;
  const wanted = secretNames.filter((name) => !has(name) || options.rotate.includes(name));
  const tunnels = options.tunnels !== null && options.tunnels !== "none";
  const wantsTunnelToken = tunnels && (!has("CLOUDFLARE_API_TOKEN") || world.env.TUNNEL_API_TOKEN !== undefined);
  if (wanted.length === 0 && !wantsTunnelToken) return alreadyThere(secretNames.join(", "));
  found.wanted = [...wanted, ...(wantsTunnelToken ? ["CLOUDFLARE_API_TOKEN"] : [])];
  const made = new Set<string>();
  for (const name of wanted) {
    const { value, isMade } = await secretValue(name, context);
    if (value !== null) found.secrets[name] = value;
    if (isMade) made.add(name);
  }
  if (wantsTunnelToken) found.secrets.CLOUDFLARE_API_TOKEN = tunnelToken(world.env);
  found.made = made;
  const how = wanted.map(
    (name) => `${name} (${made.has(name) ? "made" : name in found.secrets ? "given" : "asked for"})`,
  );
  return planned(context, [...how, ...(wantsTunnelToken ? ["CLOUDFLARE_API_TOKEN (given)"] : [])].join(", "));
}

async function secretValue(
  name: SecretName,
  { options, world, found }: Context,
): Promise<{ value: string | null; isMade: boolean }> {
  const given = world.env[name]?.trim();
  const isRotated = options.rotate.includes(name) && (found.worker?.secrets.has(name) ?? false);
  if (name === "SECRETS_KEYS") {
    if (isRotated) return { value: addKey(given, world.randomSecret(32)), isMade: true };
    return given ? { value: checkKeys(given), isMade: false } : { value: `1:${world.randomSecret(32)}`, isMade: true };
  }
  if (given) return { value: given, isMade: false };
  if (name === "ADMIN_TOKEN") return { value: `sna_${world.randomSecret(24)}`, isMade: true };
  if (name === "AGENT_JWT_SECRET" || name === "METRICS_TOKEN") return { value: world.randomSecret(32), isMade: true };
  // A dry run asks nobody.
  if (options.dryRun) return { value: null, isMade: false };
  const typed = (await world.ask?.("VAST_API_KEY (cloud.vast.ai, Account, API keys): "))?.trim();
  if (typed) return { value: typed, isMade: false };
  const hint = "Set VAST_API_KEY to a key of your account (cloud.vast.ai, Account, API keys), then run it again.";
  throw new DeployError("secret_missing", "The worker needs a key of vast.ai.", hint);
}

const keysPattern = /^[A-Za-z0-9_-]{1,20}:[A-Za-z0-9_-]{43}=?(,[A-Za-z0-9_-]{1,20}:[A-Za-z0-9_-]{43}=?)*$/;

function checkKeys(given: string): string {
  if (keysPattern.test(given)) return given;
  const hint = "It is VERSION:KEY,VERSION:KEY; a key is 32 bytes in base64url.";
  throw new DeployError("secret_missing", "SECRETS_KEYS of the environment is not a list of keys.", hint);
}

/** The new key before those that are there: it seals from now on, and they still open. */
function addKey(given: string | undefined, key: string): string {
  if (!given) {
    const hint =
      "Set SECRETS_KEYS to the present value: what is sealed opens with no other, and Cloudflare shows it to nobody.";
    throw new DeployError("secret_missing", "A new key goes before the present ones.", hint);
  }
  const versions = checkKeys(given)
    .split(",")
    .map((one) => Number(one.split(":")[0]))
    .filter(Number.isFinite);
  return `${Math.max(0, ...versions) + 1}:${key},${given}`;
}

function tunnelToken(env: Record<string, string | undefined>): string {
  if (env.TUNNEL_API_TOKEN) return env.TUNNEL_API_TOKEN;
  const hint =
    "Set TUNNEL_API_TOKEN to a token with Account · Cloudflare Tunnel · Edit and Zone · DNS · Edit: it is the worker's own (docs/PROXY.md).";
  throw new DeployError("secret_missing", "Tunnels want a token for the worker.", hint);
}
