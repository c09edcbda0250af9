/**
 * What differs between two snapshots of an instance. Both trees are walked side by side; where they have the same chunks,
 * neither is read. Sockets are left out, as no restore brings one back, and so is a hard link whose file alone differs:
 * that is said of the file.
 */
import type { AnswerOf, QueryOf } from "../../core/protocol/api.ts";
import { textOfPath } from "../../core/protocol/browse-path.ts";
import { AppError } from "../../core/protocol/errors.ts";
import { equalBytes } from "../../core/snapshot/bytes.ts";
import type { Entry, InodeEntry } from "../../core/snapshot/tree.ts";
import { kindOf, sizeOf } from "./entry-view.ts";
import { pathOf } from "./path.ts";
import { Budget, type Tree, TreeCursor } from "./tree.ts";

type Answer = AnswerOf<"listChanges">;
type Change = Answer["changes"][number];
type Totals = NonNullable<Answer["totals"]>;

/** Where a page begins, and what all pages before it have. */
interface Place {
  path: string | null;
  totals: Totals;
}

/** Errors: invalid_input, snapshot_too_large, and what the trees throw. */
export async function listChanges(
  before: Tree,
  after: Tree,
  { after: from, limit }: QueryOf<"listChanges">,
): Promise<Pick<Answer, "changes" | "next_after" | "totals">> {
  const place = readPlace(from);
  const totals = { ...place.totals };
  const walk = new SideBySide(before, after, place.path);
  const changes: Change[] = [];
  let next: string | null = null;
  for (;;) {
    const pair = await walk.next();
    if (pair === "spent") {
      if (next === null) {
        if (walk.seen === place.path) throw new AppError("snapshot_too_large");
        next = textOfPlace({ path: walk.seen, totals });
      }
      return { changes, next_after: next, totals: null };
    }
    if (!pair) return { changes, next_after: next, totals };
    // What comes behind a full page is only counted.
    if (changes.length === limit) next ??= textOfPlace({ path: walk.seenBefore, totals });
    else changes.push(await changeOf(pair, before, after));
    totals[whatOf(pair)]++;
  }
}

function textOfPlace({ path, totals: { added, removed, changed } }: Place): string {
  return `${added},${removed},${changed}/${textOfPath(path ?? "")}`;
}

function readPlace(after: string | undefined): Place {
  if (after === undefined) return { path: null, totals: { added: 0, removed: 0, changed: 0 } };
  const match = /^(\d{1,10}),(\d{1,10}),(\d{1,10})\/(.*)$/s.exec(after);
  if (!match) throw new AppError("invalid_input", { issues: [{ path: "after", message: "the next_after of a page" }] });
  const [added, removed, changed] = match.slice(1, 4).map(Number) as [number, number, number];
  return { path: pathOf(match[4]!, "after"), totals: { added, removed, changed } };
}

/** What lies at one path, and differs. */
interface Pair {
  older: Entry | null;
  newer: Entry | null;
}

function whatOf({ older, newer }: Pair): Change["what"] {
  return !older ? "added" : !newer ? "removed" : "changed";
}

async function changeOf(pair: Pair, before: Tree, after: Tree): Promise<Change> {
  const { older, newer } = pair;
  const a = older && (await before.inodeOf(older));
  const b = newer && (await after.inodeOf(newer));
  return {
    path: textOfPath((newer ?? older)!.path),
    what: whatOf(pair),
    kind: kindOf((b ?? a)!),
    size_before_bytes: a && sizeOf(a),
    size_after_bytes: b && sizeOf(b),
  };
}

class SideBySide {
  readonly #left: TreeCursor;
  readonly #right: TreeCursor;
  readonly #from: string | null;
  /** The last path that is done with, and the one before. */
  seen: string | null;
  seenBefore: string | null;

  /** `from`: all paths up to it are done with. */
  constructor(before: Tree, after: Tree, from: string | null) {
    const budget = new Budget();
    this.#left = new TreeCursor(before, budget, from ?? "");
    this.#right = new TreeCursor(after, budget, from ?? "");
    this.#from = from;
    this.seen = from;
    this.seenBefore = from;
  }

  /** The next that differ; null when there are none. */
  async next(): Promise<Pair | "spent" | null> {
    for (;;) {
      this.#skipShared();
      const here = await this.#here();
      if (here === "spent" || here === null) return here;
      const { older, newer } = here;
      const { path } = (older ?? newer)!;
      if (older) this.#left.next();
      if (newer) this.#right.next();
      if (this.#from !== null && path <= this.#from) continue;
      this.seenBefore = this.seen;
      this.seen = path;
      const pair = { older: older?.type === "s" ? null : older, newer: newer?.type === "s" ? null : newer };
      if (isChange(pair)) return pair;
    }
  }

  #skipShared(): void {
    for (;;) {
      const key = this.#left.groupKey;
      if (key === null || key !== this.#right.groupKey) return;
      this.#left.skipGroup();
      this.#right.skipGroup();
    }
  }

  /** What comes first of both sides. A group that begins behind the other side's path is not read yet: it may be shared. */
  async #here(): Promise<Pair | "spent" | null> {
    const leftPath = this.#left.knownPath;
    const rightPath = this.#right.knownPath;
    let a = leftPath === null ? await this.#left.entry() : null;
    let b = rightPath === null ? await this.#right.entry() : null;
    if (a === "spent" || b === "spent") return "spent";
    const [first, second] = [a?.path ?? leftPath, b?.path ?? rightPath];
    if (first === null && second === null) return null;
    if (first !== null && (second === null || first <= second)) a ??= await this.#left.entry();
    if (second !== null && (first === null || second <= first)) b ??= await this.#right.entry();
    if (a === "spent" || b === "spent") return "spent";
    const isFirst = first !== null && (second === null || first <= second);
    const isSecond = second !== null && (first === null || second <= first);
    return { older: isFirst ? a : null, newer: isSecond ? b : null };
  }
}

/** Another name of a file is the same as long as it names that file. */
function isChange({ older, newer }: Pair): boolean {
  if (!older || !newer) return older !== newer;
  if (older.type === "h" || newer.type === "h")
    return older.type !== "h" || newer.type !== "h" || older.target !== newer.target;
  return !isSame(older, newer);
}

function isSame(a: InodeEntry, b: InodeEntry): boolean {
  if (a.type !== b.type || a.mode !== b.mode || a.uid !== b.uid || a.gid !== b.gid || a.mtimeNs !== b.mtimeNs)
    return false;
  if (a.type === "f" && b.type === "f" && !hasSameChunks(a.chunks, b.chunks)) return false;
  if (a.type === "l" && b.type === "l" && a.target !== b.target) return false;
  if ("rdev" in a && "rdev" in b && a.rdev !== b.rdev) return false;
  return (
    a.xattrs.length === b.xattrs.length &&
    a.xattrs.every(([name, value], i) => name === b.xattrs[i]![0] && equalBytes(value, b.xattrs[i]![1]))
  );
}

function hasSameChunks(a: { id: string }[], b: { id: string }[]): boolean {
  return a.length === b.length && a.every((chunk, i) => chunk.id === b[i]!.id);
}
