/** `soneca snapshot`: what a snapshot holds, without a machine. */
import { defineCommand } from "citty";
import type { AnswerOf } from "../../core/protocol/api.ts";
import type { EntryView } from "../../core/protocol/browse.ts";
import { bytesOfPath } from "../../core/protocol/browse-path.ts";
import { snapshotId } from "../../core/protocol/ids.ts";
import { command, type Session } from "../command.ts";
import { usageFailure } from "../failure.ts";
import { formatBytes, formatTable, formatTime } from "../format.ts";
import { saveDownload, sendDownload } from "../save.ts";
import { readNumber } from "../settings.ts";

const snapshotArg = { type: "positional", required: true, description: "ID@SEQ, or ID for the current one" } as const;
const limitArg = { type: "string", valueHint: "N", description: "Show at most so many (1000)" } as const;
const mostOfPage = 1000;

type Change = AnswerOf<"listChanges">["changes"][number];

const list = command({
  name: "ls",
  description: "What lies in a folder of a snapshot, folders first; with --search what is found below it",
  args: {
    id: snapshotArg,
    path: { type: "positional", required: false, description: "The folder, as `ls` shows it; all of it without" },
    search: { type: "string", valueHint: "TEXT", description: "Everything below whose path holds this text" },
    limit: limitArg,
  },
  async run(session, args) {
    const { output, now } = session;
    const params = await findSnapshot(session, args.id);
    const path = readPath(args.path ?? "");
    const entries: EntryView[] = [];
    const limit = readLimit(args.limit);
    const next = await pages(limit, entries, async (after, most) => {
      const query = { path, search: args.search, after, limit: most };
      const page = await session.call("listFiles", { params, query });
      return { items: page.entries, next: page.next_after };
    });
    output.document({ snapshot_id: idOf(params), path, entries, next_after: next });
    if (output.json) return;
    if (entries.length > 0) output.print(showEntries(entries, args.search === undefined, now));
    else output.note(args.search === undefined ? "The folder is empty." : "Nothing is found.");
    if (next !== null) output.note(`There is more. Name a folder, search, or give a --limit above ${limit}.`);
  },
});

const get = command({
  name: "get",
  description: "Download one file of a snapshot",
  args: {
    id: snapshotArg,
    path: { type: "positional", required: true, description: "The file, as `ls` shows it" },
    output: {
      type: "string",
      alias: "o",
      valueHint: "FILE",
      description: "Where to; - is stdout; its name, here, without",
    },
  },
  async run(session, args) {
    const { output, client } = session;
    if (args.output === "-" && output.json) throw usageFailure("--json and -o - both want stdout.");
    const params = await findSnapshot(session, args.id);
    const path = readPath(args.path);
    if (path === "") throw usageFailure("Name a file of the snapshot.");
    const download = () => client.download({ params, query: { path } });
    if (args.output === "-") return sendDownload(await download(), process.stdout);
    const saved = await saveDownload(download, {
      wanted: args.output,
      path,
      onProgress: (words) => output.redraw(words),
    });
    output.document({ snapshot_id: idOf(params), path, ...saved });
    output.print(`${saved.file}, ${formatBytes(saved.size_bytes)}`);
  },
});

const diff = command({
  name: "diff",
  description: "What changed from one snapshot of an instance to another",
  args: {
    a: { type: "positional", required: true, description: "ID@SEQ of the older one" },
    b: { type: "positional", required: true, description: "ID@SEQ of the newer one" },
    limit: limitArg,
  },
  async run(session, args) {
    const { output } = session;
    const [older, newer] = [await findSnapshot(session, args.a), await findSnapshot(session, args.b)];
    if (older.id !== newer.id) throw usageFailure("Only two snapshots of one instance can be compared.");
    const changes: Change[] = [];
    let totals: AnswerOf<"listChanges">["totals"] = null;
    const next = await pages(readLimit(args.limit), changes, async (after, most) => {
      const query = { since: Number(older.seq), after, limit: most };
      const page = await session.call("listChanges", { params: newer, query });
      totals = page.totals;
      return { items: page.changes, next: page.next_after };
    });
    const ids = { snapshot_id: idOf(newer), since_snapshot_id: idOf(older) };
    output.document({ ...ids, changes, totals, next_after: next });
    if (output.json) return;
    for (const change of changes) output.print(changeLine(change));
    output.note(totalWords(totals, next !== null, idOf(older), idOf(newer)));
  },
});

export const snapshotCommand = defineCommand({
  meta: { name: "soneca snapshot", description: "Look into snapshots without a machine" },
  subCommands: { ls: list, get, diff },
});

interface SnapshotParams extends Record<"id" | "seq", string> {}

function idOf({ id, seq }: SnapshotParams): string {
  return snapshotId(id, Number(seq));
}

/** `ID@SEQ`; the one that a wake brings back without a number. Errors: Failure `usage`, `instance_not_found`. */
async function findSnapshot(session: Session, text: string): Promise<SnapshotParams> {
  const match = /^(.+)@([1-9]\d{0,7})$/.exec(text);
  const id = await session.resolve(match?.[1] ?? text);
  if (match) return { id, seq: match[2]! };
  const { snapshots } = await session.call("listSnapshots", { params: { id } });
  const found = snapshots.find((one) => one.is_current) ?? snapshots[0];
  if (!found)
    throw usageFailure(`The store holds no snapshot of ${id}.`, "The first one is taken when it goes to sleep.");
  return { id, seq: String(found.seq) };
}

/** As the API spells it. What cannot be its spelling is taken as it stands, so that "50%" need not be escaped. */
function readPath(text: string): string {
  const names = text.split("/").filter((name) => name !== "" && name !== ".");
  if (names.includes("..")) throw usageFailure("A path of a snapshot has no .. in it.");
  const path = names.join("/");
  return bytesOfPath(path) === null ? path.replaceAll("%", "%25") : path;
}

function readLimit(text: string | undefined): number {
  const limit = text === undefined ? mostOfPage : readNumber("--limit", text);
  if (!Number.isInteger(limit) || limit < 1) throw usageFailure("--limit takes a whole number above 0.");
  return limit;
}

/** Asks for pages until there are so many; where the next one would begin, null when there is none. */
async function pages<T>(
  limit: number,
  into: T[],
  ask: (after: string | undefined, most: number) => Promise<{ items: T[]; next: string | null }>,
): Promise<string | null> {
  let after: string | undefined;
  while (into.length < limit) {
    const { items, next } = await ask(after, Math.min(mostOfPage, limit - into.length));
    into.push(...items);
    if (next === null) return null;
    after = next;
  }
  return after ?? null;
}

function showEntries(entries: EntryView[], areNames: boolean, now: number): string {
  return formatTable(
    ["MODE", "SIZE", "ENTRIES", "MODIFIED", "NAME"],
    entries.map((one) => [
      one.mode ?? "-",
      formatBytes(one.kind === "folder" ? one.total_bytes : one.size_bytes),
      one.entries?.toLocaleString("en-US") ?? "-",
      one.modified_at === null ? "-" : formatTime(one.modified_at, now),
      nameWords(one, areNames),
    ]),
    ["SIZE", "ENTRIES"],
  );
}

function nameWords({ name, path, kind, target }: EntryView, isName: boolean): string {
  const text = isName ? name : path;
  if (kind === "folder") return `${text}/`;
  if (kind === "link") return `${text} -> ${target}`;
  return kind === "file" ? text : `${text} (${kind})`;
}

const signs = { added: "+", removed: "-", changed: "~" } as const;

function changeLine({ path, what, kind, size_before_bytes: before, size_after_bytes: after }: Change): string {
  const sizes = [before, after].filter((bytes) => bytes !== null);
  const isSame = sizes.length === 2 && before === after;
  const words = kind === "file" ? (isSame ? formatBytes(after) : sizes.map(formatBytes).join(" -> ")) : kind;
  return `${signs[what]} ${path}  ${words}`;
}

function totalWords(totals: AnswerOf<"listChanges">["totals"], hasMore: boolean, older: string, newer: string): string {
  const more = hasMore ? " Not all are shown: give a higher --limit." : "";
  if (!totals) return `There are more changes than one answer can count.${more}`;
  const { added, removed, changed } = totals;
  if (added + removed + changed === 0) return `${older} and ${newer} hold the same.`;
  return `${added} added, ${removed} removed, ${changed} changed.${more}`;
}
