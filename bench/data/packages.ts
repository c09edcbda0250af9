/** The npm packages that the data is made of: pinned, locked, never run; installed once into the bench's cache. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const here = join(import.meta.dirname, "../packages");
const installTimeoutMs = 600_000;

/**
 * Returns the `node_modules` folder, installed by `npm` from the registry that it is configured with; or why there is
 * none (no network, no npm). A half-made folder is removed.
 */
export async function installPackages(
  cacheDir: string,
  options: { npm?: string; signal?: AbortSignal } = {},
): Promise<{ ok: true; dir: string } | { ok: false; why: string }> {
  const lock = readFileSync(join(here, "package-lock.json"));
  const dir = join(cacheDir, `packages-${createHash("sha256").update(lock).digest("hex").slice(0, 12)}`);
  const done = join(dir, "complete");
  if (existsSync(done)) return { ok: true, dir: join(dir, "node_modules") };
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  for (const name of ["package.json", "package-lock.json"]) copyFileSync(join(here, name), join(dir, name));
  const why = await run(options.npm ?? "npm", dir, options.signal);
  if (why !== null) {
    rmSync(dir, { recursive: true, force: true });
    return { ok: false, why };
  }
  writeFileSync(done, "");
  return { ok: true, dir: join(dir, "node_modules") };
}

const flags = ["--ignore-scripts", "--omit=optional", "--legacy-peer-deps", "--no-audit", "--no-fund"];

function run(npm: string, cwd: string, signal?: AbortSignal): Promise<string | null> {
  return new Promise((resolve) => {
    const child = spawn(npm, ["ci", ...flags, "--loglevel=error"], {
      cwd,
      stdio: ["ignore", "ignore", "pipe"],
      timeout: installTimeoutMs,
      signal,
    });
    let words = "";
    child.stderr.on("data", (chunk) => {
      words = (words + chunk).slice(-600);
    });
    child.on("error", (error) => resolve(`npm ci: ${error.message}`));
    child.on("close", (code) => resolve(code === 0 ? null : `npm ci: exit ${code}. ${words.trim()}`));
  });
}
