// Builds the two programs that leave this repository, each one file for Node 22, and the files the worker serves.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { constants, zstdCompressSync } from "node:zlib";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { startScript } from "../core/protocol/boot/start-script.ts";
import { installScript } from "../core/protocol/bootstrap.ts";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const deployedEntry = "worker/index.ts";

const common: BuildOptions = {
  bundle: true,
  platform: "node",
  target: "node22",
  format: "esm",
  legalComments: "none",
  logLevel: "warning",
};

/** Writes dist/soneca-agent.mjs, dist/soneca.mjs and dist/public, the files that the worker serves. */
export async function buildAll(): Promise<void> {
  await buildPrograms(dist);
  await buildDashboard();
  writePublic(join(dist, "public"), join(dist, "dashboard"), readFileSync(join(dist, "soneca-agent.mjs")));
}

/** Writes `dir`/soneca-agent.mjs and `dir`/soneca.mjs. */
export async function buildPrograms(dir: string): Promise<void> {
  await Promise.all([
    buildAgent(join(dir, "soneca-agent.mjs")),
    build({ ...common, entryPoints: [join(root, "cli/main.ts")], outfile: join(dir, "soneca.mjs") }),
  ]);
}

/**
 * Writes `dir`/worker.js and `dir`/public: what a local cloud runs. In a folder of its own, so that neither an edit of
 * a source nor another build changes a cloud that runs. `entry`: another worker than the one that is deployed.
 */
export async function buildCloud(dir: string, entry = deployedEntry): Promise<void> {
  const [built, dashboard] = await Promise.all([
    buildOnce("cloud", ["agent", "core", "tools", "worker"], buildCloudPrograms),
    keptDashboard(),
  ]);
  mkdirSync(dir, { recursive: true });
  if (entry === deployedEntry) cpSync(join(built, "worker.js"), join(dir, "worker.js"));
  else await buildWorker(entry, join(dir, "worker.js"));
  writePublic(join(dir, "public"), dashboard, readFileSync(join(built, "soneca-agent.mjs")));
}

async function buildCloudPrograms(dir: string): Promise<void> {
  await Promise.all([buildAgent(join(dir, "soneca-agent.mjs")), buildWorker(deployedEntry, join(dir, "worker.js"))]);
}

/**
 * The folder of what `make` makes of these sources, which is kept for the next that asks. Several may ask at once: each makes its own,
 * the first is kept. What others left here is deleted a day later: one of them may just be read.
 */
async function buildOnce(name: string, folders: string[], make: (dir: string) => Promise<void>): Promise<string> {
  const kept = join(dist, "kept");
  const dir = join(kept, `${name}-${hashOfSources(folders).slice(0, 16)}`);
  if (existsSync(dir)) return dir;
  const fresh = mkdtempSync(join(mkdirp(kept), `fresh-${name}-`));
  await make(fresh);
  try {
    renameSync(fresh, dir);
  } catch (error) {
    if (!existsSync(dir)) throw error;
    rmSync(fresh, { recursive: true });
  }
  const yesterday = Date.now() - 24 * 3_600_000;
  for (const other of readdirSync(kept)) {
    const path = join(kept, other);
    if (path === dir || !other.includes(`${name}-`)) continue;
    // Another start may just have finished what it made, and taken this name away.
    const made = statSync(path, { throwIfNoEntry: false });
    if (made && made.mtimeMs < yesterday) rmSync(path, { recursive: true, force: true });
  }
  return dir;
}

async function buildWorker(entry: string, outfile: string): Promise<void> {
  await build({
    bundle: true,
    format: "esm",
    target: "es2023",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    logLevel: "warning",
    entryPoints: [join(root, entry)],
    outfile,
  });
}

async function buildAgent(outfile: string): Promise<void> {
  await build({
    ...common,
    entryPoints: [join(root, "agent/main.ts")],
    outfile,
    // Each start reads all of it. Names stay, for the stack of a bug.
    minifyWhitespace: true,
    minifySyntax: true,
    // `ws` is CommonJS and asks for node's own modules. What else it would take where it is there is left out.
    banner: {
      js: 'import { createRequire as nodeRequire } from "node:module"; const require = nodeRequire(import.meta.url);',
    },
    alias: { bufferutil: join(root, "tools/nothing.cjs"), "utf-8-validate": join(root, "tools/nothing.cjs") },
    // The FFI addon travels inside the file, one per processor; agent/fs/native.ts picks and loads it.
    plugins: [nativeAddons, coderThread, lightHttp],
  });
}

/** Writes dist/dashboard, which is what Pages serves. */
export async function buildDashboard(): Promise<void> {
  const to = join(dist, "dashboard");
  const built = await keptDashboard();
  rmSync(to, { recursive: true, force: true });
  cpSync(built, to, { recursive: true });
}

function keptDashboard(): Promise<string> {
  return buildOnce("dashboard", ["core/lifecycle", "core/protocol", "dashboard", "tools"], bundleDashboard);
}

/** In a process of its own: where a test builds it, it is the same page as anywhere. */
export async function bundleDashboard(outDir: string): Promise<void> {
  const argv = [
    join(root, "node_modules/vite/bin/vite.js"),
    "build",
    "--config",
    join(root, "dashboard/vite.config.ts"),
  ];
  const env = { ...process.env, NODE_ENV: "production" };
  await promisify(execFile)(process.execPath, [...argv, "--outDir", outDir], { cwd: root, env, timeout: 120_000 });
  writeReference(join(outDir, "reference"));
}

/** The page that shows /api/openapi.json: Swagger UI as its makers built it, and the few lines that start it. */
function writeReference(dir: string): void {
  cpSync(join(root, "dashboard/reference"), dir, { recursive: true });
  cpSync(join(root, "dashboard/look/favicon.svg"), join(dir, "favicon.svg"));
  for (const name of ["swagger-ui.css", "swagger-ui-bundle.js", "LICENSE", "NOTICE"])
    cpSync(join(root, "node_modules/swagger-ui-dist", name), join(dir, name));
}

function mkdirp(dir: string): string {
  mkdirSync(dir, { recursive: true });
  return dir;
}

/** Of the lockfile and all files of these folders. */
export function hashOfSources(folders: string[]): string {
  const hash = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  for (const folder of folders) {
    const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((one) => one.isFile() && !one.parentPath.includes(".tsout"))
      .map((one) => join(one.parentPath, one.name))
      .sort();
    for (const file of files) hash.update(file).update(readFileSync(file));
  }
  return hash.digest("hex");
}

function writePublic(dir: string, dashboard: string, agent: Uint8Array): void {
  rmSync(dir, { recursive: true, force: true });
  cpSync(dashboard, dir, { recursive: true });
  const folder = join(dir, "agent");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "soneca-agent.mjs"), agent);
  const sha256 = createHash("sha256").update(agent).digest("hex");
  writeFileSync(join(folder, "soneca-agent.mjs.sha256"), `${sha256}  soneca-agent.mjs\n`);
  writeFileSync(join(folder, "install.sh"), installScript());
  writeFileSync(join(folder, "start.sh"), startScript());
}

/** `soneca:koffi-linux-x64` becomes the addon's bytes; an agent built without it says in `stats.degraded` what it lacks. */
const nativeAddons: Plugin = {
  name: "native-addons",
  setup(builder) {
    builder.onResolve({ filter: /^soneca:koffi-/ }, ({ path }) => {
      const addon = join(root, "node_modules/@koromix", path.slice("soneca:".length), "linux_x64/koffi.node");
      if (existsSync(addon)) return { path: addon, namespace: "addon" };
      const text = `${addon} is not installed: this agent keeps no extended attributes. Run: npm install --no-save --os=linux --cpu=x64 koffi`;
      return { path, external: true, warnings: [{ text }] };
    });
    // As a module of its own: esbuild's binary loader makes CommonJS, whose import copies every byte as a property.
    builder.onLoad({ filter: /.*/, namespace: "addon" }, ({ path }) => {
      const base64 = zstdCompressSync(readFileSync(path), {
        params: { [constants.ZSTD_c_compressionLevel]: 19 },
      }).toString("base64");
      const contents = `import { zstdDecompressSync } from "node:zlib";
export default zstdDecompressSync(Buffer.from("${base64}", "base64"));`;
      return { contents, loader: "js" };
    });
  },
};

/** `soneca:coder-thread` becomes the program of a coder thread, as text: threads of the one-file agent start from it. */
const coderThread: Plugin = {
  name: "coder-thread",
  setup(builder) {
    builder.onResolve({ filter: /^soneca:coder-thread$/ }, ({ path }) => ({ path, namespace: "thread" }));
    builder.onLoad({ filter: /.*/, namespace: "thread" }, async () => ({
      contents: await bundleThread(),
      loader: "text",
    }));
  },
};

/** An `import` of node:http reads every export of it, and one is a getter that loads all of fetch; `require` does not. */
const lightHttp: Plugin = {
  name: "light-http",
  setup(builder) {
    builder.onResolve({ filter: /^node:https?$/ }, ({ path, kind }) =>
      kind === "import-statement" ? { path, namespace: "required" } : { path, external: true },
    );
    builder.onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
      contents: `module.exports = require("${path}");`,
    }));
  },
};

export async function bundleThread(): Promise<string> {
  const entryPoints = [join(root, "agent/snapshot/coder-thread.ts")];
  const { outputFiles } = await build({ ...common, entryPoints, minify: true, write: false });
  return outputFiles![0]!.text;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await buildAll();
