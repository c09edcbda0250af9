// Compiles core/snapshot/kernels/assembly into core/snapshot/kernels/wasm.ts. That file is committed: the programs need
// no compiler, and a test compiles again and compares.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const root = join(import.meta.dirname, "..");
const target = join(root, "core/snapshot/kernels/wasm.ts");
/** 23 pages of 64 KiB: what assembly/layout.ts lays out. */
const pages = "23";

/** The text of wasm.ts. Errors: throws with the compiler's words. */
export function compileKernels(): string {
  const folder = mkdtempSync(join(tmpdir(), "soneca-kernels-"));
  try {
    const out = join(folder, "kernels.wasm");
    const options = ["-O3", "--enable", "simd", "--runtime", "stub", "--noAssert"];
    execFileSync(
      process.execPath,
      [
        join(root, "node_modules/assemblyscript/bin/asc.js"),
        "core/snapshot/kernels/assembly/index.ts",
        ...options,
        ...["--initialMemory", pages, "--maximumMemory", pages, "--outFile", out],
      ],
      { cwd: root, stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 },
    );
    const base64 = readFileSync(out).toString("base64");
    return [
      "// Made by tools/build-kernels.ts from core/snapshot/kernels/assembly. Do not edit: edit those and run it.",
      `// AssemblyScript ${compilerVersion()}.`,
      "// biome-ignore format: one line",
      `export const kernelsBase64 = "${base64}";`,
      "",
    ].join("\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function compilerVersion(): string {
  return JSON.parse(readFileSync(join(root, "node_modules/assemblyscript/package.json"), "utf8")).version;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) writeFileSync(target, compileKernels());
