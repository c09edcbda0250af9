// Installs the locked packages when they are missing or stale. Plain JavaScript without imports from node_modules,
// because it runs before anything is installed and under whichever node came with the machine's npm.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, "node_modules", ".setup");
// A hash of the content, not a time: git gives every file of a fresh clone a new time.
const wanted = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const present = existsSync(stamp) ? readFileSync(stamp, "utf8") : "";

if (present !== wanted) {
  process.stderr.write("soneca: installing packages (once, about half a minute)\n");
  const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
  run("npm", ["ci", ...quiet]);
  // npm leaves out optional packages that want a newer node than its own, and those are the native halves of the build
  // tools. The node that was just installed brings them; the lockfile decides, and is not written.
  const npm = process.env.npm_execpath;
  if (npm && Number.parseInt(process.versions.node, 10) < 22)
    run(join(root, "node_modules", "node", "bin", "node"), [npm, "install", "--no-save", ...quiet]);
  writeFileSync(stamp, wanted);
}

function run(program, words) {
  const { status } = spawnSync(program, words, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  process.stderr.write("soneca: the packages could not be installed; see the lines above\n");
  process.exit(1);
}
