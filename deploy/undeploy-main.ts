/** npm run undeploy: the opposite of npm run deploy. */
import { parseArgs } from "node:util";
import { DeployError } from "./error.ts";
import { readName, usageError } from "./options.ts";
import { createReport } from "./report.ts";
import { onlyAccount } from "./steps/account.ts";
import { type UndeployOptions, undeploy } from "./undeploy.ts";
import { askPlainly, openCloudflare } from "./world.ts";

const usage = `usage: npm run undeploy -- [--name NAME] [--dry-run] [--yes NAME] [--delete-snapshots] [--leave-machines] [--json]

  --name NAME          the worker that "npm run deploy" made (soneca); its database, dashboard and domains go with it
  --dry-run            says what would go and changes nothing
  --yes NAME           the name once more, instead of typing it
  --delete-snapshots   the bucket's objects as well; without it a bucket that holds any stays
  --leave-machines     although machines are rented: they stay so, and cost money until you end them at vast.ai
  --account ID         the account, where the token sees several
  --json               one JSON object a line`;

function readOptions(): (UndeployOptions & { account: string | null }) | null {
  const flag = { type: "boolean", default: false } as const;
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      options: {
        ...{ name: text, yes: text, account: text, help: flag, json: flag },
        ...{ "dry-run": flag, "delete-snapshots": flag, "leave-machines": flag },
      },
    });
    if (values.help) return null;
    return {
      name: readName(values.name ?? "soneca"),
      yes: values.yes ?? null,
      account: values.account ?? (process.env.CLOUDFLARE_ACCOUNT_ID || null),
      leaveMachines: values["leave-machines"],
      deleteSnapshots: values["delete-snapshots"],
      dryRun: values["dry-run"],
    };
  } catch (error) {
    throw error instanceof DeployError ? error : usageError((error as Error).message);
  }
}

const report = createReport(console.log, { json: process.argv.includes("--json"), secretsOut: null });
try {
  const options = readOptions();
  if (!options) {
    console.log(usage);
  } else {
    const cloudflare = await openCloudflare(process.env);
    const account = options.account ?? (await onlyAccount(cloudflare));
    const ask = process.stdin.isTTY ? askPlainly : null;
    process.exitCode = await undeploy(options, { cloudflare, account, ask }, report);
  }
} catch (error) {
  if (!(error instanceof DeployError)) throw error;
  report.fail("start", error);
  process.exitCode = error.code === "usage" ? 2 : 1;
}
