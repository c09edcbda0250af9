/**
 * Snapshots for the tests in workerd, where the engine does not run: made once, at the first request, by a process of their
 * own (e2e/make-snapshots.ts). `/` lists the objects of the store, `/<file>` is one of them, or what a workspace held.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

let made: Promise<string> | undefined;

// The types of workerd's own Request and Response are not those of Node; both have what is used here.
export async function serveRealSnapshots(request: { url: string }): Promise<Response> {
  made ??= makeSnapshots();
  const dir = await made;
  const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
  if (name !== "") return new Response(new Uint8Array(readFileSync(join(dir, name))));
  const files = readdirSync(join(dir, "store"), { recursive: true, encoding: "utf8" });
  return Response.json(
    files.filter((file) => statSync(join(dir, "store", file)).isFile()).map((file) => `store/${file}`),
  );
}

async function makeSnapshots(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "soneca-real-snapshots-"));
  process.on("exit", () => rmSync(dir, { recursive: true, force: true }));
  const program = join(import.meta.dirname, "../../e2e/make-snapshots.ts");
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", program, dir], { stdio: "inherit" });
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`e2e/make-snapshots.ts ended with ${code}`);
  return dir;
}
