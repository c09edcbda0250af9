/** `soneca ssh` and `soneca cp`: onto the machine of an instance, wherever it is now. */
import { spawn } from "node:child_process";
import type { InstanceView } from "../../core/protocol/views.ts";
import { command, follow, idArg, readWait, type Session, waitArgs } from "../command.ts";
import { Failure, usageFailure } from "../failure.ts";

const wakeArgs = {
  wake: { type: "boolean", description: "Wake it first where it sleeps, and wait until it is there" },
  timeout: { ...waitArgs.timeout, description: "With --wake: how long to wait, as 90s, 30m, 2h (30m)" },
} as const;

export const sshCommand = command({
  name: "ssh",
  description: "Log in to the machine of an instance; after -- a command to run there",
  args: { ...idArg, ...wakeArgs },
  hasRest: true,
  async run(session, args) {
    const view = await awake(session, args);
    const { user, host, port } = addressOf(view);
    await become(session, "ssh", ["-p", port, ...hostKeyOptions(view), `${user}@${host}`, ...session.rest]);
  },
});

export const copyCommand = command({
  name: "cp",
  description: "Copy files to or from the machine of an instance: ID:PATH names one there",
  args: {
    from: { type: "positional", required: true, description: "PATH here, or ID:PATH there" },
    to: { type: "positional", required: true, description: "PATH here, or ID:PATH there" },
    recursive: { type: "boolean", alias: "r", description: "Folders with what is in them" },
    ...wakeArgs,
  },
  async run(session, args) {
    const [from, to] = [placeOf(args.from), placeOf(args.to)];
    if ((from.id === null) === (to.id === null))
      throw usageFailure("One of the two lies on a machine.", "Say ID:PATH for it, and the other as it is here.");
    const view = await awake(session, { ...args, id: (from.id ?? to.id)! });
    const { user, host, port } = addressOf(view);
    const there = ({ id, path }: Place) => (id === null ? path : `${user}@${host}:${path}`);
    const recursive = args.recursive ? ["-r"] : [];
    await become(session, "scp", ["-P", port, ...hostKeyOptions(view), ...recursive, there(from), there(to)]);
  },
});

interface Place {
  id: string | null;
  path: string;
}

/** As scp reads it: a colon before the first slash means another machine. */
export function placeOf(text: string): Place {
  const match = /^([^/:]+):(.*)$/s.exec(text);
  return match ? { id: match[1]!, path: match[2]! } : { id: null, path: text };
}

async function awake(
  session: Session,
  args: { id: string; wake?: boolean | undefined; timeout?: string | undefined },
): Promise<InstanceView> {
  if (args.timeout !== undefined && !args.wake) throw usageFailure("--timeout goes with --wake.");
  const params = { id: await session.resolve(args.id) };
  const view = await session.call("getInstance", { params });
  const isLeaving = view.status === "hibernating";
  // A machine that is about to go is one to wake: what is asked of it calls the sleep off, or brings the next one.
  if (view.machine?.ssh && view.status !== "waking" && !(isLeaving && args.wake)) {
    if (isLeaving)
      session.output.note(`${view.name} is hibernating: its machine is about to go. Say --wake to call that off.`);
    return view;
  }
  if (!args.wake) {
    throw new Failure(
      "action_not_allowed",
      `${view.name} is ${view.status}: there is nothing to log in to.`,
      "Say --wake to wake it first.",
      {
        status: 409,
        context: { state: view.state },
      },
    );
  }
  const wait = readWait({ wait: true, timeout: args.timeout });
  const first = await session.call("wakeInstance", { params });
  return follow(session, { goal: "awake", first, troubleBefore: view.trouble?.at ?? null, ...wait! });
}

function addressOf(view: InstanceView): { user: string; host: string; port: string } {
  const match = /^ssh -p (\d+) ([\w.-]+)@([\w.:-]+)$/.exec(view.machine?.ssh ?? "");
  if (match) return { port: match[1]!, user: match[2]!, host: match[3]! };
  throw new Failure(
    "not_found",
    `The provider tells of no way to log in to ${view.name}.`,
    "See `soneca instance show`; the machine may still come up.",
  );
}

/** A machine's address is used again by others: what is believed of a host is kept by instance and machine. */
function hostKeyOptions({ id, machine }: InstanceView): string[] {
  const alias = `soneca-${id}-${machine?.epoch ?? 0}`;
  return ["-o", `HostKeyAlias=${alias}`, "-o", "StrictHostKeyChecking=accept-new"];
}

/** Its terminal, its signals and its exit code are the program's. */
async function become({ output }: Session, program: string, argv: string[]): Promise<void> {
  if (output.json) output.document({ program, argv });
  const child = spawn(program, argv, { stdio: "inherit" });
  const ignore = () => undefined;
  process.on("SIGINT", ignore);
  try {
    process.exitCode = await new Promise<number>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve(code ?? (signal === null ? 1 : 128)));
    });
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw new Failure(
      "usage",
      isMissing
        ? `There is no ${program} on this machine.`
        : `${program} could not be started: ${(error as Error).message}`,
      "Install OpenSSH's client.",
    );
  } finally {
    process.removeListener("SIGINT", ignore);
  }
}
