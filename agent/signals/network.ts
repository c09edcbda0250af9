/** Bytes in and out over every interface but loopback, without the agent's own. */
import { readFileSync } from "node:fs";
import { rate, type Sensor, unknown } from "./sensor.ts";

export interface NetworkSensorOptions {
  file?: string;
  /** Bytes that this agent sent and received so far. */
  ownBytes: () => number;
  now?: () => number;
}

/** Headers, acknowledgements and repeats come on top of what a socket counts. */
const OVERHEAD = 1.1;
/** What is written to sockets leaves them later: so much of it may still be on its way. */
const MAX_CREDIT = 64 * 1024 * 1024;

export function createNetworkSensor({
  file = "/proc/net/dev",
  ownBytes,
  now = () => performance.now(),
}: NetworkSensorOptions): Sensor {
  let before: { atMs: number; total: number; own: number } | null = null;
  let credit = 0;

  return {
    names: ["network"],
    leastMs: 1_000,
    async read() {
      const atMs = now();
      const total = readTotal(file);
      if (total === null) {
        before = null;
        return { network: unknown(`${file} cannot be read`) };
      }
      const own = ownBytes();
      const past = before;
      before = { atMs, total, own };
      if (!past || atMs <= past.atMs) return { network: unknown("this is the first reading") };
      // An interface that went away takes its count with it.
      if (total < past.total) return { network: unknown("the interfaces changed") };
      const others = total - past.total - (own - past.own) * OVERHEAD - credit;
      credit = Math.min(MAX_CREDIT, Math.max(0, -others));
      return { network: { value: rate(others, atMs - past.atMs) } };
    },
  };
}

/** null: not a table of interfaces. */
function readTotal(file: string): number | null {
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch {
    return null;
  }
  let total = 0;
  const lines = text.split("\n").filter((line) => line.includes(":"));
  if (lines.length === 0) return null;
  for (const line of lines) {
    const [name = "", rest = ""] = line.split(":");
    const fields = rest.trim().split(/\s+/).map(Number);
    const [received, sent] = [fields[0], fields[8]];
    if (!Number.isFinite(received) || !Number.isFinite(sent)) return null;
    if (name.trim() !== "lo") total += received! + sent!;
  }
  return total;
}
