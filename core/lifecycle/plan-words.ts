/** Why a plan is as it is, for people. */
import type { Plan, Unknown } from "./auto-state.ts";

const unknownWords: Record<Unknown, string> = {
  machine_price: "the machine's price",
  upload_price: "the price of upload traffic",
  download_price: "the price of download traffic",
  snapshot_size: "the size of a snapshot",
  upload_time: "the time of an upload",
  boot_time: "the time of a boot",
  restore_time: "the time of a restore",
};

export function planWords(plan: Plan): string {
  const { tauMs, breakEvenMs, floorMs, costs } = plan;
  switch (plan.reason) {
    case "costs_unknown": {
      const names = plan.unknown.map((one) => unknownWords[one]);
      return `a fixed wait of ${minutes(tauMs)}, because when sleeping pays is not known yet: ${list(names)} ${names.length === 1 ? "is" : "are"} missing`;
    }
    case "never_pays":
      return "sleeping never pays: the machine costs no more than keeping its snapshot";
    case "floor":
      return `sleeping pays after ${minutes(breakEvenMs)} already; the safety floor of ${minutes(floorMs)} and an upload of ${minutes(costs?.uploadMs ?? null)} decide`;
    case "break_even":
      return `${usualWords(plan)}; sleeping pays after ${minutes(breakEvenMs)}`;
    case "learned":
      return `${usualWords(plan)}; sleeping pays after ${minutes(breakEvenMs)}, and going at ${minutes(tauMs)} would have cost least`;
  }
}

function usualWords({ usualMs, known }: Plan): string {
  if (usualMs === null) return `only ${known} idle ${known === 1 ? "time is" : "times are"} known yet`;
  return `gaps like this at this hour usually end within ${minutes(usualMs)}`;
}

function list(names: string[]): string {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

function minutes(ms: number | null): string {
  if (ms === null) return "an unknown time";
  if (ms < 60_000) return `${Math.round(ms / 1000)} s`;
  if (ms < 10 * 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}
