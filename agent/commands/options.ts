/** The command line: which options each command takes, and what is said about a wrong one. */
import { parseArgs } from "node:util";
import { Stop } from "../snapshot/stop.ts";

const types = {
  store: { type: "string" },
  mirror: { type: "string" },
  id: { type: "string" },
  exclude: { type: "string", multiple: true },
  only: { type: "string", multiple: true },
  state: { type: "string" },
  epoch: { type: "string" },
  keep: { type: "string" },
  "older-than": { type: "string" },
  below: { type: "string" },
  "path-hex": { type: "string" },
  "passphrase-file": { type: "string" },
  encrypt: { type: "boolean" },
  "no-encrypt": { type: "boolean" },
  delete: { type: "boolean" },
  "no-owner": { type: "boolean" },
  partial: { type: "boolean" },
  data: { type: "boolean" },
  recursive: { type: "boolean", short: "r" },
  "dry-run": { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

export type OptionName = keyof typeof types;
export type Options = ReturnType<typeof parse>["values"];

export interface CommandShape {
  /** After the command's name. */
  usage: string;
  /** What it does, in a line. */
  about: string;
  /** Beside --store, --json and --help. */
  options: OptionName[];
  least: number;
  most: number;
}

const common: OptionName[] = ["store", "json", "help"];

/** Errors: Stop `usage`. */
export function parseOptions(
  name: string,
  shape: CommandShape,
  args: string[],
): { options: Options; positionals: string[] } {
  const bad = (message: string) => new Stop("usage", `${message}\nUsage: ${usageOf(name, shape)}`, false);
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    throw bad((error as Error).message.split(". To specify")[0]!);
  }
  const { values, positionals } = parsed;
  if (values.help) return { options: values, positionals };
  for (const option of Object.keys(values) as OptionName[]) {
    if (!common.includes(option) && !shape.options.includes(option)) throw bad(`${name} takes no --${option}`);
    if (values[option] === "") throw bad(`--${option} wants a value`);
  }
  if (positionals.length < shape.least)
    throw bad(`${name} wants ${shape.least === 1 ? "an argument" : `${shape.least} arguments`}`);
  if (positionals.length > shape.most) throw bad(`${name} does not know what to do with ${positionals[shape.most]}`);
  if (positionals.some((positional) => positional === "")) throw bad(`${name} was given an empty argument`);
  if (values.store === undefined) throw bad("--store is missing: where the snapshots lie");
  return { options: values, positionals };
}

function parse(args: string[]) {
  return parseArgs({ args, options: types, allowPositionals: true });
}

export function usageOf(name: string, { usage }: CommandShape): string {
  return `soneca-agent ${name} ${usage}`;
}

/** A whole number from `least`. Errors: Stop `usage`. */
export function wholeNumber(option: OptionName, text: string | undefined, least: number): number | null {
  if (text === undefined) return null;
  if (!/^\d{1,9}$/.test(text) || Number(text) < least)
    throw new Stop("usage", `--${option} wants a whole number from ${least}, not ${text}.`, false);
  return Number(text);
}
