/** Whether there is such a command, with such options. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { CommandDef } from "citty";
import { experimental_getWranglerCommands as getWranglerCommands } from "wrangler";
import { root as sonecaCommands } from "../../cli/root.ts";
import { root } from "./documents.ts";

const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };

/** Null, or what is wrong with it. */
export function complaintOf(words: string[]): string | null {
  const rest = words.filter((word, at) => at >= words.findIndex((one) => !/^[A-Z_]+=/.test(one)) && word !== "");
  const named = words.slice(0, words.length - rest.length).map((word) => complaintOfVariable(word.split("=")[0] ?? ""));
  const wrong = named.find((one) => one !== null);
  return wrong ?? complaintOfProgram(rest);
}

function complaintOfProgram([program = "", ...args]: string[]): string | null {
  const [first = "", ...rest] = args;
  if (program === "npm") return first === "run" ? complaintOfScript(rest) : complaintOfScript(args);
  if (program === "soneca") return complaintOfSoneca(args);
  if (program === "soneca-agent") return complaintOfHelp(agentHelp(), [first], optionsOf(args));
  if (program === "npx" && first === "wrangler") return complaintOfWrangler(rest);
  if (program === "export") return complaintOfVariable(first.split("=")[0] ?? "");
  if (program === "cd") return null;
  if (program === "git") return ["clone", "pull"].includes(first) ? null : `git ${first} is not expected`;
  if (program === "source") return complaintOfSoneca(args.map((word) => word.replaceAll(/[<()]/g, "")).slice(1));
  return `nobody knows ${program}`;
}

const optionsOf = (args: readonly string[]) =>
  args.filter((word) => /^--?[a-z]/.test(word)).map((word) => word.split("=")[0] ?? "");

function complaintOfScript([script = "", dashes, ...args]: string[]): string | null {
  const line = scripts[script];
  if (line === undefined) return `package.json has no script ${script}`;
  if (dashes !== undefined && dashes !== "--") return `npm itself takes ${dashes}: options go after --`;
  if (script === "soneca") return complaintOfSoneca(args);
  if (args.length === 0) return null;
  const file = /node [^&]*?(\S+\.(?:ts|mjs))$/.exec(line)?.[1];
  if (!file) return `${script} takes no words`;
  const verbs = script === "local" ? args.slice(0, 1) : [];
  return complaintOfHelp(helpOf(file), verbs, optionsOf(args));
}

function complaintOfHelp(help: string, verbs: string[], options: string[]): string | null {
  const missing = [...verbs, ...options].find(
    (word) => word !== "--help" && !new RegExp(`(^|[^\\w-])${word}(?![\\w-])`, "m").test(help),
  );
  return missing === undefined ? null : `--help does not name ${missing}`;
}

const helps = new Map<string, string>();
function helpOf(file: string): string {
  const known = helps.get(file);
  if (known !== undefined) return known;
  const argv = ["--disable-warning=ExperimentalWarning", join(root, file), "--help"];
  const { stdout, stderr } = spawnSync(process.execPath, argv, { encoding: "utf8", timeout: 30_000 });
  helps.set(file, stdout + stderr);
  return stdout + stderr;
}
const agentHelp = () => {
  const built = join(root, "dist/soneca-agent.mjs");
  return helpOf(existsSync(built) ? "dist/soneca-agent.mjs" : "agent/main.ts");
};

function complaintOfSoneca(args: string[]): string | null {
  if (args.join() === "...") return null;
  let command: CommandDef = sonecaCommands;
  let at = 0;
  for (; at < args.length; at++) {
    const next = (command.subCommands as Record<string, CommandDef> | undefined)?.[args[at] ?? ""];
    if (!next) break;
    command = next;
  }
  if (command.subCommands) return `soneca ${args.slice(0, at + 1).join(" ")} is no command`;
  const known = Object.entries((command.args ?? {}) as Record<string, { type?: string; alias?: string | string[] }>);
  const names = known.flatMap(([name, { alias }]) => [`--${name}`, ...[alias ?? []].flat().map((one) => `-${one}`)]);
  const end = args.indexOf("--");
  const own = end < 0 ? args.slice(at) : args.slice(at, end);
  const unknown = optionsOf(own).find((option) => !names.includes(option));
  return unknown === undefined ? null : `soneca ${args.slice(0, at).join(" ")} has no ${unknown}`;
}

interface WranglerNode {
  definition?: { type?: string; args?: Record<string, { alias?: string | string[] }> };
  subtree: Map<string, WranglerNode>;
}

function complaintOfWrangler(args: string[]): string | null {
  const { registry, globalFlags } = getWranglerCommands() as unknown as {
    registry: WranglerNode;
    globalFlags: Record<string, unknown>;
  };
  let node = registry;
  let at = 0;
  for (; at < args.length; at++) {
    const next = node.subtree.get(args[at] ?? "");
    if (!next) break;
    node = next;
  }
  if (node.definition?.type !== "command") return `wrangler ${args.slice(0, at + 1).join(" ")} is no command`;
  const names = [...Object.keys(node.definition.args ?? {}), ...Object.keys(globalFlags)].map((name) => `--${name}`);
  const unknown = optionsOf(args).find((option) => !names.includes(option));
  return unknown === undefined ? null : `wrangler ${args.slice(0, at).join(" ")} has no ${unknown}`;
}

let sources: string | null = null;
/** A variable that no program reads is one that nobody should be told to set. */
function complaintOfVariable(name: string): string | null {
  sources ??= ["deploy", "cli", "worker"]
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((one) => one.isFile() && one.name.endsWith(".ts") && !one.parentPath.includes(".tsout"))
    .map((one) => readFileSync(join(one.parentPath, one.name), "utf8"))
    .join("\n");
  return sources.includes(name) ? null : `nothing reads ${name}`;
}
