/** The one of a list that a person means: by its id, the beginning of it, or its name. */
import { Failure } from "./failure.ts";

interface Words {
  /** "You have no channel" */
  none: string;
  /** "channels" */
  many: string;
  /** The command that lists them. */
  listed: string;
}

/** Errors: Failure object_not_found, ambiguous. */
export function pickOne<T extends { id: string; name: string }>(all: readonly T[], wanted: string, words: Words): T {
  const exact = all.filter((one) => one.id === wanted);
  const fits = (one: T) => one.name === wanted || (wanted.length >= 4 && one.id.startsWith(wanted));
  const [first, ...others] = exact.length > 0 ? exact : all.filter(fits);
  if (!first) {
    const said = `${words.none} with the id or name "${wanted}".`;
    throw new Failure("object_not_found", said, `List them with \`${words.listed}\`.`, { status: 404 });
  }
  if (others.length > 0) {
    const lines = [first, ...others].map((one) => `  ${one.id}  ${one.name}`).join("\n");
    throw new Failure("ambiguous", `"${wanted}" fits ${others.length + 1} ${words.many}:\n${lines}`, "Give the id.");
  }
  return first;
}
