/** What the provider shows of its offers and machines: the rows of wire.ts, with the faults that spoil what is shown. */
import type { CatalogOffer } from "./catalog.ts";
import type { Cloud } from "./cloud.ts";
import type { Faults } from "./fault-rules.ts";
import type { Row } from "./query.ts";
import type { Contract } from "./state.ts";
import { readInstanceRow, readOfferRow, readStatus } from "./wire.ts";

export interface Showing {
  cloud: Cloud;
  faults: Faults;
  now: () => number;
}

export function showOffers({ cloud, faults, now }: Showing, diskGb: number): Row[] {
  const isStale = faults.strike("search_stale", { on: "search" }) !== null;
  return cloud.offers({ rentedToo: isStale }).map((offer: CatalogOffer) => readOfferRow(offer, diskGb, now()));
}

/** Asking for the list is when vast.ai's own acts upon machines are found out. */
export async function showMachines(showing: Showing, on: "list" | "filters"): Promise<Row[]> {
  const { cloud, faults, now } = showing;
  for (const contract of on === "list" ? [...cloud.contracts()] : []) {
    if (contract.stage !== "running") continue;
    const subject = { on, label: contract.label, id: contract.id };
    if (faults.strike("interrupted", subject)) await cloud.interrupt(contract);
    const lost = faults.strike("host_dies", subject);
    if (lost) await cloud.loseHost(contract, lost.variant === "gone" ? "gone" : "offline");
  }
  return cloud
    .contracts()
    .filter((contract) => contract.listedAt <= now())
    .filter(({ id, label }) => on !== "list" || !faults.strike("list_misses", { on, id, label }))
    .map((contract) => showMachine(showing, contract, on));
}

export function showMachine({ cloud, faults, now }: Showing, contract: Contract, on: string): Row {
  const isAlive = cloud.machines.isAlive(contract.process);
  const status = readStatus(contract, isAlive, now());
  const gpuUtil = isAlive ? readUtil(cloud.machines.readGpuLoad(contract.id)) : null;
  const row = readInstanceRow(contract, cloud.offerOf(contract), { status, gpuUtil, now: now() });
  const subject = { on, label: contract.label, id: contract.id };
  const flap = faults.strike("flap", subject);
  const skew = faults.strike("start_date_skew", subject);
  return {
    ...row,
    ...(flap && { actual_status: flap.variant, status_msg: null }),
    ...(faults.strike("status_null", subject) && { actual_status: null, status_msg: null }),
    ...(faults.strike("ports_late", subject) && { ports: null }),
    ...(faults.strike("label_hidden", subject) && { label: null }),
    ...(skew && { start_date: (row.start_date as number) + skew.amount }),
  };
}

/** Numbers as the API now and then writes them. */
export function writeNumbersAsText(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === "number" ? String(value) : value]),
  );
}

/** The highest reading, as the host would sample it; null when any is not a number. */
function readUtil(lines: string[]): number | null {
  const values = lines.map((line) => (line === "busy" ? 97 : line === "idle" ? 0 : Number.parseInt(line, 10)));
  return values.length > 0 && values.every(Number.isFinite) ? Math.max(...values) : null;
}
