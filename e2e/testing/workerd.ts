/** One worker in the runtime itself, without the tools around it: there in a tenth of a second. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { build } from "esbuild";

export interface Workerd {
  url: string;
  close(): Promise<void>;
}

/** The program for this processor. */
const { default: program } = createRequire(import.meta.url)("workerd") as { default: string };

/** `vars`: text bindings. */
export async function startWorkerd(entry: string, vars: Record<string, string>): Promise<Workerd> {
  const folder = mkdtempSync(join(tmpdir(), "soneca-workerd-"));
  const outfile = join(folder, "worker.js");
  await build({ entryPoints: [entry], outfile, bundle: true, format: "esm", target: "es2023", logLevel: "warning" });
  const bindings = Object.entries(vars).map(([name, text]) => `(name = "${name}", text = ${JSON.stringify(text)})`);
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (
      modules = [(name = "worker", esModule = embed "worker.js")],
      compatibilityDate = "2026-10-01",
      bindings = [${bindings.join(", ")}],
    )),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`,
  );
  const child = spawn(program, ["serve", "config.capnp", "--control-fd=3"], {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const port = await readPort(child);
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function readPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`workerd ended with ${code}`)));
    child.once("error", reject);
    let text = "";
    (child.stdio[3] as Readable).on("data", (chunk: Buffer) => {
      text += chunk;
      const port = /"event":"listen".*"port":(\d+)/.exec(text)?.[1];
      if (port) resolve(Number(port));
    });
  });
}
