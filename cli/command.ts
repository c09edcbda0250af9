/** What every command shares: its options, the strict reading of them, the connection, the output, the exit code. */
import { parseArgs } from "node:util";
import { type ArgsDef, type CommandContext, type CommandDef, defineCommand, type ParsedArgs } from "citty";
import type { AnswerOf, RouteName } from "../core/protocol/api.ts";
import type { CallArgs } from "../core/protocol/call.ts";
import { version } from "../core/protocol/version.ts";
import type { InstanceView } from "../core/protocol/views.ts";
import { type Client, createClient } from "./client.ts";
import { findConnection } from "./connect.ts";
import { usageFailure } from "./failure.ts";
import { cleanDeep } from "./format.ts";
import { Output } from "./output.ts";
import { resolveInstance } from "./resolve.ts";
import { readDurationMs } from "./settings.ts";
import { type Goal, waitFor } from "./wait.ts";

export const globalArgs = {
  json: { type: "boolean", description: "One JSON document on stdout (several lines with --follow and --wait)" },
  url: { type: "string", valueHint: "URL", description: "The control plane; else SONECA_URL" },
  token: { type: "string", valueHint: "TOKEN", description: "The API token; else SONECA_TOKEN" },
} as const satisfies ArgsDef;

export const idArg = {
  id: { type: "positional", required: true, description: "Id, beginning of an id, or name" },
} as const satisfies ArgsDef;

export const waitArgs = {
  wait: { type: "boolean", description: "Stay until it has come true, and show each step" },
  timeout: { type: "string", valueHint: "TIME", description: "With --wait: 90s, 30m, 2h (30m)" },
} as const satisfies ArgsDef;

export interface Session {
  output: Output;
  client: Client;
  source: string;
  now: number;
  /** Options that may be given several times. */
  all(name: string): string[];
  /** What stands after `--`, where the command takes it. */
  rest: string[];
  /** The instance that a person means. */
  resolve(text: string): Promise<string>;
  /** Answers are made safe for a terminal when they are for people; with --json they stay as they are. */
  call<N extends RouteName>(name: N, ...input: CallArgs<N>): Promise<AnswerOf<N>>;
}

interface Definition<T extends ArgsDef> {
  name: string;
  alias?: string;
  description: string;
  args: T;
  /** Whether it takes words after `--`. */
  hasRest?: boolean;
  /** Whether what it asks for is told without a token. */
  isOpen?: boolean;
  run(session: Session, args: ParsedArgs<T>): Promise<void>;
}

export function command<const T extends ArgsDef>(definition: Definition<T>): CommandDef<T & typeof globalArgs> {
  const args: T & typeof globalArgs = { ...definition.args, ...globalArgs };
  const { name, alias, description } = definition;
  return defineCommand<T & typeof globalArgs>({
    meta: { name, description, ...(alias && { alias }) },
    args,
    async run(context: CommandContext<T & typeof globalArgs>) {
      const { values, rest } = readStrictly(context.rawArgs, args, definition.hasRest);
      const session = openSession(values, rest, definition.isOpen);
      await definition.run(session, context.args as unknown as ParsedArgs<T>);
    },
  });
}

export interface LocalSession {
  output: Output;
  /** Options that may be given several times. */
  all(name: string): string[];
  /** What stands after `--`, where the command takes it. */
  rest: string[];
}

/** A command that works on this machine alone and asks no control plane. */
export function localCommand<const T extends ArgsDef>(
  definition: Omit<Definition<T>, "run"> & { run(session: LocalSession, args: ParsedArgs<T>): Promise<void> },
): CommandDef<T & Pick<typeof globalArgs, "json">> {
  const args: T & Pick<typeof globalArgs, "json"> = { ...definition.args, json: globalArgs.json };
  return defineCommand<T & Pick<typeof globalArgs, "json">>({
    meta: { name: definition.name, description: definition.description },
    args,
    async run(context: CommandContext<T & Pick<typeof globalArgs, "json">>) {
      const { values, rest } = readStrictly(context.rawArgs, args, definition.hasRest);
      const session = { output: openOutput(values), all: (name: string) => allOf(values, name), rest };
      await definition.run(session, context.args as unknown as ParsedArgs<T>);
    },
  });
}

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>;

const repeatable = new Set([
  "set",
  "policy",
  "unset",
  "setting",
  "window",
  "skip",
  "wake-once",
  "sleep-once",
  "instance",
]);

/** citty lets unknown options and spare arguments pass; a mistyped --max-price must not rent at any price. */
function readStrictly(rawArgs: string[], args: ArgsDef, hasRest = false): { values: Values; rest: string[] } {
  const end = hasRest ? rawArgs.indexOf("--") : -1;
  const rest = end < 0 ? [] : rawArgs.slice(end + 1);
  const options = Object.entries(args).filter(([, one]) => one.type !== "positional");
  const positionals = Object.values(args).filter((one) => one.type === "positional").length;
  let parsed: { values: Values; positionals: string[] };
  try {
    parsed = parseArgs({
      args: end < 0 ? rawArgs : rawArgs.slice(0, end),
      options: Object.fromEntries(
        options.map(([name, one]) => [
          name,
          {
            type: one.type === "boolean" ? ("boolean" as const) : ("string" as const),
            multiple: true,
            ...(shortOf(one) && { short: shortOf(one) }),
          },
        ]),
      ),
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    throw usageFailure((error as Error).message.replace(/\. To specify a positional.*$/s, "."));
  }
  const spare = parsed.positionals.slice(positionals);
  if (spare.length > 0) throw usageFailure(`"${spare[0]}" is one argument too many.`);
  for (const [name, given] of Object.entries(parsed.values)) {
    if (repeatable.has(name) || !Array.isArray(given)) continue;
    if (given.length > 1 && given.some((one) => typeof one === "string"))
      throw usageFailure(`--${name} is given more than once.`);
    if (given.some((one) => one === "")) throw usageFailure(`--${name} is empty.`);
  }
  return { values: parsed.values, rest };
}

/** `-o` of `--output`. */
function shortOf(one: ArgsDef[string]): string | undefined {
  const { alias } = one as { alias?: string | string[] };
  return [alias ?? []].flat().find((name) => name.length === 1);
}

function firstOf(values: Values, name: string): string | boolean | undefined {
  const given = values[name];
  return Array.isArray(given) ? given[0] : given;
}

function allOf(values: Values, name: string): string[] {
  return [values[name] ?? []].flat().filter((one) => typeof one === "string") as string[];
}

function openOutput(values: Values): Output {
  const json = firstOf(values, "json") === true;
  return new Output({ json, env: process.env, out: process.stdout, err: process.stderr });
}

function openSession(values: Values, rest: string[], isOpen = false): Session {
  const { env } = process;
  const first = (name: string) => firstOf(values, name);
  const output = openOutput(values);
  const connection = findConnection({
    flags: { url: asText(first("url")), token: asText(first("token")) },
    env,
    cwd: process.cwd(),
    isOpen,
  });
  const client = createClient({ ...connection, userAgent: `soneca/${version}` });
  return {
    output,
    client,
    source: connection.source,
    now: Date.now(),
    all: (name) => allOf(values, name),
    rest,
    resolve: (text) => resolveInstance(client, text),
    call: async (name, ...input) => {
      const answer = await client.call(name, ...input);
      return output.json ? answer : cleanDeep(answer);
    },
  };
}

function asText(value: string | boolean | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** What --wait and --timeout ask for; null without --wait. Errors: Failure `usage`. */
export function readWait(args: {
  wait?: boolean | undefined;
  timeout?: string | undefined;
}): { timeoutMs: number } | null {
  if (args.timeout !== undefined && !args.wait) throw usageFailure("--timeout goes with --wait.");
  if (!args.wait) return null;
  return { timeoutMs: args.timeout === undefined ? 30 * 60_000 : readDurationMs("--timeout", args.timeout) };
}

/** Follows the instance to its goal; a person who leaves learns that it goes on. */
export async function follow(
  session: Session,
  options: { goal: Goal; first: InstanceView; troubleBefore: string | null; timeoutMs: number },
): Promise<InstanceView> {
  const { output } = session;
  const params = { id: options.first.id };
  const leave = () => {
    output.note("Not cancelled: it goes on without this window.");
    process.exit(130);
  };
  process.on("SIGINT", leave);
  try {
    const view = await waitFor({ ...options, output, get: () => session.call("getInstance", { params }) });
    output.endLine();
    output.document({ type: "done", instance: view }, "line");
    return view;
  } finally {
    process.removeListener("SIGINT", leave);
  }
}
