/**
 * A deployment as a list of steps. Each looks first and does only what differs, so a run that was cut off anywhere is continued by
 * the next one, and a dry run is the same list without the doing. The account is the only memory (ADR 22).
 */
import type { Context, Found, Result, World } from "./context.ts";
import { DeployError } from "./error.ts";
import type { DeployOptions } from "./options.ts";
import type { Report } from "./report.ts";
import { findAccount, findWorker, gatherSecrets } from "./steps/account.ts";
import { findAddress } from "./steps/address.ts";
import { deployPages } from "./steps/pages.ts";
import { makeBucket, makeDatabase, migrate } from "./steps/stores.ts";
import { makeFirstUser, waitForAnswer } from "./steps/users.ts";
import { configure, deployWorker, setSecrets } from "./steps/worker.ts";

/** Those before `database` change nothing but a subdomain that was asked for. */
export const deploySteps = {
  account: findAccount,
  worker: findWorker,
  keys: gatherSecrets,
  address: findAddress,
  database: makeDatabase,
  bucket: makeBucket,
  settings: configure,
  migrations: migrate,
  deploy: deployWorker,
  secrets: setSecrets,
  dashboard: deployPages,
  answer: waitForAnswer,
  user: makeFirstUser,
} satisfies Record<string, (context: Context) => Promise<Result>>;

const emptyFound = (): Found => ({
  account: "",
  worker: null,
  databaseId: null,
  url: null,
  customDomain: null,
  proxyZone: null,
  vars: {},
  drift: [],
  wanted: [],
  secrets: {},
  made: new Set(),
  buildId: "",
  isBuilt: false,
  dashboardUrl: null,
  userToken: null,
});

/** The exit code: 0, or 1 after a line that says which step failed, why, and what to do. */
export async function deploy(options: DeployOptions, world: World, report: Report): Promise<number> {
  const found = emptyFound();
  const context: Context = { options, world, found, tellSecrets: (named) => report.secrets(named) };
  for (const [name, step] of Object.entries(deploySteps)) {
    try {
      const { outcome, words } = await step(context);
      report.step(name, outcome, words);
    } catch (error) {
      if (!(error instanceof DeployError)) throw error;
      report.fail(name, error);
      return 1;
    }
  }
  end(options, found, report);
  return 0;
}

function end(options: DeployOptions, found: Found, report: Report): void {
  if (options.dryRun) {
    report.end({ event: "dry_run" }, "\nNothing was changed. Without --dry-run it is done.");
    return;
  }
  const { url, dashboardUrl, userToken } = found;
  const lines = [
    "",
    `control plane  ${url}`,
    ...(dashboardUrl === null ? [] : [`dashboard      ${dashboardUrl}   (sign in with a token)`]),
    "",
    "Next:",
    ...(userToken === null ? [] : [`  npm run soneca -- login ${url}      and the token above`]),
    `  npm run smoke -- ${url}`,
    '  npm run soneca -- instance create --gpu "RTX 4090" --wait',
  ];
  report.end({ event: "ready", url, dashboard: dashboardUrl, build: found.buildId }, lines.join("\n"));
}
