/** `soneca instance discard`: the one command that can lose work, so it says what before it asks. */
import { createInterface } from "node:readline/promises";
import { command, follow, idArg, readWait, type Session, waitArgs } from "../command.ts";
import { burnWords } from "../cost-words.ts";
import { Failure, usageFailure } from "../failure.ts";
import { discardWords } from "../loss-words.ts";
import { statusPhrase } from "../status-words.ts";

export const discardCommand = command({
  name: "discard",
  description: "Give its machine back WITHOUT a snapshot: what is not in an earlier one is lost",
  args: {
    ...idArg,
    confirm: { type: "string", valueHint: "ID", description: "The whole id once more; asked for on a terminal" },
    ...waitArgs,
  },
  async run(session, args) {
    const wait = readWait(args);
    const { call, output, now } = session;
    const params = { id: await session.resolve(args.id) };
    const before = await call("getInstance", { params });
    if (!before.actions.includes("discard")) {
      throw new Failure(
        "action_not_allowed",
        `It cannot be discarded while it is ${before.state}.`,
        `It can: ${before.actions.join(", ")}.`,
        { status: 409, context: { actions: before.actions } },
      );
    }
    const words = discardWords(before, now);
    if (!output.json) {
      output.note(`Discard ${before.name} (${before.id})`);
      output.note(["Will be lost:", ...words.lost.map((one) => `  ${one}`)].join("\n"));
      output.note(["Will be kept:", ...words.kept.map((one) => `  ${one}`)].join("\n"));
      output.note(`Costs now: ${burnWords(before)}`);
    }
    const confirm = args.confirm ?? (await askFor(session, params.id));
    if (confirm !== params.id) {
      throw usageFailure(
        confirm === null ? "A discard wants its confirmation." : "The confirmation is not the id. Nothing was done.",
        `Say --confirm ${params.id} if that is what you want.`,
        { context: { instance_id: params.id, ...words } },
      );
    }
    const view = await call("discardInstance", { params, body: { confirm } });
    if (wait) {
      await follow(session, { goal: "discarded", first: view, troubleBefore: before.trouble?.at ?? null, ...wait });
      return;
    }
    output.document(view);
    output.print(
      view.status === "deleted"
        ? output.status(view.status, `${statusPhrase(view, now)}.`)
        : "Discarded. The machine is on the bill until the provider says that it is gone.",
    );
  },
});

/** Null where nobody is there to be asked. */
async function askFor({ output }: Session, id: string): Promise<string | null> {
  if (output.json || !process.stdin.isTTY || !process.stderr.isTTY) return null;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return (await prompt.question(`Type ${id} to discard it: `)).trim();
  } catch {
    return "";
  } finally {
    prompt.close();
  }
}
