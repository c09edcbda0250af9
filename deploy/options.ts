/** The words of `npm run deploy`. */
import { parseArgs } from "node:util";
import { DeployError } from "./error.ts";

export const secretNames = [
  "AGENT_JWT_SECRET",
  "ADMIN_TOKEN",
  "METRICS_TOKEN",
  "VAST_API_KEY",
  "SECRETS_KEYS",
] as const;
export type SecretName = (typeof secretNames)[number];

/** What may be set by --var; the others follow from options of their own. */
export const varNames = [
  "PIPE",
  "PROXY_PATHS",
  "ACCESS_TEAM",
  "ACCESS_AUDIENCE",
  "ACCESS_SERVICES",
  "NOTICES_EMAIL_FROM",
  "AGENT_UPDATES",
  "NODE_MIRROR",
  "LOG_LEVEL",
  "VAST_URL",
  "CLOUDFLARED_URL",
  "CLOUDFLARED_SHA256",
] as const;

export const locations = ["weur", "eeur", "apac", "oc", "wnam", "enam"] as const;

export const deployUsage = `usage: npm run deploy -- [--name NAME] [--domain HOST] [--dry-run] [--json] ...

  --name NAME          the worker; with it the database NAME, the bucket NAME-snapshots, Pages NAME-dashboard (soneca)
  --domain HOST        where it answers, in a zone of the account; without it https://NAME.SUBDOMAIN.workers.dev; none: back to that
  --subdomain NAME     registers workers.dev for an account that has no subdomain yet
  --proxy-zone ZONE    services of instances at https://INSTANCE.ZONE (docs/PROXY.md); none: under /p/ alone
  --tunnels ZONE       machines by Cloudflare tunnels with names in that zone; wants TUNNEL_API_TOKEN; none: the relay
  --var NAME=VALUE     of the worker, an empty value takes it away: ${varNames.slice(0, 4).join(", ")},
                       ${varNames.slice(4, 9).join(", ")},
                       ${varNames.slice(9).join(", ")}
  --user NAME          a user of that name is made where there is none (without it: "first", where there is no user at all)
  --rotate SECRET      makes this secret anew, or takes it from the environment: ${secretNames.join(", ")}
  --secrets-out FILE   secrets that are made go there (mode 0600) and are not shown
  --cpu-ms N           CPU time of a request, for large downloads; Workers Paid only
  --location HINT      where database and bucket are made: ${locations.join(", ")}
  --account ID         the account, where the token sees several
  --no-pages           without the dashboard on Pages
  --dry-run            says what would be done and changes nothing; without credentials, what a new account would get
  --json               one JSON object a line

Credentials: CLOUDFLARE_API_TOKEN, or the session of \`npx wrangler login\`. VAST_API_KEY is asked for, or taken from the environment.
What an earlier run was told (domain, zone, variables) stays until it is said otherwise. docs/OPERATIONS.md`;

export interface DeployOptions {
  name: string;
  /** Null: as it is. `none`: on workers.dev. */
  domain: string | null;
  subdomain: string | null;
  proxyZone: string | null;
  tunnels: string | null;
  vars: Record<string, string>;
  user: string | null;
  rotate: readonly SecretName[];
  secretsOut: string | null;
  cpuMs: number | null;
  location: string | null;
  account: string | null;
  pages: boolean;
  dryRun: boolean;
  json: boolean;
}

export const usageError = (message: string) => new DeployError("usage", message, "See --help.");

/** A DNS label, short enough for `NAME-dashboard` and `NAME-snapshots`. */
export function readName(name: string): string {
  if (!/^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name))
    throw usageError(`--name takes small letters, digits and dashes, at most 40, not "${name}".`);
  return name;
}

function readHost(flag: string, text: string | undefined): string | null {
  if (text === undefined || text === "none") return text ?? null;
  if (!/^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$/.test(text))
    throw usageError(`${flag} takes a host name such as soneca.example.com, or none, not "${text}".`);
  return text;
}

/** Null: --help. Errors: DeployError `usage`. */
export function readDeployOptions(argv: readonly string[]): DeployOptions | null {
  const values = parse(argv);
  if (values.help) return null;
  const vars: Record<string, string> = {};
  for (const text of values.var ?? []) {
    const [name = "", ...rest] = text.split("=");
    if (rest.length === 0 || !varNames.some((known) => known === name))
      throw usageError(`--var takes NAME=VALUE with one of ${varNames.join(", ")}, not "${text}".`);
    vars[name] = rest.join("=");
  }
  const rotate = (values.rotate ?? []).map((name) => {
    const known = secretNames.find((one) => one === name);
    if (!known) throw usageError(`--rotate takes one of ${secretNames.join(", ")}, not "${name}".`);
    return known;
  });
  const cpuMs = values["cpu-ms"] === undefined ? null : Number(values["cpu-ms"]);
  if (cpuMs !== null && !(Number.isInteger(cpuMs) && cpuMs >= 10 && cpuMs <= 300_000))
    throw usageError("--cpu-ms takes a number from 10 to 300000.");
  const location = values.location ?? null;
  if (location !== null && !locations.some((one) => one === location))
    throw usageError(`--location takes one of ${locations.join(", ")}.`);
  return {
    name: readName(values.name ?? "soneca"),
    domain: readHost("--domain", values.domain),
    subdomain: values.subdomain ?? null,
    proxyZone: readHost("--proxy-zone", values["proxy-zone"]),
    tunnels: readHost("--tunnels", values.tunnels),
    vars,
    user: values.user ?? null,
    rotate,
    secretsOut: values["secrets-out"] ?? null,
    cpuMs,
    location,
    account: values.account ?? null,
    pages: !values["no-pages"],
    dryRun: values["dry-run"] ?? false,
    json: values.json ?? false,
  };
}

function parse(argv: readonly string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean" } as const;
  const many = { type: "string", multiple: true } as const;
  const options = {
    ...{ name: text, domain: text, subdomain: text, "proxy-zone": text, tunnels: text, var: many, user: text },
    ...{ rotate: many, "secrets-out": text, "cpu-ms": text, location: text, account: text, "no-pages": flag },
    ...{ "dry-run": flag, json: flag, help: flag },
  } as const;
  try {
    return parseArgs({ args: [...argv], options, strict: true }).values;
  } catch (error) {
    throw usageError((error as Error).message.replace(/\. To specify a positional.*$/s, "."));
  }
}
