/** The snapshot commands as a program of their own, to be killed by tests. */
import { runSnapshotCommand } from "../commands/main.ts";

process.exitCode = await runSnapshotCommand(process.argv.slice(2));
