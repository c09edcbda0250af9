/** The command line of the agent. */
import { parseArgs } from "node:util";
import { version } from "../core/protocol/version.ts";
import { exits } from "./commands/exit.ts";
import { runSnapshotCommand, snapshotCommands, snapshotHelp, storeHelp } from "./commands/main.ts";
import { native } from "./fs/native.ts";
import { withKept } from "./installed.ts";

const help = `soneca-agent ${version}

  soneca-agent run -- COMMAND ...   run it, and hold the machine awake until it ends
  soneca-agent run [--log FILE]     report to the control plane, and do what it asks for
  soneca-agent doctor [--json]      look at everything the agent needs
  soneca-agent uninstall [--json]   end it and remove it from this machine; the workspace stays
  soneca-agent --version | --help

Environment of \`run\` and \`doctor\`:
  SONECA_URL        the control plane
  SONECA_TOKEN      the agent's token; a renewed one is kept in SONECA_HOME/token
  SONECA_INSTANCE   } taken from the token when missing
  SONECA_EPOCH      }
  SONECA_WORKSPACE  what is kept (DATA_DIRECTORY, then /workspace)
  SONECA_HOME       the agent's own files (/var/lib/soneca, then ~/.soneca-agent), outside the workspace

Exit codes of \`run\`: 0 asked to end, 2 wrong usage, 6 runs already, 7 replaced by a newer machine, 8 a new agent waits;
of \`run -- COMMAND\`: the command's own, 127 where there is none, 126 where it cannot be run.

Snapshots by hand:
${snapshotHelp}
${storeHelp}`;

async function main(argv: string[]): Promise<number> {
  const [command, ...rest] = argv;
  if (command === "--help" || command === "-h" || command === "help") return print(help);
  if (command === "--version" || command === "-V") return print(`${version}\n`);
  if (command === undefined) return refuse("no command was given");
  if (snapshotCommands.includes(command)) return runSnapshotCommand(argv);
  // Loaded where they are asked for: a snapshot by hand needs nothing of the control plane.
  switch (command) {
    case "run": {
      if (rest[0] === "--") {
        if (rest.length === 1) return refuse("run -- wants a command");
        const { runHeld } = await import("./hold.ts");
        return runHeld(rest.slice(1), process.env);
      }
      const { values } = parseArgs({
        args: rest,
        options: { log: { type: "string" }, help: { type: "boolean", short: "h" } },
      });
      if (values.help) return print(help);
      const [{ runAgent }, { createEngine }] = await Promise.all([import("./run.ts"), import("./engine.ts")]);
      return runAgent({ env: process.env, logFile: values.log ?? null, createEngine });
    }
    case "doctor":
    case "uninstall": {
      const { values } = parseArgs({
        args: rest,
        options: { json: { type: "boolean" }, help: { type: "boolean", short: "h" } },
      });
      if (values.help) return print(help);
      const json = values.json === true;
      if (command === "uninstall") {
        const { runUninstall } = await import("./uninstall.ts");
        return runUninstall({ env: process.env, json });
      }
      const { runDoctor } = await import("./doctor.ts");
      return runDoctor({ env: withKept(process.env), hasNative: native !== null, json });
    }
    default:
      return refuse(`there is no command "${command}"`);
  }
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

function refuse(message: string): number {
  process.stderr.write(`soneca-agent: ${message}\nTry: soneca-agent --help\n`);
  return exits.usage;
}

function isUsageError(error: unknown): error is Error {
  return error instanceof Error && String((error as { code?: unknown }).code).startsWith("ERR_PARSE_ARGS");
}

/** Where stdout is a pipe, what was written may still wait for its reader. */
async function exit(code: number): Promise<never> {
  for (const stream of [process.stdout, process.stderr]) await new Promise((done) => stream.write("", done));
  process.exit(code);
}

main(process.argv.slice(2)).then(exit, (error) => {
  if (isUsageError(error)) return exit(refuse(error.message));
  process.stderr.write(`soneca-agent: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return exit(1);
});
