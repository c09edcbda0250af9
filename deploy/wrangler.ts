/** wrangler as a port: what it does, it does in a process of its own, with its own retries. */
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { quietWrangler } from "../tools/wrangler-env.ts";
import { explain } from "./cloudflare.ts";
import { DeployError } from "./error.ts";

/** Not the file in bin/: that is a second process before it, which takes no signal along. */
const wranglerFile = join(import.meta.dirname, "../node_modules/wrangler/wrangler-dist/cli.js");
const timeoutMs = 300_000;

export interface WranglerRun {
  code: number | null;
  /** Both streams together. */
  output: string;
}

export interface Wrangler {
  /** `input`: secrets travel by it, never by an argument, which everybody on the machine can read. */
  run(argv: readonly string[], options?: { input?: string; cwd?: string }): Promise<WranglerRun>;
}

/** `env`: beside this process's own. `program`, `timeout`: of tests. */
export function createWrangler(
  env: Record<string, string | undefined>,
  { program = wranglerFile, timeout = timeoutMs } = {},
): Wrangler {
  return {
    run: (argv, { input = "", cwd } = {}) =>
      new Promise((done) => {
        if (cwd !== undefined) mkdirSync(cwd, { recursive: true });
        const child = spawn(process.execPath, ["--no-warnings", program, ...argv], {
          cwd,
          // Its log would hold what it was given.
          env: { ...process.env, ...quietWrangler, WRANGLER_WRITE_LOGS: "false", ...env },
          timeout,
          killSignal: "SIGKILL",
        });
        let output = "";
        const take = (chunk: Buffer) => {
          output += chunk.toString();
        };
        child.stdout.on("data", take);
        child.stderr.on("data", take);
        child.stdin.on("error", () => undefined);
        child.on("error", (error) => done({ code: null, output: String(error) }));
        child.on("close", (code) => done({ code, output: stripVTControlCharacters(output) }));
        child.stdin.end(input);
      }),
  };
}

const mayPass = /fetch failed|ECONNRESET|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|socket hang up|timed out|\[code: 1013\]/i;

/**
 * Runs it, and once more where the network failed it. `isDone`: asked before the second time, because the first may have been carried out.
 * Errors: DeployError in wrangler's words, with the permission that is missing.
 */
export async function runWrangler(
  wrangler: Wrangler,
  argv: readonly string[],
  options: { permission: string; input?: string; cwd?: string; isDone?: () => Promise<boolean> },
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const { code, output } = await wrangler.run(argv, options);
    if (code === 0) return output;
    const words = errorWords(output, code);
    if (attempt < 2 && mayPass.test(output)) {
      if (await options.isDone?.()) return output;
      continue;
    }
    const codes = [...words.matchAll(/\[code: (\d+)\]/g)].map((match) => Number(match[1]));
    const explained = explain(codes, words, options.permission);
    if (explained) throw explained;
    const hint = mayPass.test(output)
      ? "See whether this machine reaches api.cloudflare.com, then run it again."
      : "See what it says above; then run it again.";
    throw new DeployError("wrangler", `wrangler ${argv.slice(0, 3).join(" ")}: ${words}`, hint);
  }
}

/** What wrangler marks as an error, in one line. */
function errorWords(output: string, code: number | null): string {
  const at = output.indexOf("[ERROR]");
  const text = at < 0 ? output.split("\n").slice(-6).join(" ") : output.slice(at + "[ERROR]".length);
  const words = text
    .split(/If you think this is a bug|🪵/)[0]!
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, 600);
  return words === "" ? `it ended with ${code ?? "no exit code: it took too long, or could not start"}` : words;
}
