/** Which processes hold memory of the GPUs, as nvidia-smi tells: information alone, in containers it often tells of none. */
import { createSmi, type SmiOptions } from "../smi.ts";
import { type Sensor, unknown } from "./sensor.ts";

const args = ["--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader,nounits"];

export function createGpuMemorySensor(options: SmiOptions): Sensor {
  const smi = createSmi(options);
  return {
    names: ["gpu_memory"],
    leastMs: 10_000,
    async read() {
      const answer = await smi.ask(args);
      return { gpu_memory: answer.ok ? parseApps(answer.stdout) : unknown(answer.message) };
    },
  };
}

/** The sum in MiB; null where one process does not say what it holds. */
export function parseApps(stdout: string) {
  const names: string[] = [];
  let sum: number | null = 0;
  for (const line of stdout.split(/\r?\n/)) {
    if (line.trim() === "") continue;
    const fields = line.split(",").map((field) => field.trim());
    const [pid, memory] = [fields[0] ?? "", fields.at(-1) ?? ""];
    if (fields.length < 3 || !/^\d+$/.test(pid)) return unknown(`nvidia-smi said: ${line.trim()}`);
    const held = /^\d+(\.\d+)?$/.test(memory) ? Number(memory) : null;
    sum = sum === null || held === null ? null : sum + held;
    const name = fields.slice(1, -1).join(",").split("/").at(-1);
    names.push(`${name} (${pid})${held === null ? "" : ` ${held} MiB`}`);
  }
  return { value: sum, ...(names.length > 0 ? { detail: names.join(", ").slice(0, 200) } : {}) };
}
