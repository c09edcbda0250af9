/** Looks at everything the agent needs and says in words what is wrong and what to do. */
import { version } from "../core/protocol/version.ts";
import type { Check, DoctorOptions } from "./checks/check.ts";
import {
  checkAgents,
  checkDisk,
  checkHome,
  checkKeeping,
  checkNative,
  checkUpdate,
  checkWorkspace,
} from "./checks/home.ts";
import { checkGpus, checkNode, checkSeal, checkUser } from "./checks/machine.ts";
import { checkAdmission, checkControlPlane, checkRoots, checkSettings } from "./checks/network.ts";

export async function examine(options: DoctorOptions): Promise<Check[]> {
  return [
    checkNode(options),
    checkUser(options),
    await checkGpus(options),
    checkWorkspace(options),
    checkHome(options),
    checkDisk(options),
    checkNative(options),
    checkKeeping(options),
    await checkSeal(options),
    checkSettings(options),
    ...(await checkControlPlane(options)),
    ...(await checkAdmission(options)),
    checkRoots(options),
    checkAgents(options),
    checkUpdate(options),
  ];
}

/** The exit code: 1 when something essential is wrong. */
export async function runDoctor(
  options: DoctorOptions & { json: boolean; write?: (text: string) => void },
): Promise<number> {
  const write = options.write ?? ((text: string) => process.stdout.write(text));
  const checks = await examine(options);
  const broken = checks.some((check) => check.essential && !check.ok);
  if (options.json) write(`${JSON.stringify({ ok: !broken, version, checks })}\n`);
  else {
    for (const { name, ok, essential, found, advice } of checks) {
      write(`${ok ? "ok  " : essential ? "BAD " : "warn"}  ${name}: ${found}\n`);
      if (!ok && advice) write(`      -> ${advice}\n`);
    }
  }
  return broken ? 1 : 0;
}
