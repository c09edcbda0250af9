/** Keys and ports of a local cloud, kept in its state folder so that a later start goes on with the same. */
import { randomBytes, randomInt } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/** What the caller did wrong, in words. */
export class CloudError extends Error {
  override name = "CloudError";
}

/** Kept in the state folder, mode 0600: a later start uses the same keys and ports. */
export interface Secrets {
  agentJwtSecret: string;
  /** SECRETS_KEYS of the worker. */
  secretsKeys: string;
  adminToken: string;
  vastApiKey: string;
  port: number;
  vastPort: number;
  apiToken: string | null;
  /** Null: no machine is reached through a tunnel. */
  tunnels: TunnelSecrets | null;
}

/** The account at the stand-in for Cloudflare. */
export interface TunnelSecrets {
  accountId: string;
  zoneId: string;
  zone: string;
  apiToken: string;
  port: number;
  connectorPort: number;
}

/** Errors: CloudError when the port that was asked for is taken. */
export async function readSecrets(
  stateDir: string,
  { port, hasTunnels }: { port: number | undefined; hasTunnels: boolean },
): Promise<Secrets> {
  const file = join(stateDir, "secrets.json");
  const known: Secrets | null = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
  if (port !== undefined && port !== known?.port && !(await isFree(port))) {
    throw new CloudError(`port ${port} is taken; say --port N for another one`);
  }
  const secrets: Secrets = known ?? {
    agentJwtSecret: randomBytes(32).toString("base64url"),
    secretsKeys: `1:${randomBytes(32).toString("base64url")}`,
    adminToken: `sna_${randomBytes(24).toString("base64url")}`,
    vastApiKey: randomBytes(32).toString("hex"),
    port: (await isFree(8787)) ? 8787 : await freePort(),
    vastPort: await freePort(),
    apiToken: null,
    tunnels: null,
  };
  // A state folder of before has none.
  secrets.secretsKeys ??= `1:${randomBytes(32).toString("base64url")}`;
  if (port !== undefined) secrets.port = port;
  // The ports of an earlier start may be taken by somebody else now.
  if (known && !(await isFree(secrets.port))) {
    if (port !== undefined) throw new CloudError(`port ${port} is taken; say --port N for another one`);
    secrets.port = await freePort();
  }
  if (known && !(await isFree(secrets.vastPort))) secrets.vastPort = await freePort();
  secrets.tunnels = hasTunnels ? await readTunnels(known?.tunnels ?? null) : null;
  saveSecrets(stateDir, secrets);
  return secrets;
}

async function readTunnels(known: TunnelSecrets | null): Promise<TunnelSecrets> {
  const portOf = async (port: number | undefined) => (port && (await isFree(port)) ? port : await freePort());
  return {
    accountId: known?.accountId ?? randomBytes(16).toString("hex"),
    zoneId: known?.zoneId ?? randomBytes(16).toString("hex"),
    zone: known?.zone ?? "machines.test",
    apiToken: known?.apiToken ?? randomBytes(32).toString("base64url"),
    port: await portOf(known?.port),
    connectorPort: await portOf(known?.connectorPort),
  };
}

export function saveSecrets(stateDir: string, secrets: Secrets): void {
  writeFileSync(join(stateDir, "secrets.json"), `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(false));
    server.listen(port, "127.0.0.1", () => server.close(() => done(true)));
  });
}

/**
 * A port that nobody listens on, below those that the system hands out for outgoing connections: there another program
 * would soon have it, and it is bound seconds later.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(20_000, 30_000);
    if (await isFree(port)) return port;
  }
  throw new CloudError("no free port was found between 20000 and 30000");
}
