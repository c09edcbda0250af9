/** From what a person types to one instance: its id, the beginning of its id, or its name. */
import { isInstanceId } from "../core/protocol/ids.ts";
import type { InstanceSummary } from "../core/protocol/views.ts";
import type { Client } from "./client.ts";
import { Failure } from "./failure.ts";
import { cleanDeep } from "./format.ts";
import { statusTable } from "./status-words.ts";

type Candidate = Pick<InstanceSummary, "id" | "name" | "status">;
/** `i-` alone would mean anything. */
const shortestPrefix = 3;

/** A whole id is taken as it is; anything else asks for the list. */
export async function resolveInstance(client: Client, text: string): Promise<string> {
  if (isInstanceId(text)) return text;
  const { instances } = await client.call("listInstances");
  return pickInstance(instances, text);
}

/** Errors: Failure `instance_not_found`, or `ambiguous` with the candidates. */
export function pickInstance(instances: readonly Candidate[], text: string): string {
  const matches = instances.filter(
    (one) => one.name === text || (text.length >= shortestPrefix && one.id.startsWith(text)),
  );
  const [first] = matches;
  if (!first) {
    throw new Failure(
      "instance_not_found",
      `No instance has the id or name "${text}".`,
      "List yours with `soneca ls`.",
      {
        status: 404,
      },
    );
  }
  if (matches.length === 1) return first.id;
  const lines = matches.map((one) => cleanDeep(`  ${one.id}  ${one.name}  ${statusTable[one.status].word}`).trimEnd());
  throw new Failure(
    "ambiguous",
    `"${text}" fits ${matches.length} instances:\n${lines.join("\n")}`,
    "Give the id, or more of it.",
    { context: { candidates: matches.map(({ id, name }) => ({ id, name })) } },
  );
}
