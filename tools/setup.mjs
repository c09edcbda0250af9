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
  const install = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
  });
  if (install.status !== 0) {
    process.stderr.write("soneca: npm ci failed; see the lines above\n");
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}
