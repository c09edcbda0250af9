/**
 * npm test [-- VITEST ARGUMENTS]: vitest with the arguments; without any, every test.
 *
 *   e2e            waits for most of its time, and waits have limits: it goes first
 *   node, worker   work for most of theirs, at low priority: they take what e2e leaves
 *
 * The two run side by side, the output of e2e comes when both are done. Exit code 1 when one of them fails.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const vitest = [process.execPath, join(dirname(require.resolve("vitest/package.json")), "vitest.mjs"), "run"];
const args = process.argv.slice(2);

// The terminal gives the signal to all of us: they end, and then so does this.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => undefined);

process.exitCode = args.length > 0 ? await end(start([...vitest, ...args], "inherit")) : await runAll();

async function runAll(): Promise<number> {
  const low = process.platform === "win32" ? [] : ["nice", "-n", "10"];
  const e2e = start([...vitest, "--project", "e2e"], "pipe");
  const output: Buffer[] = [];
  for (const stream of [e2e.stdout, e2e.stderr]) stream?.on("data", (chunk) => output.push(chunk));
  const others = start([...low, ...vitest, "--project", "node", "--project", "worker"], "inherit");
  const codes = await Promise.all([end(e2e), end(others)]);
  process.stdout.write(`\n--- e2e ---\n${Buffer.concat(output)}`);
  return codes.every((code) => code === 0) ? 0 : 1;
}

function start([command, ...argv]: string[], output: "inherit" | "pipe"): ChildProcess {
  return spawn(command!, argv, { stdio: ["ignore", output, output] });
}

async function end(child: ChildProcess): Promise<number> {
  const [code] = await once(child, "close");
  return code ?? 1;
}
