/** `soneca completion`: what a shell asks while somebody types. The shell's part is a few lines; the words come from the commands themselves. */
import { type CommandDef, defineCommand } from "citty";
import type { InstanceSummary } from "../../core/protocol/views.ts";
import { createClient } from "../client.ts";
import { localCommand } from "../command.ts";
import { findConnection } from "../connect.ts";

/** Nobody waits longer for a name. */
const askMs = 1_500;

const scripts = {
  bash: `_soneca() { local IFS=$'\\n'; COMPREPLY=($(soneca completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)); }
complete -o default -F _soneca soneca`,
  zsh: `#compdef soneca
_soneca() {
  local -a found
  found=("\${(@f)$(soneca completion words -- "\${words[@]:1:$((CURRENT-1))}" 2>/dev/null)}")
  compadd -a found
}
compdef _soneca soneca`,
  fish: `complete -c soneca -f -a '(soneca completion words -- (commandline -opc)[2..-1] (commandline -ct))'`,
} as const;

const installs = {
  bash: "echo 'source <(soneca completion bash)' >> ~/.bashrc",
  zsh: "soneca completion zsh > ~/.zfunc/_soneca",
  fish: "soneca completion fish > ~/.config/fish/completions/soneca.fish",
} as const;

/** `root`: asked late, because it holds this command itself. */
export function completionCommand(root: () => CommandDef): CommandDef {
  const shellCommand = (shell: keyof typeof scripts) =>
    localCommand({
      name: shell,
      description: `The lines for ${shell}: ${installs[shell]}`,
      args: {},
      run: async ({ output }) => {
        output.document({ shell, script: scripts[shell] });
        output.print(scripts[shell]);
      },
    });
  const words = localCommand({
    name: "words",
    description: "What could stand in place of the last of the words after --",
    args: {},
    hasRest: true,
    async run({ output, rest }) {
      const found = await completionsOf(root(), rest, instanceNames);
      output.document({ words: found });
      if (found.length > 0) output.print(found.join("\n"));
    },
  });
  return defineCommand({
    meta: { name: "soneca completion", description: "Complete commands, options and instances in bash, zsh or fish" },
    subCommands: { bash: shellCommand("bash"), zsh: shellCommand("zsh"), fish: shellCommand("fish"), words },
  });
}

/** `words`: typed so far, the last of them perhaps in part or empty. */
export async function completionsOf(
  root: CommandDef,
  words: readonly string[],
  names: () => Promise<string[]>,
): Promise<string[]> {
  let command = root;
  let positionals = 0;
  const typed = words.at(-1) ?? "";
  for (const word of words.slice(0, -1)) {
    const next = (command.subCommands as Record<string, CommandDef> | undefined)?.[word];
    if (next) command = next;
    else if (!word.startsWith("-")) positionals++;
  }
  const fits = (word: string) => word.startsWith(typed);
  const subCommands = command.subCommands as Record<string, CommandDef> | undefined;
  if (subCommands) return Object.keys(subCommands).filter(fits);
  const args = Object.entries((command.args ?? {}) as Record<string, { type?: string }>);
  if (typed.startsWith("-"))
    return args.flatMap(([name, { type }]) => (type === "positional" ? [] : [`--${name}`])).filter(fits);
  const place = args.filter(([, { type }]) => type === "positional")[positionals]?.[0];
  return place === "id" ? (await names()).filter(fits) : [];
}

/** Names and ids; none where the control plane does not answer at once: a shell is no place for errors. */
async function instanceNames(): Promise<string[]> {
  try {
    const connection = findConnection({ flags: {}, env: process.env, cwd: process.cwd() });
    const client = createClient({ ...connection, timeoutMs: askMs, maxWaitMs: 0 });
    const { instances } = await client.call("listInstances");
    return instances.flatMap(({ id, name }: InstanceSummary) =>
      /^[\w.-]+$/.test(name) && name !== id ? [name, id] : [id],
    );
  } catch {
    return [];
  }
}
