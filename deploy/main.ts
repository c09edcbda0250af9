/** npm run deploy: to a Cloudflare account, as often as one likes. See `deployUsage`, docs/OPERATIONS.md. */
import { deploy } from "./deploy.ts";
import { DeployError } from "./error.ts";
import { deployUsage, readDeployOptions } from "./options.ts";
import { createReport } from "./report.ts";
import { openWorld } from "./world.ts";

const argv = process.argv.slice(2);
const report = createReport(console.log, { json: argv.includes("--json"), secretsOut: null });
try {
  const options = readDeployOptions(argv);
  if (!options) {
    console.log(deployUsage);
  } else {
    const world = await openWorld(options.name, { mayLack: options.dryRun });
    process.exitCode = await deploy(options, world, createReport(console.log, options));
  }
} catch (error) {
  if (!(error instanceof DeployError)) throw error;
  report.fail("start", error);
  process.exitCode = error.code === "usage" ? 2 : 1;
}
