/** The dashboard on Pages: a project whose /api/ is the worker, over a service binding. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readWranglerToml } from "../../tools/wrangler-toml.ts";
import type { Cloudflare } from "../cloudflare.ts";
import { pagesConfig, projectOf } from "../config.ts";
import { alreadyThere, type Context, done, permissions, type Result, skipped, wouldDo } from "../context.ts";
import { DeployError } from "../error.ts";
import { runWrangler } from "../wrangler.ts";
import { buildOnce } from "./worker.ts";

const pages = { permission: permissions.pages };
const branch = "main";

export interface PagesProject {
  subdomain?: string;
  canonical_deployment?: { deployment_trigger?: { metadata?: { commit_message?: string } } } | null;
}

export function findProject(cloudflare: Cloudflare, account: string, project: string): Promise<PagesProject | null> {
  return cloudflare.get<PagesProject>(`/accounts/${account}/pages/projects/${project}`, {
    ...pages,
    absent: [8000007],
  });
}

// What it was deployed of is kept where Pages keeps a commit's words.
const messageOf = (project: PagesProject | null) =>
  project?.canonical_deployment?.deployment_trigger?.metadata?.commit_message;

/** Whether a project is one that `deployPages` deployed. */
export const isDeployed = (project: PagesProject | null): boolean => messageOf(project)?.startsWith("soneca ") ?? false;

export async function deployPages(context: Context): Promise<Result> {
  const { options, world, found } = context;
  if (!options.pages) return skipped("--no-pages");
  const project = projectOf(options.name);
  const look = () => findProject(world.cloudflare, found.account, project);
  let there = await look();
  const message = `soneca ${found.buildId}`;
  const isSame = messageOf(there) === message;
  if (there?.subdomain) found.dashboardUrl = `https://${there.subdomain}`;
  if (isSame) return alreadyThere(`${found.dashboardUrl}, build ${found.buildId}`);
  if (options.dryRun) return wouldDo(`${there ? "" : `pages project create ${project}, `}pages deploy`);
  const wrangler = world.wrangler(found.account);
  const cwd = await writeFolder(context);
  if (!there) {
    const argv = ["pages", "project", "create", project, "--production-branch", branch];
    await runWrangler(wrangler, argv, { ...pages, cwd, isDone: async () => (await look()) !== null });
    there = await look();
    if (!there)
      throw new DeployError("not_found", `${project} was made and is not found.`, "Run it again in a moment.");
  }
  await buildOnce(context);
  const argv = ["pages", "deploy", "--branch", branch, "--commit-message", message, "--commit-dirty=true"];
  await runWrangler(wrangler, argv, { ...pages, cwd });
  found.dashboardUrl = there.subdomain ? `https://${there.subdomain}` : null;
  return done(`${found.dashboardUrl ?? project}, build ${found.buildId}`);
}

/** Pages takes its configuration from the folder that it is started in, and from no other. */
async function writeFolder({ options, world }: Context): Promise<string> {
  const folder = join(world.workDir, "pages");
  mkdirSync(folder, { recursive: true });
  const source = join(world.root, "dashboard");
  cpSync(join(source, "functions"), join(folder, "functions"), { recursive: true });
  cpSync(join(source, "package.json"), join(folder, "package.json"));
  const config = pagesConfig(readWranglerToml(world.root), options.name, join(world.root, "dist/dashboard"));
  writeFileSync(join(folder, "wrangler.json"), `${JSON.stringify(config, null, 2)}\n`);
  return folder;
}
