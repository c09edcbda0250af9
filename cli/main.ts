#!/usr/bin/env node
/** The `soneca` command line: hands the words to citty, and ends with the exit code of what came out. */
import { stripVTControlCharacters } from "node:util";
import { type CommandDef, renderUsage, runCommand } from "citty";
import { version } from "../core/protocol/version.ts";
import { configFilePath } from "./connect.ts";
import { exitCodeWords, Failure, usageFailure } from "./failure.ts";
import { Output } from "./output.ts";
import { root } from "./root.ts";

/** Options that every command knows may stand anywhere: they go to the end, where the command itself reads them. */
function sortGlobals(argv: string[]): string[] {
  const end = argv.indexOf("--");
  const head = end < 0 ? argv : argv.slice(0, end);
  const rest: string[] = [];
  const globals: string[] = [];
  for (let i = 0; i < head.length; i++) {
    const word = head[i]!;
    if (word === "--json" || /^--(url|token)=/.test(word)) globals.push(word);
    else if (word === "--url" || word === "--token") globals.push(word, ...head.slice(i + 1, ++i + 1));
    else rest.push(word);
  }
  return [...rest, ...globals, ...(end < 0 ? [] : argv.slice(end))];
}

async function showHelp(argv: string[], output: Output): Promise<string> {
  let command: CommandDef = root;
  let parent: CommandDef | undefined;
  for (const word of argv) {
    const next = (command.subCommands as Record<string, CommandDef> | undefined)?.[word];
    if (!next) break;
    [parent, command] = [command, next];
  }
  const usage = await renderUsage(command, parent);
  const footer =
    command === root
      ? `\n\n${exitCodesHelp()}\n\n${connectHelp()}`
      : "\n\nExit codes and where to connect: soneca --help";
  return output.plainUnlessColour(usage).replace(/ +$/gm, "").trimEnd() + footer;
}

function exitCodesHelp(): string {
  return ["EXIT CODES", "", ...exitCodeWords.map(([code, words]) => `  ${code}  ${words}`)].join("\n");
}

function connectHelp(): string {
  return [
    "WHERE TO CONNECT, the first that is there",
    "",
    "  --url, --token",
    "  SONECA_URL, SONECA_TOKEN",
    `  ${configFilePath(process.env)}   {"url": "https://...", "token": "snu_..."}`,
    "  .soneca/local.json of this folder or one above, written by a running local cloud (npm start)",
  ].join("\n");
}

async function main(argv: string[]): Promise<number> {
  const json = argv.includes("--json");
  const output = new Output({ json, env: process.env, out: process.stdout, err: process.stderr });
  try {
    const end = argv.indexOf("--");
    const options = end < 0 ? argv : argv.slice(0, end);
    if (options.includes("--help") || options.includes("-h") || argv.length === 0 || argv[0] === "help") {
      const words = argv.filter((word) => !word.startsWith("-") && word !== "help");
      process.stdout.write(`${await showHelp(words, output)}\n`);
      return 0;
    }
    const [only] = argv.filter((word) => word !== "--json");
    if (only === "--version" || only === "-v") {
      output.document({ version });
      output.print(version);
      return 0;
    }
    await runCommand(root, { rawArgs: sortGlobals(argv) });
    // A command that became another program ends as that one did.
    return Number(process.exitCode ?? 0);
  } catch (error) {
    const failure = asFailure(error);
    output.fail(failure);
    return failure.exitCode;
  }
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { name, message } = error as Error;
  if (name === "CLIError" && message === "No command specified.")
    return usageFailure("Which command? Some words are missing.", "See `soneca --help`.");
  if (name === "CLIError") return usageFailure(stripVTControlCharacters(message).replace(/\.?$/, "."));
  return new Failure(
    "internal",
    `Something broke in this program: ${message}`,
    "Report it with the command you gave.",
    {
      cause: error,
    },
  );
}

// A reader that leaves early, such as `head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
process.exitCode = await main(process.argv.slice(2));
