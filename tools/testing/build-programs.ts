/**
 * Builds the two programs once for all tests that start them: a process of the built file begins in less than half the
 * time of one that reads the sources. In a folder of their own, so that what is tested is what the sources say now.
 */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildPrograms } from "../build.ts";

export default async function buildForTests(): Promise<() => void> {
  const dir = mkdtempSync(join(tmpdir(), "soneca-programs-"));
  // Some tests run them as nobody.
  chmodSync(dir, 0o755);
  await buildPrograms(dir);
  // Read by agent/testing/run-command.ts and cli/testing/program.ts.
  process.env.SONECA_AGENT_UNDER_TEST ??= join(dir, "soneca-agent.mjs");
  process.env.SONECA_CLI_UNDER_TEST ??= join(dir, "soneca.mjs");
  return () => rmSync(dir, { recursive: true, force: true });
}
