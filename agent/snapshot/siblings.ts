/**
 * Which files are likely to be versions of each other: names that are the same but for one number, as
 * `checkpoint-1100/model.safetensors` and `checkpoint-1200/model.safetensors`, or `step_1100.pt` and `step_1200.pt`.
 * Names alone decide; whether the bytes have anything in common is seen where they are coded.
 */

/** What a name has in common with its siblings, and its own number. `family` has "#" for the number. */
export interface Version {
  family: string;
  number: number;
}

/** More digits are a hash or a time in nanoseconds: nothing that counts up. */
const maxDigits = 15;
/** Looked at in a path: the nearest ones. */
const maxNumbers = 6;
const numberPattern = /\d+/g;
/** `model-00002-of-00004`: another shard is another part of the model, not a later one. */
const shardPattern = /\d+(?=[-_.]?of[-_.]?\d)|(?<=\dof[-_.]?|\d[-_.]of[-_.]?)\d+/g;

interface Run {
  from: number;
  to: number;
  digits: string;
}

/**
 * How a path may be a version, the likeliest first: by a number in the nearest folder, in those above it, then in its own
 * name. A number that comes more than once (`checkpoint-500/global_step500`) counts once. `path`: a byte string.
 */
export function versionsOf(path: string): Version[] {
  const nameFrom = path.lastIndexOf("/") + 1;
  const all = runsOf(path);
  const inFolders = all.filter((run) => run.to <= nameFrom).reverse();
  const shards = new Set([...path.slice(nameFrom).matchAll(shardPattern)].map((match) => match.index + nameFrom));
  const inName = all.filter((run) => run.from >= nameFrom && !shards.has(run.from)).reverse();
  const versions: Version[] = [];
  const seen = new Set<string>();
  const add = (runs: Run[], number: number) => {
    const family = blank(path, runs);
    if (seen.has(family)) return;
    seen.add(family);
    versions.push({ family, number });
  };
  for (const { digits } of [...inFolders.slice(0, maxNumbers), ...inName.slice(0, maxNumbers)]) {
    const equal = all.filter((run) => run.digits === digits && !shards.has(run.from));
    add(equal, Number(digits));
  }
  // `epoch=2-step=800.ckpt`: both count up, and the step is the larger.
  if (inName.length > 1) add([...inName].reverse(), Math.max(...inName.map((run) => Number(run.digits))));
  return versions;
}

function runsOf(path: string): Run[] {
  const runs: Run[] = [];
  for (const match of path.matchAll(numberPattern)) {
    const digits = match[0];
    if (digits.length <= maxDigits) runs.push({ from: match.index, to: match.index + digits.length, digits });
  }
  return runs;
}

/** `#` is no digit, and a name that has one of its own only ever meets names that have it in the same place. */
function blank(path: string, runs: Run[]): string {
  let text = "";
  let at = 0;
  for (const { from, to } of runs) {
    text += `${path.slice(at, from)}#`;
    at = to;
  }
  return text + path.slice(at);
}

/** A sibling is as long but for what a header may differ in. */
const sizeTolerance = 0.01;

interface Member {
  path: string;
  size: number;
  number: number;
}

/** The big files of a workspace by family. */
export class Families {
  readonly #members = new Map<string, Member[]>();

  add(path: string, size: number): void {
    for (const { family, number } of versionsOf(path)) {
      const members = this.#members.get(family);
      if (members) members.push({ path, size, number });
      else this.#members.set(family, [{ path, size, number }]);
    }
  }

  /** Files that may be versions of this one, likeliest first: by kind of name, then by the distance of the numbers. */
  *siblingsOf(path: string, size: number): Generator<{ path: string; size: number; family: string }, void> {
    const given = new Set([path]);
    for (const { family, number } of versionsOf(path)) {
      const near = (this.#members.get(family) ?? [])
        .filter((member) => !given.has(member.path) && Math.abs(member.size - size) <= size * sizeTolerance)
        .sort((a, b) => Math.abs(a.number - number) - Math.abs(b.number - number) || b.number - a.number);
      for (const member of near) {
        given.add(member.path);
        yield { path: member.path, size: member.size, family };
      }
    }
  }
}
