/**
 * The stand-in's own bill. Each machine has a row of intervals that touch each other, from its creation to its end; what
 * is charged follows from their states alone: the GPU while it runs, the disk always but while its host is offline, and
 * traffic by the GB. Nothing but a change of the machine's state writes here: over HTTP it can only be read.
 */
import type { CatalogOffer } from "./catalog.ts";

/** What the provider charges for: loading and stopped cost the disk, running the GPU as well, offline nothing. */
export type BilledState = "loading" | "running" | "stopped" | "offline";

export interface Span {
  state: BilledState;
  from: number;
  to: number | null;
}

export interface Meter {
  gpu: string;
  gpuMicroUsdPerHour: number;
  diskMicroUsdPerHour: number;
  upMicroUsdPerGb: number;
  downMicroUsdPerGb: number;
  spans: Span[];
  upBytes: number;
  downBytes: number;
}

export interface BillInterval extends Span {
  /** Whole seconds from the machine's beginning, so that touching intervals lose and gain none between them. */
  seconds: number;
  microUsdPerHour: number;
  microUsd: number;
}

export interface BillRow {
  id: number;
  label: string | null;
  gpu: string;
  startedAt: number;
  endedAt: number | null;
  gpuSeconds: number;
  diskSeconds: number;
  /** GPUs, $/h. */
  dph: number;
  diskDph: number;
  usd: number;
  microUsd: number;
  intervals: BillInterval[];
  /** Zero where nothing counts it: the stand-in runs without `--network`. */
  traffic: { upBytes: number; downBytes: number; microUsd: number };
}

const HOURS_PER_MONTH = 730;
const GB = 1e9;

export const diskUsdPerHour = (offer: CatalogOffer, diskGb: number) => (offer.storageCost * diskGb) / HOURS_PER_MONTH;

const toMicro = (usd: number) => Math.round(usd * 1e6);

export interface MeterStart {
  state: BilledState;
  /** GPUs, $/h. */
  dph: number;
  diskGb: number;
  at: number;
}

export function createMeter(offer: CatalogOffer, { state, dph, diskGb, at }: MeterStart): Meter {
  return {
    gpu: `${offer.gpuCount}x ${offer.gpu.name}`,
    gpuMicroUsdPerHour: toMicro(dph),
    diskMicroUsdPerHour: toMicro(diskUsdPerHour(offer, diskGb)),
    upMicroUsdPerGb: toMicro(offer.inetUpCost),
    downMicroUsdPerGb: toMicro(offer.inetDownCost),
    spans: [{ state, from: at, to: null }],
    upBytes: 0,
    downBytes: 0,
  };
}

/** Ends the open interval and begins one of this state; nothing happens when it is in that state already. */
export function turnMeter(meter: Meter, state: BilledState, at: number): void {
  const open = meter.spans.at(-1)!;
  if (open.to !== null || open.state === state) return;
  // A clock that went back ends nothing before it began.
  const to = Math.max(open.from, at);
  if (to === open.from) meter.spans.pop();
  else open.to = to;
  meter.spans.push({ state, from: to, to: null });
}

export function endMeter(meter: Meter, at: number): void {
  const open = meter.spans.at(-1)!;
  open.to ??= Math.max(open.from, at);
}

export function readMeter(of: { id: number; label: string | null; meter: Meter }, now: number): BillRow {
  const { id, label, meter } = of;
  const startedAt = meter.spans[0]!.from;
  const second = (at: number) => Math.round((at - startedAt) / 1000);
  const intervals = meter.spans.map(({ state, from, to }): BillInterval => {
    const seconds = second(to ?? Math.max(from, now)) - second(from);
    const disk = state === "offline" ? 0 : meter.diskMicroUsdPerHour;
    const microUsdPerHour = disk + (state === "running" ? meter.gpuMicroUsdPerHour : 0);
    return { state, from, to, seconds, microUsdPerHour, microUsd: Math.round((seconds * microUsdPerHour) / 3600) };
  });
  const sum = (of: BillInterval[], what: "seconds" | "microUsd") => of.reduce((total, one) => total + one[what], 0);
  const traffic = {
    upBytes: meter.upBytes,
    downBytes: meter.downBytes,
    microUsd: Math.round((meter.upBytes * meter.upMicroUsdPerGb + meter.downBytes * meter.downMicroUsdPerGb) / GB),
  };
  const microUsd = sum(intervals, "microUsd") + traffic.microUsd;
  return {
    id,
    label,
    gpu: meter.gpu,
    startedAt,
    endedAt: meter.spans.at(-1)!.to,
    gpuSeconds: sum(
      intervals.filter(({ state }) => state === "running"),
      "seconds",
    ),
    diskSeconds: sum(
      intervals.filter(({ state }) => state !== "offline"),
      "seconds",
    ),
    dph: meter.gpuMicroUsdPerHour / 1e6,
    diskDph: meter.diskMicroUsdPerHour / 1e6,
    usd: microUsd / 1e6,
    microUsd,
    intervals,
    traffic,
  };
}
