/** A tree below PATH_MAX: each level is reached from the one above, by its file descriptor. */
import {
  closeSync,
  constants,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";

const flags = 0o10000000 | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/** `levels` folders of the same name, with a file in every tenth and in the last. */
export function makeDeepTree(root: string, name: string, levels: number): void {
  descend(root, name, levels, (at, level) => {
    if (level < levels) mkdirSync(`${at}/${name}`);
    if (level % 10 === 0 || level === levels) writeFileSync(`${at}/file`, `level ${level}`);
  });
}

/** How many levels are there with their files right. */
export function countDeepTree(root: string, name: string, levels: number): number {
  let right = 0;
  descend(root, name, levels, (at, level) => {
    const wants = level % 10 === 0 || level === levels ? ["file"] : [];
    if (level < levels) wants.push(name);
    const isRight =
      readdirSync(at).sort().join() === wants.sort().join() &&
      (!wants.includes("file") || readFileSync(`${at}/file`, "utf8") === `level ${level}`);
    if (isRight) right++;
  });
  return right;
}

function descend(root: string, name: string, levels: number, visit: (at: string, level: number) => void): void {
  let fd = openSync(root, flags);
  try {
    for (let level = 0; ; level++) {
      visit(`/proc/self/fd/${fd}`, level);
      if (level === levels) return;
      const next = openSync(`/proc/self/fd/${fd}/${name}`, flags);
      closeSync(fd);
      fd = next;
    }
  } finally {
    closeSync(fd);
  }
}

/** What rmSync cannot remove. */
export function removeDeepTree(root: string, name: string, levels: number): void {
  const fds = [openSync(root, flags)];
  try {
    while (fds.length <= levels) fds.push(openSync(`/proc/self/fd/${fds.at(-1)}/${name}`, flags));
    for (let level = levels; level >= 0; level--) {
      const at = `/proc/self/fd/${fds[level]}`;
      for (const file of readdirSync(at))
        if (file === name) rmdirSync(`${at}/${file}`);
        else unlinkSync(`${at}/${file}`);
    }
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
