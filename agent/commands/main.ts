/** `soneca-agent snapshot | restore | verify | list | ls | cat | diff | gc | repack`: the engine by itself, with any store. */
import { failureOf, Stop } from "../snapshot/stop.ts";
import { catCommand, listCommand, lsCommand } from "./browse.ts";
import type { Command, Summary } from "./command.ts";
import { diffCommand, gcCommand } from "./compare.ts";
import { type Exit, exitOf, exits } from "./exit.ts";
import { parseOptions, usageOf } from "./options.ts";
import { type Output, openOutput } from "./output.ts";
import { parsePlace } from "./places.ts";
import { repackCommand } from "./repack.ts";
import { restoreCommand, snapshotCommand, verifyCommand } from "./snapshot.ts";

const commands: Record<string, Command> = {
  snapshot: snapshotCommand,
  restore: restoreCommand,
  verify: verifyCommand,
  list: listCommand,
  ls: lsCommand,
  cat: catCommand,
  diff: diffCommand,
  gc: gcCommand,
  repack: repackCommand,
};

export const snapshotCommands = Object.keys(commands);

/** `argv` begins with the command. Returns the exit code; the last line that it prints is the summary. */
export async function runSnapshotCommand(argv: string[]): Promise<Exit> {
  const [name = "", ...args] = argv;
  const command = commands[name];
  if (!command) throw new Error(`there is no command ${name}`);
  const abort = new AbortController();
  const onSignal = () => {
    // The second time nothing is waited for.
    if (abort.signal.aborted) process.exit(exits.interrupted);
    abort.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  // Nobody reads any more (`| head`): the work goes on all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreBrokenPipe);
  const end = args.indexOf("--");
  const output = openOutput(
    args.slice(0, end < 0 ? undefined : end).includes("--json"),
    command.writesBytes ? "stderr" : "stdout",
  );
  try {
    const { options, positionals } = parseOptions(name, command, args);
    if (options.help) {
      process.stdout.write(`${usageOf(name, command)}\n  ${command.about}\n${storeHelp}`);
      return exits.ok;
    }
    const place = parsePlace(options.store!);
    const { summary, text } = await command.run({ options, positionals, place, output, signal: abort.signal });
    return finish(output, summary, text);
  } catch (error) {
    return finish(output, failure(error, abort.signal.aborted), "");
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

export const snapshotHelp = Object.entries(commands)
  .map(([name, command]) => `  ${usageOf(name, command)}\n      ${command.about}`)
  .join("\n");

export const storeHelp = `
  STORE is a folder, s3://BUCKET/PREFIX (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION,
  AWS_ENDPOINT_URL for a server other than Amazon's), or the http(s):// address of a control plane (SONECA_TOKEN).
  An encrypted snapshot's passphrase is in SONECA_PASSPHRASE, or the first line of --passphrase-file.
  Exit codes: 0 done, 1 a bug or a failing machine, 2 wrong usage, 3 made but incomplete, 4 store unreachable,
  5 damaged or different, 6 no space, 7 refused, 8 not found, 130 interrupted (run it again to go on).
`;

function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

function failure(error: unknown, isAborted: boolean): Summary {
  try {
    return { ...failureOf(error) };
  } catch {
    if (isAborted) return { ...failureOf(new Stop("aborted", "The work was interrupted; it can be resumed.", true)) };
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    return { ok: false, code: "internal", message: "A bug of soneca-agent; see stderr.", retryable: false };
  }
}

function finish(output: Output, summary: Summary, text: string): Exit {
  const exit = summary.ok ? exits.ok : exitOf(summary.code ?? "internal");
  output.summary({ ...summary, exit }, text);
  return exit;
}
