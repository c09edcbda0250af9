/** What else is mounted inside a folder. Other disks are part of it; what the kernel makes up (proc, sysfs) is not. */
import { readFileSync } from "node:fs";

export interface Mount {
  /** Byte string, relative to the folder. */
  path: string;
  fileSystem: string;
  /** The kernel makes its entries up, no disk holds them. */
  isPseudo: boolean;
}

const pseudo = new Set([
  "autofs",
  "bdev",
  "binder",
  "binfmt_misc",
  "bpf",
  "cgroup",
  "cgroup2",
  "configfs",
  "debugfs",
  "devpts",
  "devtmpfs",
  "efivarfs",
  "fusectl",
  "hugetlbfs",
  "mqueue",
  "nsfs",
  "proc",
  "pstore",
  "resctrl",
  "rpc_pipefs",
  "securityfs",
  "selinuxfs",
  "sysfs",
  "tracefs",
]);

/** `root`: byte string, without symlinks. Empty where the system does not say. */
export function mountsBelow(root: string): Mount[] {
  let table: string;
  try {
    table = readFileSync("/proc/self/mountinfo", "latin1");
  } catch {
    return [];
  }
  const prefix = root === "" || root === "/" ? "/" : `${root}/`;
  const mounts = new Map<string, Mount>();
  for (const line of table.split("\n")) {
    // 36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    const [before, after] = line.split(" - ");
    const point = before
      ?.split(" ")[4]
      ?.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
    const fileSystem = after?.split(" ")[0];
    if (!point?.startsWith(prefix) || point === prefix || !fileSystem) continue;
    const path = point.slice(prefix.length);
    // The last one lies on top.
    mounts.set(path, { path, fileSystem, isPseudo: pseudo.has(fileSystem) });
  }
  return [...mounts.values()];
}
